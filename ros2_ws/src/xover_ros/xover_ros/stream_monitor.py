# SPDX-License-Identifier: Apache-2.0
"""How fast and how recently messages come in on one topic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW = 50  # messages over which the rate is measured


class StreamMonitor:
    """Counts the messages of one topic by the time at which they arrive."""

    def __init__(self, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no message.

        Args:
            topic: as the user would find it, with namespace and remapping applied.
            clock: seconds that never go back.
        """
        self.topic = topic
        self.num_messages = 0
        self._clock = clock
        self._started = clock()
        self._arrivals: deque[float] = deque(maxlen=_WINDOW)

    def note(self) -> None:
        """A message has arrived."""
        self.num_messages += 1
        self._arrivals.append(self._clock())

    @property
    def age_s(self) -> float:
        """Seconds since the newest message, or since the start when there was none."""
        return self._clock() - (self._arrivals[-1] if self._arrivals else self._started)

    @property
    def rate_hz(self) -> float:
        """Messages per second over the last messages, the silence until now included; 0 with fewer than two."""
        if len(self._arrivals) < 2:
            return 0.0
        span = max(self._arrivals[-1], self._clock() - self._mean_interval()) - self._arrivals[0]
        return (len(self._arrivals) - 1) / max(span, 1e-9)

    def _mean_interval(self) -> float:
        return (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
