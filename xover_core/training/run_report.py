# SPDX-License-Identifier: Apache-2.0
"""What a training run tells while it goes on: means of scalars, and a progress bar or now and then a message."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from tqdm import tqdm

_LOGGER = logging.getLogger(__name__)


class ScalarMeans:
    """Means of scalars over batches that may have different ones."""

    def __init__(self) -> None:
        """Start empty."""
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, scalars: Mapping[str, float]) -> None:
        """Take in the scalars of a batch."""
        for name, value in scalars.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means, and start anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means


class StepReport:
    """A progress bar on a terminal; elsewhere a message every few seconds."""

    def __init__(self, *, first_step: int, num_steps: int, every_seconds: float, is_silent: bool) -> None:
        """Show where the run starts."""
        self._bar = tqdm(
            desc="training", unit=" steps", initial=first_step, total=num_steps, disable=True if is_silent else None
        )
        self._says_lines = self._bar.disable and not is_silent
        self._num_steps = num_steps
        self._every_seconds = every_seconds
        self._said_at = -math.inf

    def show(self, step: int, loss: float) -> None:
        """A step is done."""
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        now = time.monotonic()
        if self._says_lines and now - self._said_at >= self._every_seconds:
            self._said_at = now
            _LOGGER.info("step %d of %d: loss %.4f", step, self._num_steps, loss)

    def close(self) -> None:
        """Leave the terminal."""
        self._bar.close()
