# SPDX-License-Identifier: Apache-2.0
"""Places from single images in one picture: top-1 by reference, variant and number of candidates, and recall by k."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xover_core.evaluation.protocols.protocol_report import ProtocolReport
from xover_core.evaluation.protocols.recall_figure import BARS_TOP, CHANCE_COLOR, finish_recall_axes
from xover_core.evaluation.protocols.scene_graph_loc import (
    CHANCE,
    CROSSOVER,
    IMAGE_KS,
    STATIC,
    TEMPORAL,
    SceneGraphLocRow,
)

_DPI = 130
_STYLES = {STATIC: ("#1d6996", "-"), TEMPORAL: ("#e17c05", "--"), CROSSOVER: ("#94346e", ":")}
_BAR_WIDTH = 0.26


def draw_scene_graph_loc(report: ProtocolReport[SceneGraphLocRow], path: Path) -> None:
    """Write the picture as PNG: a row for each number of candidates; folders on the way are made."""
    counts = list(dict.fromkeys(row.num_candidates for row in report.rows))
    figure = Figure(figsize=(14.0, 4.2 * max(len(counts), 1)), layout="constrained")
    axes = figure.subplots(max(len(counts), 1), 2, squeeze=False, width_ratios=(1.6, 1.0))
    for row, count in enumerate(counts):
        rows = [item for item in report.rows if item.num_candidates == count]
        _draw_bars(axes[row, 0], rows, f"one of {count}: top-1")
        _draw_curves(axes[row, 1], rows, f"one of {count}: the right one is among the first k")
    figure.suptitle(report.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _draw_bars(axes: Axes, rows: Sequence[SceneGraphLocRow], title: str) -> None:
    """Top-1 of every reference, a bar for each variant."""
    names = list(dict.fromkeys(_name(row, rows) for row in rows))
    places = {name: place for place, name in enumerate(names)}
    for shift, (variant, (color, _)) in enumerate(_STYLES.items(), start=-1):
        chosen = [row for row in rows if row.variant == variant]
        at = [places[_name(row, rows)] + _BAR_WIDTH * shift for row in chosen]
        shares = [row.recalls.at["1"] for row in chosen]
        drawn = axes.bar(at, shares, _BAR_WIDTH, color=color, label=variant)
        axes.bar_label(drawn, [f"{100 * share:.0f}" for share in shares], fontsize=6, padding=1)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    finish_recall_axes(axes, title, "", BARS_TOP)
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False)


def _draw_curves(axes: Axes, rows: Sequence[SceneGraphLocRow], title: str) -> None:
    """Recall by k of the model's references by SceneGraphLoc's protocol: a colour for each, NT solid, T dashed."""
    model = _model(rows)
    references = list(dict.fromkeys(row.reference for row in rows if row.feature == model))
    colors = dict(zip(references, color_sequences["tab10"], strict=False))
    for row in rows:
        is_static = row.variant == STATIC
        if (row.feature == model and row.variant != CROSSOVER) or (row.feature == CHANCE and is_static):
            axes.plot(
                IMAGE_KS,
                [row.recalls.at[str(k)] for k in IMAGE_KS],
                color=colors.get(row.reference, CHANCE_COLOR),
                linestyle=_STYLES[row.variant][1],
                linewidth=1.5,
                label=_name(row, rows) if is_static else None,
            )
    axes.set_xticks(IMAGE_KS)
    finish_recall_axes(axes, title, f"k (solid: {STATIC}, dashed: {TEMPORAL})")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _model(rows: Sequence[SceneGraphLocRow]) -> str:
    """The first feature that is measured."""
    return next((row.feature for row in rows if row.feature != CHANCE), CHANCE)


def _name(row: SceneGraphLocRow, rows: Sequence[SceneGraphLocRow]) -> str:
    """Of a bar: the reference, with the feature where it is not the model."""
    reference = row.reference.replace("point_cloud", "cloud")
    if row.feature == CHANCE:
        return CHANCE
    return reference if row.feature == _model(rows) else f"{row.feature}: {reference}"
