# SPDX-License-Identifier: Apache-2.0
"""The curves of `bench_scale.py` as a figure."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement

_SIZE = re.compile(r"([\d,]+) landmarks")
_BLUE, _GREEN, _ORANGE, _GREY = "#1f4e9a", "#1f7a3f", "#e0a030", "#9a9a9a"
_DPI = 130
# name of a panel, unit of its axis, and its curves: label, how the rows' names begin and end, colour, line
_Curve = tuple[str, str, str, str, str]
_PANELS: tuple[tuple[str, str, tuple[_Curve, ...]], ...] = (
    (
        "time of a query",
        "ms",
        (
            ("again, median", "again", "p50", _BLUE, "-"),
            ("again, 95th percentile", "again", "p95", _BLUE, ":"),
            ("first time, median", "first time", "p50", _ORANGE, "-"),
            ("first time, 95th percentile", "first time", "p95", _ORANGE, ":"),
        ),
    ),
    ("opening the map", "s", (("time", "time", "", _BLUE, "-"),)),
    ("memory and file", "MB", (("memory once open", "memory", "", _BLUE, "-"), ("file", "file", "", _GREY, "-"))),
    ("queries answered rightly", "%", (("within 0.25 m, 10 deg", "right", "", _GREEN, "-"),)),
)


def draw_scale(rows: Sequence[Measurement]) -> bytes:
    """PNG of time, memory, file and right answers over the number of landmarks."""
    figure = Figure(figsize=(12.0, 3.6), layout="constrained")
    for axes, (title, unit, curves) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for label, start, end, color, line in curves:
            points = sorted(
                (_size(row), row.value) for row in rows if row.name.startswith(start) and row.name.endswith(end)
            )
            axes.plot(*zip(*points, strict=True), line, marker="o", markersize=4, color=color, label=label)
        _finish(axes, title, unit)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _size(row: Measurement) -> int:
    """Number of landmarks that a row's name tells."""
    found = _SIZE.search(row.name)
    assert found is not None, row.name
    return int(found[1].replace(",", ""))


def _finish(axes: Axes, title: str, unit: str) -> None:
    """Scales and labels."""
    axes.set_xscale("log")
    if unit == "MB":
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 100 if unit == "%" else None)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("landmarks of the map")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.legend(frameon=False, fontsize=8)
