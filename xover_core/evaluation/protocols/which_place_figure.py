# SPDX-License-Identifier: Apache-2.0
"""Which place, in one picture: for every way of asking, how clearly each frame is of its own place."""

from __future__ import annotations

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
    """Write the picture as PNG; folders on the way are made."""
    rows = done.report.rows[-len(done.margins) :]
    strips = np.stack([_strip(np.concatenate(of_places)) for of_places in done.margins])
    figure = Figure(figsize=(_WIDTH, _AROUND + _ROW_HEIGHT * len(rows)), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(strips, cmap=_COLORS, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    _name_rows(axes, rows)
    _name_places(axes, rows[0])
    scale = figure.colorbar(drawn, ax=axes, shrink=0.5, pad=0.07, ticks=[-1, 0, 1])
    scale.set_ticklabels(["another place", "undecided", "the right place"], fontsize=8)
    figure.suptitle(done.report.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _strip(margin: Float64Array) -> Float64Array:
    """(Q,) margins of a row in units of its larger ones."""
    size = float(np.percentile(np.abs(margin), _FULL_PERCENTILE))
    return margin / max(size, float(np.finfo(np.float64).tiny))


def _name_rows(axes: Axes, rows: tuple[WhichPlaceRow, ...]) -> None:
    """What is asked on the left, the share of right answers on the right, a line between features."""
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.tick_params(length=0)
    for number, row in enumerate(rows):
        text = f"{100 * row.all.first:.0f} %"
        axes.annotate(
            text, (1.005, number), xycoords=("axes fraction", "data"), va="center", fontsize=8, annotation_clip=False
        )
        if number and (row.feature, row.input) != (rows[number - 1].feature, rows[number - 1].input):
            axes.axhline(number - 0.5, color="black", linewidth=1.0)


def _name_places(axes: Axes, row: WhichPlaceRow) -> None:
    """Which frames are of which place."""
    ends = np.cumsum([share.queries for share in row.places.values()])
    starts = np.append(0, ends[:-1])
    axes.set_xticks(
        (starts + ends - 1) / 2, [f"{name}, {n}" for name, n in zip(row.places, ends - starts, strict=True)]
    )
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color="black", linewidth=1.0)
    axes.set_xlabel("query frames in order of time")


def _label(row: WhichPlaceRow) -> str:
    """Of a row."""
    frames = "frame alone" if row.frames == ONE_FRAME else f"belief, {row.frames}"
    return f"{row.feature}, {row.input}, {row.compares}, {frames}"
