# SPDX-License-Identifier: Apache-2.0
"""Settings of `xover train crossover`."""

from __future__ import annotations

from dataclasses import dataclass, field

from xover_core.config import Settings, setting
from xover_core.training.contrastive_settings import ContrastiveSettings
from xover_core.training.training_settings import TrainerSettings

STAGES = ("instance", "scene", "unified", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverDataSettings(Settings):
    """What is trained on."""

    scans: tuple[str, ...] = setting((), "folders of scans to train on")
    validation: tuple[str, ...] = setting((), "folders of other scans, to choose the best weights; empty = the newest")
    start: tuple[str, ...] = setting(
        (), "weights to start from, of earlier stages (best.safetensors), later files over earlier ones; empty = random"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomBatchSettings(Settings):
    """How scenes are put together to batches, and changed."""

    is_changed: bool = setting(True, "scenes are shown in part, turned, noisy, in another light")
    num_scenes: int = setting(32, "scenes of a batch, each the negative of the others", minimum=2)
    same_category: float = setting(
        0.5, "batches in which scenes of one category come together, share: they are harder", minimum=0.0, maximum=1.0
    )
    max_views: int = setting(8, "views of a scene, at most; their number is drawn", minimum=1)
    single_view: float = setting(0.25, "scenes with a single view, share", minimum=0.0, maximum=1.0)
    max_objects: int = setting(16, "objects of a scene; more are left out at random", minimum=1)
    rescan_share: float = setting(
        0.34, "batches in which the other scan of each place is looked for too, share", minimum=0.0, maximum=1.0
    )
    missing: float = setting(
        0.15, "probability of each modality of an object to be taken away", minimum=0.0, maximum=0.9
    )
    typos: float = setting(0.3, "texts with typing errors and stray words, share", minimum=0.0, maximum=1.0)
    cloud_points: int = setting(16_000, "points of a cloud, at most", minimum=100)
    color_gain: float = setting(0.12, "spread of the brightness of clouds, and half of it by channel", minimum=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverLossSettings(Settings):
    """Weights beside those of the contrastive loss."""

    rescan: float = setting(1.0, "weight of finding the other scan of the same place, and its objects", minimum=0.0)
    attributes: float = setting(
        3.0, "unified: weight of predicting what is in the room, its colours and sides from each embedding", minimum=0.0
    )
    object_weight: float = setting(
        0.0,
        "unified: weight of the instance loss (joint, eq. 4); 0 freezes the instance encoder, as released",
        minimum=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverSettings(Settings):
    """Everything that decides what a CrossOver training gives."""

    stage: str = setting(
        "unified",
        "instance: objects of a scene (eq. 1); scene: their fusion (eq. 3); unified: encoders of scenes (eq. 5);"
        " text: the text encoder once more, all others frozen",
        choices=STAGES,
    )
    data: CrossoverDataSettings = field(default_factory=CrossoverDataSettings)
    batches: RoomBatchSettings = field(default_factory=RoomBatchSettings)
    contrast: ContrastiveSettings = field(default_factory=lambda: ContrastiveSettings(scene_pairs="both"))
    loss: CrossoverLossSettings = field(default_factory=CrossoverLossSettings)
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(
            max_steps=1000, weight_decay=0.02, warmup_steps=50, average_decay=0.98, validate_every=200
        )
    )
