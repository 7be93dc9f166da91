# SPDX-License-Identifier: Apache-2.0
"""One number that a benchmark found, beside the number that it is compared with.

Each `bench_*.py` is a section: a generator of measurements, and one line that makes a command of it.

    def measure(args: argparse.Namespace) -> Iterator[Measurement | NotMeasured]:
        times = time_in_turns({"fast": fast, "simple": simple}, rounds=args.effort.pick(5, 15, 50))
        yield latency("matching", "fast matcher", times["fast"], "simple matcher", times["simple"])
        yield Measurement(
            area="matching", name="memory", value=12.0, unit="MB", baseline="its input", baseline_value=4.0
        )
        if not has_gpu():
            yield NotMeasured(area="matching", name="on a GPU", reason="no CUDA device is here")

    if __name__ == "__main__":
        sys.exit(run_section(__doc__, measure))

`timing.py` has the clocks, `section.py` the command, `run_results.py` the files, `tables.py` the tables,
`own_process.py` what needs a process of its own, and `run_all.py` runs all sections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number and its baseline, both measured in the same run.

    Attributes:
        area: what it is about, such as `localizer step`; rows of an area stand together in tables.
        name: of what was measured.
        variant: which of several ways to do it; where there are some, tables have a column for each.
        value: finite.
        unit: of `value` and `baseline_value`, such as `ms`, `MB`, `frames/s`.
        baseline: what it is compared with, in a few words.
        baseline_value: finite.
        note: what else to know of it, one short sentence.

    Raises:
        ValueError: a value is not finite.
    """

    area: str
    name: str
    value: float
    unit: str
    baseline: str
    baseline_value: float
    note: str = ""
    variant: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.baseline_value)):
            raise ValueError(
                f"{self.area}, {self.name}: expected finite values, got {self.value}, {self.baseline_value}."
            )

    @property
    def ratio(self) -> float | None:
        """`value` as a multiple of `baseline_value`; none when that is 0."""
        return self.value / self.baseline_value if self.baseline_value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """What a section would have measured elsewhere, and why not here."""

    area: str
    name: str
    reason: str


Row = Measurement | NotMeasured


def significant(value: float) -> str:
    """Three digits that count, and all of those before the point."""
    if value and abs(value) < 1e-3:
        return f"{value:.2e}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{decimals}f}"
