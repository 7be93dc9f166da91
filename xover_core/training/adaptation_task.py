# SPDX-License-Identifier: Apache-2.0
"""Site adaptation as a task of the training engine: LoCUS' loss on the heads, drawn back to where they started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.training.adaptation_heads import SiteHeads
from xover_core.training.adaptation_inputs import TrainingViews, frame_inputs
from xover_core.training.adaptation_settings import AdaptationSettings
from xover_core.training.batch_sampling import OverlapBatchSampler, SceneBatch
from xover_core.training.frame_geometry import FrameGeometry
from xover_core.training.landmark_sampling import LandmarkSample, sample_landmarks
from xover_core.training.locus_loss import locus_loss
from xover_core.training.locus_settings import pair_settings, per_radius
from xover_core.training.locus_task import MEAN_SCORE
from xover_core.training.locus_validation import LocusValidation
from xover_core.training.scene_frames import SceneFrames
from xover_core.training.training_task import make_generator
from xover_core.types import Float32Array


class HeldOut:
    """Frames that are kept apart, and what heads make of them."""

    def __init__(
        self, network: CompactEncoder, scene: SceneFrames, settings: AdaptationSettings, num_threads: int = 1
    ) -> None:
        """Compute what the heads see of the frames, `num_threads` frames at a time.

        Raises:
            TrainingError: no two frames overlap.
        """
        self._validation = LocusValidation(_OneScene(scene), settings.validation, settings.batches)
        self._inputs = frame_inputs(network, scene, num_threads)
        self._grid = scene.images.shape[1] // network.patch_size, scene.images.shape[2] // network.patch_size

    def measure(self, heads: SiteHeads) -> tuple[float, ...]:
        """Average precision for each radius: patches of other frames, all pairs in one ranking."""

        def describe(batch: SceneBatch) -> tuple[Tensor, ...]:
            features = heads(*self._inputs.of(batch.frames))
            return tuple(one.unflatten(1, self._grid) for one in features)

        return tuple(self._validation.measure_features(describe, heads.radii).values())


class AdaptationTask:
    """A `TrainingTask`; its batches are views and landmarks."""

    score_name = MEAN_SCORE

    def __init__(
        self,
        heads: SiteHeads,
        views: TrainingViews,
        overlap: Float32Array,
        held_out: HeldOut,
        settings: AdaptationSettings,
    ) -> None:
        """Prepare.

        Args:
            heads: to train.
            views: to train on.
            overlap: (F, F) of the frames that the views were made of.
            held_out: decides which weights are the best.
            settings: of everything.

        Raises:
            TrainingError: no two frames overlap.
        """
        self._heads = heads
        self._views = views
        self._held_out = held_out
        self._settings = settings
        self._pairs = pair_settings(heads.radii, settings.loss)
        self._weights = per_radius("loss.weights", settings.loss.weights, heads.radii)
        self._sampler = OverlapBatchSampler([_overlap_of_views(views.frames, overlap)], settings.batches)

    @property
    def network(self) -> nn.Module:
        """The heads."""
        return self._heads

    @property
    def settings(self) -> AdaptationSettings:
        """All settings."""
        return self._settings

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """As many as fill all views once."""
        return len(self._sampler)

    def load_batch(self, epoch: int, number: int) -> tuple[tuple[int, ...], FrameGeometry, LandmarkSample]:
        """Views, their geometry, and landmarks drawn from them."""
        views = self._sampler.epoch(epoch)[number].frames
        geometry = self._views.geometry.select(views)
        generator = make_generator(self._settings.trainer.seed, epoch, number)
        return views, geometry, sample_landmarks(geometry, self._settings.landmarks, generator)

    def loss(self, batch: tuple[tuple[int, ...], FrameGeometry, LandmarkSample]) -> tuple[Tensor, dict[str, float]]:
        """Weighted mean of the radii's losses, and the pull towards the start."""
        views, geometry, landmarks = batch
        features = self._heads(*self._views.inputs.of(views))
        total = torch.zeros(())
        for found, pairs, weight in zip(features, self._pairs, self._weights, strict=True):
            # one row of patches: which ones are neighbours does not matter here
            total = total + weight * locus_loss(found[:, None], geometry, landmarks, pairs, self._settings.loss)[0]
        total = total / sum(self._weights)
        pull = self._settings.pull * self._heads.squared_change()
        return total + pull, {"ranking": float(total.detach()), "pull": float(pull.detach())}

    def validate(self) -> dict[str, float]:
        """Mean over the radii of the average precision on frames that are kept apart."""
        return {MEAN_SCORE: float(np.mean(self._held_out.measure(self._heads)))}

    def save_weights(self, path: Path) -> None:
        """Write the heads; `load_weights` reads them."""
        save_file(dict(self._heads.state_dict()), path)

    def load_weights(self, path: Path) -> None:
        """Take the heads of a file."""
        self._heads.load_state_dict(load_file(path))


class _OneScene:
    """A `SceneSource` of one scene."""

    def __init__(self, scene: SceneFrames) -> None:
        self._scene = scene

    def __len__(self) -> int:
        return 1

    def scene(self, index: int) -> SceneFrames:  # noqa: ARG002
        return self._scene

    def overlap(self, index: int) -> Float32Array:  # noqa: ARG002
        return self._scene.overlap


def _overlap_of_views(frames: NDArray[np.intp], overlap: Float32Array) -> Float32Array:
    """(V, V) overlaps of views; those of one frame do not count, as they have nothing to learn from each other."""
    views: Float32Array = overlap[np.ix_(frames, frames)]
    views[frames[:, None] == frames[None, :]] = 0
    return views
