# SPDX-License-Identifier: Apache-2.0
"""Settings of `xover train inventory`."""

from __future__ import annotations

from dataclasses import dataclass, field

from xover_core.config import Settings, setting
from xover_core.training.training_settings import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryDataSettings(Settings):
    """What is trained on."""

    scans: tuple[str, ...] = setting((), "folders of scans to train on, of `xover scenes --rooms`")
    validation: tuple[str, ...] = setting((), "folders of other scans, to choose the best weights; empty = the newest")
    num_apartments: int = setting(800, "apartments for texts and floorplans, of which nothing is rendered", minimum=1)
    first_seed: int = setting(200_000, "seed of the first of them", minimum=0)
    min_pair_scans: int = setting(8, "a thing of a colour or material is told apart when so many have it", minimum=1)
    min_trait_share: float = setting(
        0.009, "a trait is told when this share of the rooms has it", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryBatchSettings(Settings):
    """How much of each comes together, and how it is changed."""

    num_texts: int = setting(96, "texts of a batch", minimum=1)
    num_floorplans: int = setting(32, "floorplans of a batch", minimum=2)
    num_scans: int = setting(16, "scans of a batch, with cloud and views, each the negative of the others", minimum=2)
    max_views: int = setting(8, "views of a scan, at most; their number is drawn", minimum=1)
    max_sentences: int = setting(10, "sentences of a text about a scan, at most", minimum=1)
    typos: float = setting(0.35, "texts with typing errors and stray words, share", minimum=0.0, maximum=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InventorySettings(Settings):
    """Everything that decides what a training of the inventory gives."""

    data: InventoryDataSettings = field(default_factory=InventoryDataSettings)
    batches: InventoryBatchSettings = field(default_factory=InventoryBatchSettings)
    temperature: float = setting(0.1, "of the contrast between texts and scans", minimum=0.001)
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(
            max_steps=3000, learning_rate=2e-3, weight_decay=0.02, warmup_steps=50, validate_every=250
        )
    )
