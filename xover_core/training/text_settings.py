# SPDX-License-Identifier: Apache-2.0
"""Settings of `xover train text`."""

from __future__ import annotations

from dataclasses import dataclass, field

from xover_core.config import Settings, setting
from xover_core.training.training_settings import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPretrainingSettings(Settings):
    """What the text network learns from before it meets images."""

    num_apartments: int = setting(200, "apartments of eight rooms and a corridor to write about", minimum=1)
    first_seed: int = setting(500_000, "seed of the first of them", minimum=0)
    num_validation: int = setting(30, "other apartments, to choose the best weights", minimum=1)
    batch_size: int = setting(96, "phrases of a batch; all classes are drawn equally often", minimum=1)
    typos: float = setting(0.5, "phrases with typing errors and stray words, share", minimum=0.0, maximum=1.0)
    trainer: TrainerSettings = field(
        default_factory=lambda: TrainerSettings(
            max_steps=1500, learning_rate=2e-3, weight_decay=0.01, warmup_steps=20, validate_every=250
        )
    )
