# SPDX-License-Identifier: Apache-2.0
"""Instance matching in one picture: pairs of modalities, moved objects, and how many of them are found in a scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xover_core.evaluation.protocols.instance_retrieval import CHANCE, InstanceRetrieval, InstanceRetrievalRow
from xover_core.evaluation.protocols.recall_figure import draw_matrix, draw_nothing, finish_recall_axes
from xover_core.types import SceneModality

_DPI = 130
_NUM_STEPS = 101
_THRESHOLDS = (0.25, 0.5, 0.75)


def draw_instance_retrieval(done: InstanceRetrieval, path: Path) -> None:
    """Write the picture as PNG; folders on the way are made."""
    figure = Figure(figsize=(14.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_pairs(left, done, _same_scan, "the same object of a scan, top-1 in %")
    _draw_pairs(middle, done, _moved, "rearranged scenes with half of the moved objects found, %")
    _draw_found(right, done)
    figure.suptitle(done.report.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _same_scan(row: InstanceRetrievalRow) -> float:
    return row.same_scan.at.get("1", np.nan) if row.same_scan else np.nan


def _moved(row: InstanceRetrievalRow) -> float:
    return row.moved.scenes_at["50"] if row.moved else np.nan


def _draw_pairs(
    axes: Axes, done: InstanceRetrieval, value: Callable[[InstanceRetrievalRow], float], title: str
) -> None:
    """A number of all pairs of modalities of the model."""
    rows = [row for row in done.report.rows if row.feature == _model(done)]
    names = [m.value for m in SceneModality if any(row.query == m.value for row in rows)]
    by_pair = {(row.query, row.reference): value(row) for row in rows}
    values = np.array([[by_pair.get((q, r), np.nan) for r in names] for q in names], np.float64)
    if not np.isfinite(values).any():
        draw_nothing(axes, f"{title}:\nnothing to be found")
        return
    draw_matrix(axes, values.reshape(len(names), len(names)), names, names)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel("query")
    axes.set_xlabel("reference")


def _draw_found(axes: Axes, done: InstanceRetrieval) -> None:
    """Share of rescans by the share of their moved objects that is found first, within each modality."""
    pairs = {key: shares for key, shares in done.found.items() if key[1] == key[2] and len(shares)}
    if not pairs:
        draw_nothing(axes, "moved objects:\nnone in the data")
        return
    grid = np.linspace(0, 1, _NUM_STEPS)
    for ((feature, query, _), shares), color in zip(pairs.items(), color_sequences["tab10"], strict=False):
        at_least = [(shares >= share - 1e-9).mean() for share in grid]
        is_model = feature == _model(done)
        label = query.replace("point_cloud", "cloud") + ("" if is_model else f", {feature}")
        axes.plot(grid, at_least, "-" if is_model else ":", color=color, linewidth=1.6, label=label)
    for share in _THRESHOLDS:
        axes.axvline(share, color="#c62828", linewidth=0.6, linestyle=(0, (4, 4)))
    finish_recall_axes(axes, "rearranged scenes", "at least this share of the moved objects is found first")
    axes.set_xlim(0, 1)
    axes.legend(fontsize=8, loc="lower left", framealpha=0.8)


def _model(done: InstanceRetrieval) -> str:
    """The first feature that is measured."""
    return next((row.feature for row in done.report.rows if row.feature != CHANCE), CHANCE)
