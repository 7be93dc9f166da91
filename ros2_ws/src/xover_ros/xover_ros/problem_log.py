# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with the input: one line for each reason, throttled, and a count of everything."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

REPEAT_AFTER_S = 10.0
MAX_REASONS = 200  # a bound on memory against reasons that never repeat
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class ProblemLog:
    """Counts problems by kind; logs each reason at once, and again at most every `REPEAT_AFTER_S`."""

    def __init__(self, warn: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing counted.

        Args:
            warn: logs a line.
            clock: seconds that never go back.
        """
        self._warn = warn
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._last: dict[str, tuple[float, int]] = {}  # reason -> (when it was logged, how many since)

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind happened."""
        return dict(self._counts)

    def report(self, kind: str, sentence: str) -> None:
        """Count a problem, and log it unless the same was logged a moment ago.

        Args:
            kind: short and fixed, for the counters: `unusable colour image`.
            sentence: topic and reason; its numbers may differ each time.
        """
        self._counts[kind] += 1
        now = self._clock()
        key = _NUMBER.sub("#", sentence)
        logged_at, num_since = self._last.get(key, (-float("inf"), 0))
        if now - logged_at < REPEAT_AFTER_S:
            self._last[key] = (logged_at, num_since + 1)
            return
        if len(self._last) >= MAX_REASONS:
            self._last.clear()
        self._last[key] = (now, 0)
        self._warn(sentence + (f" ({num_since} more like this before)" if num_since else ""))
