# SPDX-License-Identifier: Apache-2.0
"""Scene retrieval in one picture: curves, pairs of modalities, number of views, missing modalities, baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xover_core.evaluation.protocols.embedding_sets import FUSED, VIEW_COUNTS
from xover_core.evaluation.protocols.recall_figure import (
    BARS_TOP,
    CHANCE_COLOR,
    draw_matrix,
    draw_nothing,
    draw_recall_curve,
    finish_recall_axes,
)
from xover_core.evaluation.protocols.retrieval_metrics import Recalls
from xover_core.evaluation.protocols.scene_retrieval import CHANCE, SceneRetrieval, SceneRetrievalRow
from xover_core.evaluation.protocols.scene_tasks import PairScores
from xover_core.types import SceneModality

_DPI = 130
_MAX_K = 20
_IMAGE, _CLOUD = SceneModality.IMAGE.value, SceneModality.POINT_CLOUD.value
# The pairs of the paper, each once.
_CURVES = (
    (_IMAGE, _CLOUD),
    (_IMAGE, SceneModality.FLOORPLAN.value),
    (_IMAGE, SceneModality.TEXT.value),
    (_CLOUD, SceneModality.FLOORPLAN.value),
    (_CLOUD, SceneModality.TEXT.value),
    (SceneModality.TEXT.value, SceneModality.FLOORPLAN.value),
)

_Part = Callable[[PairScores], Recalls | None]


class _Table:
    """Rows of the report by what they compare."""

    def __init__(self, done: SceneRetrieval) -> None:
        rows = done.report.rows
        self.rows = {(row.feature, row.query, row.reference): row for row in rows}
        self.model = next(row.feature for row in rows if row.feature != CHANCE)
        known = {row.query for row in rows if row.feature == self.model}
        self.modalities = [m.value for m in SceneModality if m.value in known]
        self.fused = list(dict.fromkeys(row.reference for row in rows if row.reference.startswith(FUSED)))
        self.features = [row.feature for row in rows if (row.query, row.reference) == (_IMAGE, _CLOUD)]
        self.queries = known
        self.views = done.standard_views
        self.chance = next(row.scores for row in rows if row.feature == CHANCE)

    def values(self, queries: Sequence[str], references: Sequence[str], part: _Part) -> NDArray[np.float64]:
        """(Q, R) top-1 of the model, NaN where a row lacks it."""
        cells = [[_top_1(self.rows.get((self.model, q, r)), part) for r in references] for q in queries]
        return np.array(cells, np.float64).reshape(len(queries), len(references))


def draw_scene_retrieval(done: SceneRetrieval, path: Path) -> None:
    """Write the picture as PNG; folders on the way are made."""
    table = _Table(done)
    figure = Figure(figsize=(14.0, 8.0), layout="constrained")
    axes = figure.subplots(2, 3)
    _draw_curves(axes[0, 0], table, done)
    _draw_pairs(axes[0, 1], table, lambda scores: scores.scene, "the same scan, top-1 in %")
    _draw_pairs(axes[0, 2], table, lambda scores: scores.rescan, "from its rearranged rescan, top-1 in %")
    _draw_views(axes[1, 0], table)
    _draw_missing(axes[1, 1], table)
    _draw_baselines(axes[1, 2], table)
    figure.suptitle(done.report.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _draw_curves(axes: Axes, table: _Table, done: SceneRetrieval) -> None:
    """Recall by k of the paper's pairs."""
    for (query, reference), color in zip(_CURVES, color_sequences["tab10"], strict=False):
        ranks = done.ranks.get((table.model, query, reference))
        if ranks is not None and len(ranks):
            draw_recall_curve(axes, ranks, _MAX_K, f"{query} → {reference}".replace(_CLOUD, "cloud"), color)
    ks = np.arange(1, _MAX_K + 1)
    shares = np.minimum(ks / max(done.num_candidates, 1), 1.0)
    axes.plot(ks, shares, color=CHANCE_COLOR, linestyle=":", label=CHANCE)
    finish_recall_axes(axes, "the same scan is among the first k", "k")
    axes.set_xticks((1, 5, 10, 15, _MAX_K))
    axes.set_xlim(1, _MAX_K)
    axes.legend(fontsize=8, loc="lower right", framealpha=0.8)


