# SPDX-License-Identifier: Apache-2.0
"""Which place, in one picture: for every way of asking, how clearly each frame is of its own place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xover_core.evaluation.protocols.which_place import ONE_FRAME, WhichPlace, WhichPlaceRow
from xover_core.types import Float64Array

_DPI = 130
_WIDTH, _ROW_HEIGHT, _AROUND = 13.0, 0.24, 1.4
# A row's colours are full at this percentile of its margins: scores of features are of very different sizes.
_FULL_PERCENTILE = 90.0
_COLORS = "RdBu"


def draw_which_place(done: WhichPlace, path: Path) -> None:
    """Write the picture as PNG, a strip of each place's frames for each row; folders on the way are made."""
    rows = done.report.rows[-len(done.margins) :]
    names = list(rows[0].places)
    figure = Figure(figsize=(_WIDTH, _AROUND + _ROW_HEIGHT * len(rows)), layout="constrained")
    # a short recording is to be seen as well
    widths = np.sqrt([rows[0].places[name].queries for name in names]).tolist()
    every = figure.subplots(1, len(names), sharey=True, width_ratios=widths)
    sizes = np.array([_full_color(np.concatenate(of_places)) for of_places in done.margins])[:, None]
    for place, (name, axes) in enumerate(zip(names, every, strict=True)):
        strips = np.stack([of_places[place] for of_places in done.margins]) / sizes
        drawn = axes.imshow(strips, cmap=_COLORS, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        _finish_axes(axes, name, rows)
    every[0].set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    scale = figure.colorbar(drawn, ax=every, location="bottom", shrink=0.3, aspect=40, pad=0.01, ticks=[-1, 0, 1])
    scale.set_ticklabels(["another place", "undecided", "the right place"], fontsize=8)
    figure.suptitle(done.report.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _finish_axes(axes: Axes, name: str, rows: Sequence[WhichPlaceRow]) -> None:
    """The place on top, shares of right answers on the right, a line between features."""
    axes.set_title(f"{name}, {rows[0].places[name].queries} frames", fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for number, row in enumerate(rows):
        text = f" {100 * row.places[name].first:.0f} %"
        axes.text(1.0, number, text, va="center", fontsize=8, transform=axes.get_yaxis_transform())
        before = rows[max(number - 1, 0)]
        if (row.feature, row.input) != (before.feature, before.input):
            axes.axhline(number - 0.5, color="black", linewidth=1.0)


def _full_color(margin: Float64Array) -> float:
    """The margin that is drawn in full colour, of all margins of a row."""
    return max(float(np.percentile(np.abs(margin), _FULL_PERCENTILE)), float(np.finfo(np.float64).tiny))


def _label(row: WhichPlaceRow) -> str:
    """Of a row."""
    frames = "frame alone" if row.frames == ONE_FRAME else f"belief, {row.frames}"
    return f"{row.feature}, {row.input}, {row.compares}, {frames}"
