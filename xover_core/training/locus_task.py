# SPDX-License-Identifier: Apache-2.0
"""LoCUS as a task of the training engine: overlapping frames, landmarks, smooth average precision for each radius."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from xover_core.training.batch_sampling import OverlapBatchSampler
from xover_core.training.depth_noise import disturb_depth
from xover_core.training.frame_geometry import FrameGeometry
from xover_core.training.landmark_sampling import LandmarkSample, sample_landmarks
from xover_core.training.locus_loss import locus_loss
from xover_core.training.locus_networks import LocusNetwork, save_locus_network
from xover_core.training.locus_settings import LocusSettings, pair_settings, per_radius
from xover_core.training.locus_validation import LocusValidation, radius_name
from xover_core.training.photometric import augment_photometrically
from xover_core.training.scale_crop import zoomed_frames
from xover_core.training.scene_source import SceneSource
from xover_core.training.training_task import make_generator

MEAN_SCORE = "ap_mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusBatch:
    """Overlapping frames of one scene.

    Attributes:
        images: (B, 3, H, W) float32 in [0, 1], augmented.
        seen_depth: (B, H, W) float32 metres that the network gets, 0 without reading.
        geometry: of the B frames, with all depth.
        landmarks: drawn from them.
    """

    images: Tensor
    seen_depth: Tensor
    geometry: FrameGeometry
    landmarks: LandmarkSample


class LocusTask:
    """A `TrainingTask`."""

    def __init__(
        self, network: nn.Module, scenes: SceneSource, validation: SceneSource | None, settings: LocusSettings
    ) -> None:
        """Prepare; reads the overlaps of all scenes, and no images.

        Args:
            network: a `LocusNetwork`.
            scenes: to train on.
            validation: others, to choose the best weights on; None = the newest are the best.
            settings: of everything.

        Raises:
            TrainingError: no two frames overlap in any scene.
            ConfigError: values for each radius that are not as many as radii.
        """
        self._network = network
        self._settings = settings
        self._scenes = scenes
        self._radii = cast(LocusNetwork, network).radii
        self._pairs = pair_settings(self._radii, settings.loss)
        self._weights = per_radius("loss.weights", settings.loss.weights, self._radii)
        self._sampler = OverlapBatchSampler([scenes.overlap(i) for i in range(len(scenes))], settings.batches)
        # several threads may draw the same epoch, which does no harm
        self._plan = functools.lru_cache(maxsize=2)(self._sampler.epoch)
        self._validation = LocusValidation(validation, settings.validation, settings.batches) if validation else None

    @property
    def network(self) -> nn.Module:
        """The network."""
        return self._network

    @property
    def settings(self) -> LocusSettings:
        """All settings."""
        return self._settings

    @property
    def score_name(self) -> str:
        """Average precision of the smallest radius, or the mean of all."""
        return MEAN_SCORE if self._settings.validation.score == "mean" else radius_name(self._radii[0])

    def num_batches(self, epoch: int) -> int:  # noqa: ARG002
        """As many as fill every scene once."""
        return len(self._sampler)

    def load_batch(self, epoch: int, number: int) -> LocusBatch:
        """Read, zoom and augment each frame, disturb the depth that the network sees, draw landmarks."""
        batch = self._plan(epoch)[number]
        generator = make_generator(self._settings.trainer.seed, epoch, number)
        scene = self._scenes.scene(batch.scene)
        images, geometry = zoomed_frames(scene, batch.frames, self._settings.zoom, generator)
        images = augment_photometrically(images, self._settings.augmentation, generator)
        landmarks = sample_landmarks(geometry, self._settings.landmarks, generator)
        seen_depth = disturb_depth(geometry.depth, self._settings.depth_noise, generator)
        return LocusBatch(images=images, seen_depth=seen_depth, geometry=geometry, landmarks=landmarks)

    def loss(self, batch: LocusBatch) -> tuple[Tensor, dict[str, float]]:
        """Weighted mean of the radii's losses."""
        device = next(self._network.parameters()).device
        geometry, landmarks = batch.geometry.to(device), batch.landmarks.to(device)
        network = cast(LocusNetwork, self._network)
        features = network(batch.images.to(device), batch.seen_depth.to(device), geometry.intrinsics.float())
        scalars = {"landmarks": float(len(landmarks))}
        total = torch.zeros((), device=device)
        for radius, found, pairs, weight in zip(self._radii, features, self._pairs, self._weights, strict=True):
            loss, share = locus_loss(found, geometry, landmarks, pairs, self._settings.loss)
            scalars[f"smooth_{radius_name(radius)}"] = 1 - float(loss.detach())
            scalars[f"positives_{radius:g}m"] = share
            total = total + weight * loss
        return total / sum(self._weights), scalars

    def validate(self) -> dict[str, float]:
        """Exact average precision for each radius, and their mean."""
        if self._validation is None:
            return {}
        values = self._validation.measure(self._network, self._radii)
        return {**values, MEAN_SCORE: sum(values.values()) / len(values)}

    def save_weights(self, path: Path) -> None:
        """Write the weights as they are to be used."""
        save_locus_network(self._network, self._settings.network, path)
