# SPDX-License-Identifier: Apache-2.0
"""Share of pairs whose relative pose is within an error, as curves over distance and over angle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xover_core.evaluation.protocols.pair_errors import MAX_ANGLE_DEG, MAX_DISTANCE, NO_MOTION, PairErrors
from xover_core.types import Float64Array

_DPI = 130
_LINES = {("5-point", "true"): ":", ("5-point", "depth"): "--", ("3D-3D", "depth"): "-"}
_NO_MOTION_COLOR = "#9a9a9a"


def draw_pair_errors(errors: Sequence[PairErrors], path: Path) -> None:
    """Write the curves as PNG: a colour for each feature, a line style for each solver; folders on the way are made."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_curves(left, errors, [e.distances for e in errors], MAX_DISTANCE, 2.0)
    _draw_curves(right, errors, [e.angles_deg for e in errors], MAX_ANGLE_DEG, 60.0)
    left.set_xlabel("translation error, m")
    right.set_xlabel("rotation error, deg")
    left.set_ylabel("share of pairs")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _draw_curves(
    axes: Axes, errors: Sequence[PairErrors], values: Sequence[Float64Array], limit: float, end: float
) -> None:
    """Cumulative share up to `end`, with a line at the limit of the table."""
    features = list(dict.fromkeys(e.feature for e in errors if e.feature != NO_MOTION))
    colors = dict(zip(features, color_sequences["tab10"], strict=False))
    grid = np.linspace(0, end, 200)
    for each, value in zip(errors, values, strict=True):
        share = np.searchsorted(np.sort(value), grid, side="right") / len(value)
        color, style = colors.get(each.feature, _NO_MOTION_COLOR), _LINES.get((each.solver, each.scale), "-")
        label = each.feature if each.feature == NO_MOTION else f"{each.feature}, {each.solver}, length: {each.scale}"
        axes.plot(grid, share, color=color, linestyle=style, linewidth=1.4, label=label)
    axes.axvline(limit, color="#c62828", linewidth=0.8, linestyle=(0, (4, 4)))
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3, linewidth=0.5)
