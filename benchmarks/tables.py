# SPDX-License-Identifier: Apache-2.0
"""Runs of benchmarks as tables, plain and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from measurement import Measurement, significant
from run_results import BenchRun, SectionResult

HEADER = ("what", "value", "unit", "baseline", "its value", "ratio", "note")
NUMBERS = (1, 4, 5)
_WIDEST = 60


def plain_table(run: BenchRun) -> str:
    """For a terminal."""
    lines = [describe_environment(run), ""]
    for area, measurements in by_area(run.sections).items():
        lines += [area, *_aligned(rows_of(measurements)), ""]
    return "\n".join(lines + list(remarks(run.sections))).rstrip()


def markdown_table(run: BenchRun) -> str:
    """For `docs/benchmarks.md`."""
    lines = [describe_environment(run), ""]
    for area, measurements in by_area(run.sections).items():
        header, *rows = rows_of(measurements)
        rule = ["---:" if is_number else "---" for is_number in _number_columns(header)]
        lines += [f"**{area}**", "", *("| " + " | ".join(row) + " |" for row in (header, rule, *rows)), ""]
    return "\n".join(lines + [f"- {remark}" for remark in remarks(run.sections)]).rstrip()


def rows_of(measurements: Sequence[Measurement]) -> list[Sequence[str]]:
    """A table of one area, its header first: a row for each measurement, or for each name where there are variants."""
    if not any(m.variant for m in measurements):
        return [HEADER, *map(cells, measurements)]
    variants = list(dict.fromkeys(m.variant for m in measurements))
    rows: list[Sequence[str]] = [("what", f"{measurements[0].baseline}, {measurements[0].unit}", *variants)]
    for name in dict.fromkeys(m.name for m in measurements):
        found = {m.variant: m for m in measurements if m.name == name}
        baseline = significant(next(iter(found.values())).baseline_value)
        rows.append((name, baseline, *(_value_and_ratio(found.get(variant)) for variant in variants)))
    return rows


def _value_and_ratio(measurement: Measurement | None) -> str:
    """A cell of a variant."""
    if measurement is None:
        return ""
    return f"{significant(measurement.value)} ({cells(measurement)[5]})"


def _number_columns(header: Sequence[str]) -> list[bool]:
    """Which columns are numbers."""
    return [column in NUMBERS if header is HEADER else column > 0 for column in range(len(header))]


def describe_environment(run: BenchRun) -> str:
    """Machine, commit and time in one line."""
    found = run.environment
    where = [f"{found.cores} cores of {found.processor}", f"{found.memory_gb:g} GB", found.gpu or "no GPU"]
    threads = [f"{name}={value}" for name, value in found.threads.items()]
    return ", ".join(
        [
            f"{found.provenance.created}, commit {short_commit(run)}, {run.effort} run",
            *where,
            f"load average {found.load_average:g} at the start",
            *threads,
            *(f"{name} {version}" for name, version in found.provenance.libraries.items()),
        ]
    )


def short_commit(run: BenchRun) -> str:
    """Ten digits, and whether files were changed since."""
    commit, plus, changes = run.environment.provenance.commit.partition("+")
    return commit[:10] + plus + changes


def by_area(sections: Sequence[SectionResult]) -> dict[str, list[Measurement]]:
    """Measurements of each area, areas in the order of their first row."""
    areas: dict[str, list[Measurement]] = {}
    for section in sections:
        for measurement in section.measurements:
            areas.setdefault(measurement.area, []).append(measurement)
    return areas


def remarks(sections: Sequence[SectionResult]) -> list[str]:
    """A sentence for each thing that was not measured and each section that failed."""
    gaps = [f"not measured: {gap.area}, {gap.name}: {gap.reason}" for section in sections for gap in section.gaps]
    return gaps + [f"FAILED: {section.name}: {section.error}" for section in sections if section.error]


def cells(measurement: Measurement) -> tuple[str, ...]:
    """A row as texts."""
    return (
        measurement.name,
        significant(measurement.value),
        measurement.unit,
        measurement.baseline,
        significant(measurement.baseline_value),
        "-" if measurement.ratio is None else significant(measurement.ratio),
        measurement.note,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; a text that is very long moves the rest of its row."""
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*rows, strict=True)]
    is_number = _number_columns(rows[0])
    return [
        "  "
        + "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in rows
    ]
