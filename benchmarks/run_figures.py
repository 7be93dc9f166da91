# SPDX-License-Identifier: Apache-2.0
"""Figures of a run as PNG: how backends compare, and where the time of a localizer step goes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from measurement import Measurement, significant
from run_results import BenchRun
from tables import by_area, describe_environment

NETWORKS, STEP = "networks, ", "localizer step"
"""Areas that are drawn begin so; each is a panel."""
MEDIAN = ", p50"
"""Areas or names of medians end so."""
_COLORS = ("#1f4e9a", "#e0a030", "#1f7a3f", "#c62828", "#7b5ea7", "#5b6b7f", "#2aa0a4", "#8c564b", "#d475a5")
_BASELINE = "#b4bbc6"
_DPI = 130
_WIDTH, _BAR, _AROUND = 12.0, 0.2, 1.6


def draw_backends(run: BenchRun) -> bytes:
    """For each network a bar for each backend: its median latency as a multiple of torch's; empty without numbers."""
    areas = {
        area: found
        for area, found in by_area(run.sections).items()
        if area.startswith(NETWORKS) and area.endswith(MEDIAN)
    }
    if not areas:
        return b""
    labels = list(dict.fromkeys(m.variant for found in areas.values() for m in found))
    colors = {label: _COLORS[number % len(_COLORS)] for number, label in enumerate(labels)}
    rows, middles, height = _place_bars([m for found in areas.values() for m in found], labels)
    figure = Figure(figsize=(_WIDTH, _AROUND + _BAR * height), layout="constrained")
    panels = figure.subplots(1, len(areas), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (area, found) in zip(panels, areas.items(), strict=True):
        for measurement in found:
            y = rows[measurement.name, measurement.variant]
            _draw_ratio(axes, y, measurement, colors[measurement.variant])
        axes.set_title(area.removesuffix(MEDIAN), fontsize=10)
        _finish_ratios(axes)
    panels[0].set_yticks(list(middles.values()), list(middles))
    panels[0].set_ylim(height - 1, -1)
    handles = [panels[0].barh(0, 0, color=color, label=label) for label, color in colors.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return _as_png(figure, run)


def draw_steps(run: BenchRun) -> bytes:
    """Median of each stage of a localizer step beside its baseline; empty without numbers."""
    found_in = by_area(run.sections)
    medians = {area: [m for m in found if m.name.endswith(MEDIAN)] for area, found in found_in.items()}
    areas = {area: found for area, found in medians.items() if area.startswith(STEP) and found}
    if not areas:
        return b""
    longest = max(len(found) for found in areas.values())
    figure = Figure(figsize=(_WIDTH, _AROUND + 2 * _BAR * longest), layout="constrained")
    for axes, (area, found) in zip(figure.subplots(1, len(areas), squeeze=False)[0], areas.items(), strict=True):
        rows = np.arange(len(found))
        baselines = ", ".join(dict.fromkeys(m.baseline for m in found))
        for offset, values, color, label in (
            (-0.2, [m.value for m in found], _COLORS[0], "xover"),
            (0.2, [m.baseline_value for m in found], _BASELINE, baselines),
        ):
            bars = axes.barh(rows + offset, values, height=0.38, color=color, label=label)
            axes.bar_label(bars, [significant(value) for value in values], fontsize=7, padding=2)
        axes.set_yticks(rows, [m.name.removesuffix(MEDIAN) for m in found])
        axes.invert_yaxis()
        axes.set_title(area, fontsize=10)
        axes.set_xlabel("ms, median")
        axes.margins(x=0.15)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    return _as_png(figure, run)


def _place_bars(
    measurements: Sequence[Measurement], labels: Sequence[str]
) -> tuple[dict[tuple[str, str], int], dict[str, float], int]:
    """Row of each (network, backend) that was measured anywhere, middle of each network's rows, and number of rows."""
    measured = {(m.name, m.variant) for m in measurements}
    rows: dict[tuple[str, str], int] = {}
    middles: dict[str, float] = {}
    height = 0
    for name in dict.fromkeys(m.name for m in measurements):
        own = [label for label in labels if (name, label) in measured]
        rows |= {(name, label): height + number for number, label in enumerate(own)}
        middles[name] = height + (len(own) - 1) / 2
        height += len(own) + 1
    return rows, middles, height


def _draw_ratio(axes: Axes, y: float, measurement: Measurement, color: str) -> None:
    """A bar from 1 to the ratio, with its latency."""
    ratio = measurement.ratio or 1.0
    axes.barh(y, ratio - 1.0, left=1.0, color=color, height=0.85)
    text = f" {significant(ratio)} ({significant(measurement.value)} ms) "
    axes.text(ratio, y, text, va="center", ha="left" if ratio >= 1 else "right", fontsize=7)


def _finish_ratios(axes: Axes) -> None:
    """A logarithmic axis of ratios with room for texts on both sides."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("median latency as a multiple of torch eager's, left is faster", fontsize=9)
    axes.margins(x=0.35)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _as_png(figure: Figure, run: BenchRun) -> bytes:
    """File contents; machine and commit stand above."""
    figure.suptitle(", ".join(describe_environment(run).split(", ")[:5]), fontsize=8, color="#5b6b7f")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI)
    return data.getvalue()
