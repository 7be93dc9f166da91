# SPDX-License-Identifier: Apache-2.0
"""A compact encoder before training: its first projection whitens the descriptors of the training scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.metric_stem import GRADIENTS_DIM
from xover_core.training.locus_settings import LocusNetworkSettings
from xover_core.training.scene_source import SceneSource

# Directions of less than this share of the largest variance are noise, and are not drawn out to unit variance.
_MIN_VARIANCE_SHARE = 1e-4


def make_compact(settings: LocusNetworkSettings, scenes: SceneSource) -> CompactEncoder:
    """A network that is, before its first step, as good as whitened descriptors."""
    network = CompactEncoder(settings.radii)
    start = _fit_whitening(network, scenes, settings.whitening_frames)
    network.start_from_whitening(*start)
    return network


@torch.no_grad()
def _fit_whitening(
    network: CompactEncoder, scenes: SceneSource, num_frames: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For gradients and for the rest: mean (C,), and principal directions (C, D) over their deviations."""
    count, total, products = 0, torch.zeros(0), torch.zeros(0)
    for descriptors in _descriptors(network, scenes, num_frames):
        block = descriptors.double()
        total = total + block.sum(0) if count else block.sum(0)
        products = products + block.T @ block if count else block.T @ block
        count += len(block)
    mean = total / count
    covariance = products / count - mean[:, None] * mean
    gradients, others = slice(GRADIENTS_DIM), slice(GRADIENTS_DIM, None)
    return (
        (mean[gradients].float(), _whiten(covariance[gradients, gradients], network.gradients.out_features)),
        (mean[others].float(), _whiten(covariance[others, others], network.others.out_features)),
    )


def _whiten(covariance: Tensor, dim: int) -> Tensor:
    """(C, dim) principal directions, each over its standard deviation."""
    values, vectors = torch.linalg.eigh(covariance)
    order = values.argsort(descending=True)[:dim]
    deviations = values[order].clamp(min=float(values.max()) * _MIN_VARIANCE_SHARE).sqrt()
    whitened: Tensor = vectors[:, order] / deviations
    return whitened.float()


def _descriptors(network: CompactEncoder, scenes: SceneSource, num_frames: int) -> Iterator[Tensor]:
    """(N, C) averaged descriptors of frames that are spread over all scenes."""
    per_scene = -(-num_frames // len(scenes))
    for index in np.unique(np.linspace(0, len(scenes) - 1, min(num_frames, len(scenes))).astype(int)):
        scene = scenes.scene(int(index))
        for frame in np.unique(np.linspace(0, len(scene) - 1, per_scene).astype(int)):
            geometry = scene.geometry([int(frame)])
            images = scene.image_tensor([int(frame)])
            yield network.averaged_descriptors(images, geometry.depth, geometry.intrinsics.float())[0]
