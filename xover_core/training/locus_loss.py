# SPDX-License-Identifier: Apache-2.0
"""The LoCUS loss of a batch of overlapping frames, for one radius: 1 - smooth average precision of its landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from xover_core.training.frame_geometry import FrameGeometry
from xover_core.training.landmark_sampling import LandmarkSample
from xover_core.training.locus_settings import LocusLossSettings
from xover_core.training.pair_labels import PairSettings, label_pairs
from xover_core.training.smooth_ap import mean_smooth_ap, vectorized_smooth_ap


def locus_loss(
    features: Tensor,
    geometry: FrameGeometry,
    landmarks: LandmarkSample,
    pairs: PairSettings,
    settings: LocusLossSettings,
) -> tuple[Tensor, float]:
    """Loss of one set of features; computed in float32, also within mixed precision.

    Args:
        features: (B, rows, cols, D), of L2 norm at most 1.
        geometry: of the B frames, rows * cols patches each, on the same device.
        landmarks: of this batch, on the same device.
        pairs: the radius, and what is positive and negative for it.
        settings: ranking.

    Returns:
        0-d loss in [0, 1], 1 without landmarks; and the share of pairs that are positive.
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(0, 2)
        points = geometry.points_world.reshape(-1, 3)
        labels = label_pairs(landmarks.points_world, points, landmarks.patches, pairs)
        similarities = _embeddings(flat, labels.is_positive, landmarks, settings) @ flat.T
        is_positive, in_universe = labels.is_positive, labels.in_universe
        if settings.exclude_same_frame:
            is_other = other_frames(landmarks.patches, geometry)
            is_positive, in_universe = is_positive & is_other, in_universe & is_other
        smooth_ap = vectorized_smooth_ap if settings.ranking == "vectorized" else mean_smooth_ap
        precision = smooth_ap(
            similarities,
            is_positive,
            in_universe,
            temperature=settings.temperature,
            counts_self=settings.counts_self,
        )
    return 1 - precision, float(is_positive.sum() / in_universe.sum().clamp(min=1))


def other_frames(patches: Tensor, geometry: FrameGeometry) -> Tensor:
    """(L, B * N) bool: patches that are of another frame than each of (L,) patches."""
    num_frames, per_frame = geometry.points_world.shape[:2]
    frames = torch.arange(num_frames, device=patches.device).repeat_interleave(per_frame)
    return (patches // per_frame)[:, None] != frames


def _embeddings(
    features: Tensor, is_positive: Tensor, landmarks: LandmarkSample, settings: LocusLossSettings
) -> Tensor:
    """(L, D), of L2 norm at most 1, that the patches are compared with."""
    own = features[landmarks.patches]
    if settings.landmark_embedding == "patch":
        return own
    # the own patch is no positive of the ranking, but one of the landmark
    return torch.nn.functional.normalize(own + is_positive.float() @ features, dim=1)
