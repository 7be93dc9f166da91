# SPDX-License-Identifier: Apache-2.0
"""Clocks of benchmarks: several calls in turns, so that a machine whose speed drifts is fair to all of them.

Wall-clock time is what a robot waits; processor time, of all threads together, is what it pays, and says more on a
machine that is also busy with other things.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from measurement import Measurement

Clock = Callable[[], float]
WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Times:
    """What each call of one function took, milliseconds; `wall_ms` and `processor_ms` are of the same calls."""

    wall_ms: tuple[float, ...]
    processor_ms: tuple[float, ...]

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


def time_in_turns(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = WARM_UP,
    wall_clock: Clock = time.perf_counter,
    processor_clock: Clock = time.process_time,
) -> dict[str, Times]:
    """Time functions in turns, each once in a round, in an order that a fixed seed shuffles anew for each round.

    Args:
        calls: what to time, by name.
        rounds: calls of each that count.
        warm_up: rounds before those, which don't.
        wall_clock: seconds.
        processor_clock: seconds of all threads of this process.

    Returns:
        Times for each name.
    """
    order = random.Random(0)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(warm_up + rounds):
        for name in order.sample(sorted(calls), len(calls)):
            start = wall_clock(), processor_clock()
            calls[name]()
            end = wall_clock(), processor_clock()
            if turn >= warm_up:
                taken[name].append((1e3 * (end[0] - start[0]), 1e3 * (end[1] - start[1])))
    return {name: Times(*zip(*pairs, strict=True)) for name, pairs in taken.items()}


def latency(
    area: str, name: str, times: Times, baseline: str, baseline_times: Times, *, percent: float = 50, note: str = ""
) -> Measurement:
    """A percentile of the wall clock in ms beside the same of a baseline; processor times go into the note."""
    times_of_processor = f"processor {times.processor_p50:.3g} ms against {baseline_times.processor_p50:.3g} ms"
    return Measurement(
        area=area,
        name=name,
        value=percentile(times.wall_ms, percent),
        unit="ms",
        baseline=baseline,
        baseline_value=percentile(baseline_times.wall_ms, percent),
        note=f"{note}; {times_of_processor}" if note else times_of_processor,
    )
