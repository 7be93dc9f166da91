# SPDX-License-Identifier: Apache-2.0
"""Parts of figures about retrieval: recall by the number of answers, and matrices of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from xover_core.evaluation.protocols.retrieval_metrics import IntArray

CHANCE_COLOR = "#9a9a9a"
_GRID_ALPHA = 0.3
# Upper ends of the axes: lines at 1 are to be seen, and bars have numbers on them.
_TOP, BARS_TOP = 1.03, 1.12
# Above this share of the scale a cell is so dark that its number must be white.
_DARK = 0.55


def draw_recall_curve(axes: Axes, ranks: IntArray, max_k: int, label: str, color: ColorType) -> None:
    """Share of (Q,) ranks up to k, for k = 1 ... max_k."""
    ks = np.arange(1, max_k + 1)
    shares = [(ranks <= k).mean() for k in ks]
    axes.plot(ks, shares, color=color, linewidth=1.6, label=label)


def finish_recall_axes(axes: Axes, title: str, x_label: str, top: float = _TOP) -> None:
    """Title, limits and grid of axes whose y is a share."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label)
    axes.set_ylim(0, top)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.grid(alpha=_GRID_ALPHA, linewidth=0.5)


def draw_matrix(axes: Axes, values: NDArray[np.floating], rows: Sequence[str], columns: Sequence[str]) -> None:
    """(R, C) shares as colours and percentages; NaN is blank."""
    axes.imshow(np.ma.masked_invalid(values), cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [_short(c) for c in columns], rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [_short(r) for r in rows], fontsize=8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if value > _DARK else "black"
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=color)


def draw_nothing(axes: Axes, why: str) -> None:
    """Empty axes that say why."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", fontsize=9, color=CHANCE_COLOR, transform=axes.transAxes)


def _short(name: str) -> str:
    return name.replace("point_cloud", "cloud")
