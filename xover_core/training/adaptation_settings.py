# SPDX-License-Identifier: Apache-2.0
"""Settings of site adaptation: which frames, how the heads are trained on them, and when the result is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from xover_core.config import Settings, setting
from xover_core.training.batch_sampling import BatchSettings
from xover_core.training.depth_noise import DepthNoiseSettings
from xover_core.training.landmark_sampling import LandmarkSettings
from xover_core.training.locus_settings import LocusLossSettings, LocusValidationSettings
from xover_core.training.photometric import PhotometricSettings
from xover_core.training.recording_scenes import RecordingSceneSettings
from xover_core.training.scale_crop import ZoomSettings
from xover_core.training.training_settings import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutSettings(Settings):
    """Which frames are kept apart, to measure on."""

    share: float = setting(0.2, "of the frames", minimum=0.05, maximum=0.5)
    stretches: int = setting(3, "whole stretches that they make, spread over the recording", minimum=1)
    gap: float = setting(
        0.3, "frames nearer than this to one kept apart are not trained on: distance in m + angle in rad", minimum=0.0
    )
    min_gain: float = setting(
        0.005, "adapted heads are kept when the mean average precision grows by more than this", minimum=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCopiesSettings(Settings):
    """What is made of each training frame, once, before the heads are trained."""

    num_copies: int = setting(
        3, "zoomed, recoloured, disturbed copies of each frame, beside the frame itself", minimum=0
    )
    num_patches: int = setting(
        100, "random patches of each that are trained on, beside every second of every second row", minimum=0
    )
    zoom: ZoomSettings = field(default_factory=lambda: ZoomSettings(probability=0.5))
    photometric: PhotometricSettings = field(default_factory=PhotometricSettings)
    depth_noise: DepthNoiseSettings = field(default_factory=lambda: DepthNoiseSettings(dropout=0.0))
    seed: int = setting(0, "of all of it", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationSettings(Settings):
    """Everything that decides what an adaptation gives."""

    frames: RecordingSceneSettings = field(default_factory=lambda: RecordingSceneSettings(min_step=0.1))
    held_out: HeldOutSettings = field(default_factory=HeldOutSettings)
    copies: ChangedCopiesSettings = field(default_factory=ChangedCopiesSettings)
    batches: BatchSettings = field(default_factory=lambda: BatchSettings(batch_size=12))
    landmarks: LandmarkSettings = field(default_factory=LandmarkSettings)
    loss: LocusLossSettings = field(default_factory=lambda: LocusLossSettings(temperature=0.02))
    validation: LocusValidationSettings = field(default_factory=lambda: LocusValidationSettings(num_queries=200))
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(
            max_steps=300, learning_rate=2e-3, optimizer="adam", validate_every=50, patience=3, loader_threads=0
        )
    )
    max_minutes: float = setting(5.0, "for all of it; 0 = no limit", minimum=0.0)
    pull: float = setting(
        3e-4, "draws the heads back to where they started: times the sum of squared changes of weights", minimum=0.0
    )