def _draw_pairs(axes: Axes, table: _Table, part: _Part, title: str) -> None:
    """Top-1 of all pairs of modalities."""
    values = table.values(table.modalities, table.modalities, part)
    _draw_query_matrix(axes, values, table.modalities, table.modalities, title)


def _draw_missing(axes: Axes, table: _Table) -> None:
    """Top-1 against fusions; from rescans, or where there are none from the same scan, as far as that makes sense."""
    has_rescans = table.chance.rescan is not None
    part: _Part = (lambda scores: scores.rescan) if has_rescans else (lambda scores: scores.scene)
    values = table.values(table.modalities, table.fused, part)
    title = f"modalities removed from the reference, {'rescan' if has_rescans else 'same scan'}, top-1 in %"
    _draw_query_matrix(axes, values, table.modalities, table.fused, title)


def _draw_query_matrix(
    axes: Axes, values: NDArray[np.float64], queries: Sequence[str], references: Sequence[str], title: str
) -> None:
    """A matrix, or why there is none."""
    if not np.isfinite(values).any():
        draw_nothing(axes, f"{title}:\nnothing to be found")
        return
    draw_matrix(axes, values, queries, references)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel("query")
    axes.set_xlabel("reference")


def _draw_views(axes: Axes, table: _Table) -> None:
    """Top-1 by number of views, for each modality of the reference."""
    names = {count: f"{_IMAGE}, {count} view{'s' * (count > 1)}" for count in VIEW_COUNTS}
    names[table.views] = _IMAGE
    counts = sorted(count for count, name in names.items() if name in table.queries)
    references = [name for name in table.modalities if name != _IMAGE]
    if not counts or not references:
        draw_nothing(axes, "number of views:\nno pictures, or nothing to compare them with")
        return
    values = table.values([names[count] for count in counts], references, lambda scores: scores.scene)
    for column, (name, color) in enumerate(zip(references, color_sequences["tab10"], strict=False)):
        label = f"{_IMAGE} → {name}".replace(_CLOUD, "cloud")
        axes.plot(counts, values[:, column], "o-", color=color, markersize=4, linewidth=1.6, label=label)
    axes.set_xticks(counts)
    finish_recall_axes(axes, "the same scan by number of views, top-1", "views")
    axes.legend(fontsize=8, loc="best", framealpha=0.8)


def _draw_baselines(axes: Axes, table: _Table) -> None:
    """Top-1 and top-10 from images to clouds, by feature."""
    found = [(name, table.rows[name, _IMAGE, _CLOUD].scores.scene) for name in table.features]
    bars = [(name, recalls) for name, recalls in [*found, (CHANCE, table.chance.scene)] if recalls is not None]
    if len(bars) < 2:
        draw_nothing(axes, "image → cloud:\nnot both in the data")
        return
    places = np.arange(len(bars))
    for k, color, shift in ((10, "#a8d5ba", 0.2), (1, "#1d6996", -0.2)):
        shares = [recalls.at[str(k)] for _, recalls in bars]
        drawn = axes.bar(places + shift, shares, 0.38, color=color, label=f"top-{k}")
        axes.bar_label(drawn, [f"{100 * share:.0f}" for share in shares], fontsize=8, padding=2)
    axes.set_xticks(places, [name for name, _ in bars], rotation=20, ha="right", fontsize=8)
    finish_recall_axes(axes, "image → cloud, the same scan", "", BARS_TOP)
    axes.legend(fontsize=8, loc="upper right", framealpha=0.8)


def _top_1(row: SceneRetrievalRow | None, part: _Part) -> float:
    """NaN where there is none."""
    recalls = part(row.scores) if row else None
    return recalls.at["1"] if recalls else float("nan")
