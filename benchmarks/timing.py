# SPDX-License-Identifier: Apache-2.0
"""Clocks of benchmarks: several calls in turns, so that a machine whose speed drifts is fair to all of them.

Wall-clock time is what a robot waits; processor time, of all threads together, is what it pays, and says more on a
machine that is also busy with other things.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from measurement import Measurement, significant

T = TypeVar("T")
Clocks = tuple[Callable[[], float], Callable[[], float]]
CLOCKS: Clocks = (time.perf_counter, time.process_time)
"""Seconds on the wall, and of all threads of this process."""
WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Times:
    """What each call of one function took, milliseconds; `wall_ms` and `processor_ms` are of the same calls."""

    wall_ms: tuple[float, ...]
    processor_ms: tuple[float, ...]

    @classmethod
    def together(cls, parts: Iterable[Times]) -> Times:
        """The calls of several."""
        listed = list(parts)
        return cls(
            tuple(ms for part in listed for ms in part.wall_ms),
            tuple(ms for part in listed for ms in part.processor_ms),
        )

    @property
    def p50(self) -> float:
        """Median on the wall clock."""
        return percentile(self.wall_ms, 50)

    @property
    def p95(self) -> float:
        """95th percentile on the wall clock."""
        return percentile(self.wall_ms, 95)

    @property
    def processor_p50(self) -> float:
        """Median of the processor's time."""
        return percentile(self.processor_ms, 50)


def percentile(values: Sequence[float], percent: float) -> float:
    """Percentile of at least one number."""
    return float(np.percentile(values, percent))


def time_once(call: Callable[[], T], clocks: Clocks = CLOCKS) -> tuple[T, Times]:
    """What a function gives, and what it took."""
    start = [clock() for clock in clocks]
    result = call()
    wall_s, processor_s = (clock() - begin for clock, begin in zip(clocks, start, strict=True))
    return result, Times((1e3 * wall_s,), (1e3 * processor_s,))


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = WARM_UP, clocks: Clocks = CLOCKS
) -> dict[str, Times]:
    """Time functions in turns, each once in a round, in an order that a fixed seed shuffles anew for each round.

    Args:
        calls: what to time, by name.
        rounds: calls of each that count.
        warm_up: rounds before those, which don't.
        clocks: of the wall and of the processor.

    Returns:
        Times for each name.
    """
    order = random.Random(0)
    taken: dict[str, list[Times]] = {name: [] for name in calls}
    for turn in range(warm_up + rounds):
        for name in order.sample(sorted(calls), len(calls)):
            _, times = time_once(calls[name], clocks)
            if turn >= warm_up:
                taken[name].append(times)
    return {name: Times.together(parts) for name, parts in taken.items()}


def latency(
    area: str,
    name: str,
    times: Times,
    baseline: str,
    baseline_times: Times,
    *,
    percent: float = 50,
    note: str = "",
    variant: str = "",
) -> Measurement:
    """A percentile of the wall clock in ms beside the same of a baseline; processor times go into the note."""
    own, other = significant(times.processor_p50), significant(baseline_times.processor_p50)
    times_of_processor = f"processor {own} ms against {other} ms"
    return Measurement(
        area=area,
        name=name,
        value=percentile(times.wall_ms, percent),
        unit="ms",
        baseline=baseline,
        baseline_value=percentile(baseline_times.wall_ms, percent),
        note=f"{note}; {times_of_processor}" if note else times_of_processor,
        variant=variant,
    )
