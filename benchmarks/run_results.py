# SPDX-License-Identifier: Apache-2.0
"""What a run of benchmarks gave, and its JSON file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import Environment
from measurement import Measurement, NotMeasured

from xover_core.evaluation.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionResult:
    """What one section gave.

    Attributes:
        name: of `bench_NAME.py`.
        seconds: that it took.
        measurements: in the order in which they were made.
        gaps: what could not be measured here.
        error: why it ended before its end, empty when it did not; what it had measured until then is there.
    """

    name: str
    seconds: float
    measurements: tuple[Measurement, ...] = ()
    gaps: tuple[NotMeasured, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """All sections of a run, and its effort: quick, normal or full."""

    environment: Environment
    effort: str
    sections: tuple[SectionResult, ...]


def write_run(run: BenchRun, file: Path) -> None:
    """Write JSON; folders are made. Ratios are written for those who read it with other programs."""
    content = dataclasses.asdict(run)
    for section, written in zip(run.sections, content["sections"], strict=True):
        for measurement, row in zip(section.measurements, written["measurements"], strict=True):
            row["ratio"] = measurement.ratio
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_run(file: Path) -> BenchRun:
    """Read what `write_run` wrote."""
    content = json.loads(file.read_text(encoding="utf-8"))
    environment = content["environment"]
    provenance = Provenance(**environment.pop("provenance"))
    return BenchRun(
        environment=Environment(**environment, provenance=provenance),
        effort=content["effort"],
        sections=tuple(_section(section) for section in content["sections"]),
    )


def _section(content: dict[str, Any]) -> SectionResult:
    """One section; ratios are computed again."""
    measurements = [{k: v for k, v in row.items() if k != "ratio"} for row in content.pop("measurements")]
    gaps = content.pop("gaps")
    return SectionResult(
        **content,
        measurements=tuple(Measurement(**row) for row in measurements),
        gaps=tuple(NotMeasured(**row) for row in gaps),
    )
