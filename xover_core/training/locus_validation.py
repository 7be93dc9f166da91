# SPDX-License-Identifier: Apache-2.0
"""Patch retrieval on fixed batches of scenes that are not trained on, as `xover protocol patch-retrieval` measures it.

Exact average precision of all (query, patch) pairs in one ranking, patches of other frames than the query's only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.training.average_precision import pooled_average_precision
from xover_core.training.batch_sampling import BatchSettings, OverlapBatchSampler, SceneBatch
from xover_core.training.frame_geometry import FrameGeometry
from xover_core.training.locus_loss import other_frames
from xover_core.training.locus_networks import LocusNetwork
from xover_core.training.locus_settings import LocusValidationSettings
from xover_core.training.scene_source import SceneSource
from xover_core.training.training_task import make_generator

# A batch -> for each radius (B, rows, cols, D) features of L2 norm at most 1.
Describe = Callable[[SceneBatch], Sequence[Tensor]]


class LocusValidation:
    """Fixed batches, and what a network makes of them."""

    def __init__(self, scenes: SceneSource, settings: LocusValidationSettings, batches: BatchSettings) -> None:
        """Choose the batches.

        Args:
            scenes: to validate on.
            settings: how many batches and queries.
            batches: size of the batches, as in training.

        Raises:
            TrainingError: no two frames overlap.
        """
        self._scenes = scenes
        self._settings = settings
        chosen = OverlapBatchSampler([scenes.overlap(i) for i in range(len(scenes))], batches).evaluation()
        places = np.linspace(0, len(chosen), min(settings.max_batches, len(chosen)), endpoint=False).astype(int)
        self._batches = [chosen[place] for place in places]

    def measure(self, network: nn.Module, radii: tuple[float, ...]) -> dict[str, float]:
        """Average precision for each radius, by `radius_name`; 0 where no query has a positive."""
        return self.measure_features(lambda batch: self._describe(network, batch), radii)

    @torch.no_grad()
    def measure_features(self, describe: Describe, radii: tuple[float, ...]) -> dict[str, float]:
        """The same of features that are made in any way."""
        scores = [_Scores() for _ in radii]
        for number, batch in enumerate(self._batches):
            self._rank(describe(batch), radii, batch, number, scores)
        return {radius_name(radius): score.precision() for radius, score in zip(radii, scores, strict=True)}

    def _describe(self, network: nn.Module, batch: SceneBatch) -> tuple[Tensor, ...]:
        """What the network makes of a batch."""
        device = next(network.parameters()).device
        scene = self._scenes.scene(batch.scene)
        geometry = scene.geometry(batch.frames).to(device)
        images = scene.image_tensor(batch.frames).to(device)
        return cast(LocusNetwork, network)(images, geometry.depth, geometry.intrinsics.float())

    def _rank(
        self,
        features: Sequence[Tensor],
        radii: tuple[float, ...],
        batch: SceneBatch,
        number: int,
        scores: list[_Scores],
    ) -> None:
        """Collect the scores of one batch."""
        device = features[0].device
        geometry = self._scenes.scene(batch.scene).geometry(batch.frames)
        queries = self._draw_queries(geometry, number).to(device)
        geometry = geometry.to(device)
        points = geometry.points_world.reshape(-1, 3)
        distances = torch.cdist(points[queries], points, compute_mode="donot_use_mm_for_euclid_dist")
        is_ranked = (distances < self._settings.universe) & other_frames(queries, geometry)
        for radius, found, score in zip(radii, features, scores, strict=True):
            flat = found.float().flatten(0, 2)
            score.add(flat[queries] @ flat.T, is_ranked & (distances < radius), is_ranked)

    def _draw_queries(self, geometry: FrameGeometry, number: int) -> Tensor:
        """(Q,) patches with depth; the same whenever a batch comes up."""
        candidates = geometry.has_point.reshape(-1).nonzero()[:, 0]
        drawn = torch.randperm(len(candidates), generator=make_generator(self._settings.seed, number))
        return candidates[drawn[: self._settings.num_queries]]


def radius_name(radius: float) -> str:
    """Name of a radius' value in logs."""
    return f"ap_{radius:g}m"


class _Scores:
    """Similarities of positives and negatives of one radius."""

    def __init__(self) -> None:
        self._positives: list[Tensor] = []
        self._negatives: list[Tensor] = []

    def add(self, similarities: Tensor, is_positive: Tensor, is_ranked: Tensor) -> None:
        """Take in (Q, M) pairs; a query without positives has no part in the ranking."""
        is_ranked = is_ranked & is_positive.any(dim=1, keepdim=True)
        self._positives.append(similarities[is_positive])
        self._negatives.append(similarities[is_ranked & ~is_positive])

    def precision(self) -> float:
        """Average precision of everything that was added."""
        return pooled_average_precision(self._positives, self._negatives) or 0.0
