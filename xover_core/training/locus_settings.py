# SPDX-License-Identifier: Apache-2.0
"""Settings of LoCUS training: network, loss, validation, and all of them with the engine's as one tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xover_core.config import Settings, setting
from xover_core.errors import ConfigError
from xover_core.networks.vit_backbone import VIT_SHAPES
from xover_core.training.batch_sampling import BatchSettings
from xover_core.training.depth_noise import DepthNoiseSettings
from xover_core.training.landmark_sampling import LandmarkSettings
from xover_core.training.pair_labels import PairSettings
from xover_core.training.photometric import PhotometricSettings
from xover_core.training.scale_crop import ZoomSettings
from xover_core.training.training_settings import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusDataSettings(Settings):
    """Which scenes."""

    scenes: tuple[str, ...] = setting((), "folders of scenes to train on")
    validation: tuple[str, ...] = setting((), "folders of other scenes, on which the best weights are chosen")

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ConfigError: a value out of range, or folders that are not text.
        """
        Settings.__post_init__(self)
        if not all(isinstance(folder, str) for folder in (*self.scenes, *self.validation)):
            raise ConfigError("settings data.scenes, data.validation: expected lists of folder names.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusNetworkSettings(Settings):
    """Which network is trained."""

    kind: str = setting(
        "compact",
        "compact: our own RGB-D encoder; heads: LoCUS heads on a frozen DINO or DINOv2",
        choices=("compact", "heads"),
    )
    radii: tuple[float, ...] = setting((0.2, 0.6, 2.0), "rho of each set of features, m, ascending")
    backbone: str = setting("dino-vitb8", "heads: the backbone", choices=tuple(VIT_SHAPES))
    backbone_weights: str = setting("", "heads: its file, as published or as safetensors")
    whitening_frames: int = setting(200, "compact: frames that its first projection is fitted to", minimum=1)

    def __post_init__(self) -> None:
        """Check the fields, and that the radii ascend.

        Raises:
            ConfigError: a value out of range.
        """
        Settings.__post_init__(self)
        _require_positive("network.radii", self.radii)
        if list(self.radii) != sorted(set(self.radii)):
            raise ConfigError(f"setting network.radii: expected ascending radii, got {list(self.radii)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusLossSettings(Settings):
    """Smooth average precision for each radius, and what it ranks."""

    ranking: str = setting(
        "vectorized",
        "vectorized: all (landmark, patch) pairs in one ranking; per-landmark: the mean over each landmark's own",
        choices=("vectorized", "per-landmark"),
    )
    temperature: float = setting(0.01, "of the smooth ranking, in units of similarity", minimum=1e-5)
    counts_self: bool = setting(False, "a positive competes with itself, as in the released LoCUS code")
    universes: tuple[float, ...] = setting(
        (10.0,), "patches beyond this are not ranked, m: kappa * rho; one for all radii, or one for each"
    )
    weights: tuple[float, ...] = setting((1.0,), "share of a radius in the loss; one for all, or one for each")
    landmark_embedding: str = setting(
        "patch",
        "patch: the feature of the patch it was made of, as released; mean: of all its positives, as in the paper",
        choices=("patch", "mean"),
    )
    exclude_same_frame: bool = setting(
        True, "a landmark is compared with patches of other frames only, as localization does"
    )
    self_match: str = setting(
        "own", "own: a landmark is not ranked against its own patch; released: nor against other landmarks'",
        choices=("own", "released"),
    )  # fmt: skip
    patch_share: float = setting(
        1.0, "random share of the patches that is ranked; positives always are", minimum=0.001, maximum=1.0
    )

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ConfigError: a value out of range.
        """
        Settings.__post_init__(self)
        _require_positive("loss.universes", self.universes)
        _require_positive("loss.weights", self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusValidationSettings(Settings):
    """Exact average precision of fixed batches, other frames only, all pairs in one ranking."""

    max_batches: int = setting(16, "batches of the validation scenes, evenly spread", minimum=1)
    num_queries: int = setting(64, "query patches of a batch", minimum=1)
    universe: float = setting(10.0, "patches beyond this are not ranked, m", minimum=0.01)
    score: str = setting(
        "smallest", "value that decides which weights are the best: of the smallest radius, or the mean of all",
        choices=("smallest", "mean"),
    )  # fmt: skip
    seed: int = setting(0, "of the draw of queries", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusSettings(Settings):
    """Everything that decides what a LoCUS training gives."""

    data: LocusDataSettings = field(default_factory=LocusDataSettings)
    network: LocusNetworkSettings = field(default_factory=LocusNetworkSettings)
    batches: BatchSettings = field(default_factory=BatchSettings)
    landmarks: LandmarkSettings = field(default_factory=LandmarkSettings)
    loss: LocusLossSettings = field(default_factory=LocusLossSettings)
    augmentation: PhotometricSettings = field(default_factory=PhotometricSettings)
    depth_noise: DepthNoiseSettings = field(default_factory=DepthNoiseSettings)
    zoom: ZoomSettings = field(default_factory=ZoomSettings)
    validation: LocusValidationSettings = field(default_factory=LocusValidationSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


def pair_settings(radii: Sequence[float], settings: LocusLossSettings) -> tuple[PairSettings, ...]:
    """What is positive and negative for each radius.

    Raises:
        ConfigError: universes that are not as many as radii, or smaller than them.
    """
    universes = per_radius("loss.universes", settings.universes, radii)
    return tuple(
        PairSettings(
            radius=radius,
            kappa=universe / radius,
            self_match=settings.self_match,
            patch_share=settings.patch_share,
        )
        for radius, universe in zip(radii, universes, strict=True)
    )


def per_radius(name: str, values: Sequence[float], radii: Sequence[float]) -> tuple[float, ...]:
    """A value for each radius, from one for all or one for each.

    Raises:
        ConfigError: another number of values.
    """
    if len(values) not in (1, len(radii)):
        raise ConfigError(f"setting {name}: expected 1 or {len(radii)} values, one for each radius, got {len(values)}.")
    return tuple(values) if len(values) == len(radii) else tuple(values) * len(radii)


def _require_positive(name: str, values: tuple[float, ...]) -> None:
    """Raise ConfigError unless there are only positive numbers."""
    if not values or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0 for v in values):
        raise ConfigError(f"setting {name}: expected positive numbers, got {list(values)}.")
