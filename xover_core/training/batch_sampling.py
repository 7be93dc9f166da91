# SPDX-License-Identifier: Apache-2.0
"""Batches of overlapping frames of one scene (LoCUS, section 4): a seed frame, and others drawn by overlap with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import Settings, setting
from xover_core.errors import TrainingError
from xover_core.types import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings(Settings):
    """Size and draw of batches."""

    batch_size: int = setting(16, "frames of a batch, the seed frame included", minimum=2)
    min_overlap: float = setting(
        0.0, "only frames that see more than this share of the seed frame join its batch", minimum=0.0, maximum=1.0
    )
    seed: int = setting(0, "seed of the draw", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneBatch:
    """Frames that go through the network together.

    Attributes:
        scene: index of the scene.
        frames: indices of distinct frames in the scene, the seed frame first; two at least.
    """

    scene: int
    frames: tuple[int, ...]


class OverlapBatchSampler:
    """Draws the batches of an epoch; the same for the same seed and epoch, so that every process can draw them."""

    def __init__(self, overlaps: Sequence[Float32Array], settings: BatchSettings | None = None) -> None:
        """Prepare sampling.

        Args:
            overlaps: for each scene (F, F), share of frame i that frame j sees.
            settings: None = defaults.

        Raises:
            TrainingError: an array is not square, or no two frames overlap in any scene.
        """
        self._settings = settings or BatchSettings()
        self._weights = [self._partner_weights(scene, array) for scene, array in enumerate(overlaps)]
        # frames that can start a batch
        self._seeds = [np.flatnonzero(weights.any(axis=1)) for weights in self._weights]
        if not any(len(seeds) for seeds in self._seeds):
            raise TrainingError(
                f"batches of {len(overlaps)} scenes: no two frames overlap by more than {self._settings.min_overlap:g};"
                " are poses and depth right?"
            )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return sum(self._num_batches(scene) for scene in range(len(self._seeds)))

    def epoch(self, number: int) -> list[SceneBatch]:
        """Training batches: seed frames without repetition, the others drawn in proportion to overlap, distinct."""
        rng = np.random.default_rng([self._settings.seed, number])
        batches = [
            SceneBatch(scene=scene, frames=(int(seed), *self._draw_partners(scene, int(seed), rng)))
            for scene, seeds in enumerate(self._seeds)
            for seed in rng.permutation(seeds)[: self._num_batches(scene)]
        ]
        return [batches[index] for index in rng.permutation(len(batches))]

    def evaluation(self) -> list[SceneBatch]:
        """Batches for evaluation: seed frames spread evenly over each scene, with the frames that overlap most."""
        batches = []
        for scene, seeds in enumerate(self._seeds):
            places = np.linspace(0, len(seeds), self._num_batches(scene), endpoint=False).astype(int)
            for seed in seeds[places]:
                weights = self._weights[scene][seed]
                order = np.argsort(-weights, kind="stable")[: self._num_partners(weights)]
                batches.append(SceneBatch(scene=scene, frames=(int(seed), *map(int, order))))
        return batches

    def _partner_weights(self, scene: int, overlaps: Float32Array) -> NDArray[np.float64]:
        """(F, F) weights of the draw; 0 for a frame itself and for those that overlap too little."""
        if overlaps.ndim != 2 or overlaps.shape[0] != overlaps.shape[1]:
            raise TrainingError(f"overlaps of scene {scene}: expected (F, F), got {overlaps.shape}.")
        weights = np.where(overlaps > self._settings.min_overlap, overlaps, 0).astype(np.float64)
        np.fill_diagonal(weights, 0)
        return weights

    def _num_batches(self, scene: int) -> int:
        """As many as fill the scene once; one for a scene with fewer frames than a batch."""
        num_seeds = len(self._seeds[scene])
        return max(num_seeds // self._settings.batch_size, min(num_seeds, 1))

    def _num_partners(self, weights: NDArray[np.float64]) -> int:
        """Frames that join a seed frame: fewer than wanted when not so many overlap with it."""
        return min(self._settings.batch_size - 1, int(np.count_nonzero(weights)))

    def _draw_partners(self, scene: int, seed: int, rng: np.random.Generator) -> list[int]:
        """Distinct frames, in proportion to their overlap with the seed frame."""
        weights = self._weights[scene][seed]
        drawn = rng.choice(len(weights), self._num_partners(weights), replace=False, p=weights / weights.sum())
        return [int(frame) for frame in drawn]
