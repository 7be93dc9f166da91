# SPDX-License-Identifier: Apache-2.0
"""The learning rate of each step: linear warm-up, then constant or half a cosine."""

from __future__ import annotations

import math

from xover_core.training.training_settings import TrainerSettings


def learning_rate_at(step: int, num_steps: int, settings: TrainerSettings) -> float:
    """The rate of a step.

    Args:
        step: counted from 0.
        num_steps: of the whole run.
        settings: largest rate, warm-up, schedule.
    """
    rate = settings.learning_rate
    if step < settings.warmup_steps:
        return rate * (step + 1) / (settings.warmup_steps + 1)
    if settings.schedule == "constant":
        return rate
    progress = (step - settings.warmup_steps) / max(num_steps - settings.warmup_steps, 1)
    cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return rate * (settings.final_share + (1 - settings.final_share) * cosine)
