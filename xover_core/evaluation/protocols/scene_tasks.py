# SPDX-License-Identifier: Apache-2.0
"""The questions of scene retrieval (CrossOver, section 4): the same scan, its rescan, its category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.evaluation.protocols.embedding_sets import EmbeddingSet
from xover_core.evaluation.protocols.retrieval_metrics import (
    NO_RANK,
    BoolArray,
    IntArray,
    Recalls,
    best_ranks,
    chance_recalls,
    recalls_of,
    recalls_within,
    released_temporal_recalls,
)
from xover_core.evaluation.protocols.scene_protocol_settings import SceneRetrievalSettings
from xover_core.evaluation.protocols.scene_table import SceneTable
from xover_core.types import Float32Array

SCENE_KS = (1, 5, 10, 20)
WITHIN_KS = (1, 3, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """What is measured of a query set and a reference set; None where it does not apply.

    Attributes:
        scene: the same scan, among the reference scans that have both modalities.
        rescan: from a rescan, the reference scan of its place, among the reference scans.
        temporal: from a reference scan, any rescan of its place, among all scans but itself.
        category: from a reference scan, another of its category, among the reference scans but itself.
        within_category: as `scene`, among the reference scans of its category; mean over the categories.
    """

    scene: Recalls | None
    rescan: Recalls | None
    temporal: Recalls | None
    category: Recalls | None
    within_category: Recalls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question: which scans ask, which are ranked, which are right; see `_make_tasks`.

    Attributes:
        is_query: (N,).
        is_right: (N, N) query by candidate.
        is_candidate: (N, N).
    """

    is_query: BoolArray
    is_right: BoolArray
    is_candidate: BoolArray


class SceneTasks:
    """The questions of one data set, for any pair of sets."""

    def __init__(self, table: SceneTable, settings: SceneRetrievalSettings) -> None:
        """Find out which scans belong together.

        Args:
            table: the scans.
            settings: which of them count, and how the temporal recall is counted.
        """
        self._settings = settings
        self._categories = table.categories
        self._reference = table.is_reference
        self._pool = np.ones(len(self._reference), bool) if settings.all_scans else self._reference
        self._tasks = _make_tasks(table, self._pool)

    def scores(self, query: EmbeddingSet, reference: EmbeddingSet) -> PairScores:
        """Answer every question from one set by the other."""
        similarity = np.asarray(query.vectors @ reference.vectors.T, np.float32)
        is_apart = not query.sources & reference.sources
        return PairScores(
            scene=self._recalls("scene", similarity, query, reference) if is_apart else None,
            rescan=self._recalls("rescan", similarity, query, reference),
            temporal=self._temporal(similarity, query, reference),
            category=self._recalls("category", similarity, query, reference),
            within_category=self._within(similarity, query, reference) if is_apart else None,
        )

    def ranks(self, query: EmbeddingSet, reference: EmbeddingSet) -> IntArray:
        """Ranks of the same scan, for curves."""
        ranks, _ = self._ranked("scene", np.asarray(query.vectors @ reference.vectors.T), query, reference)
        return np.asarray(ranks[ranks != NO_RANK])

    def chance(self) -> PairScores:
        """What a random order gets when nothing is missing."""
        counts = {
            name: ((task.is_right & task.is_candidate).sum(axis=1)[task.is_query], task.is_candidate[task.is_query])
            for name, task in self._tasks.items()
        }
        recalls = {
            name: chance_recalls(right, candidates.sum(axis=1), SCENE_KS)
            for name, (right, candidates) in counts.items()
        }
        return PairScores(within_category=self._chance_within(), **recalls)

    def _ranked(
        self, name: str, similarity: Float32Array, query: EmbeddingSet, reference: EmbeddingSet
    ) -> tuple[IntArray, IntArray]:
        """Ranks and numbers of candidates of the queries of a task that are present."""
        task = self._tasks[name]
        rows = task.is_query & query.present
        has_both = query.present if name == "scene" else True
        candidates = task.is_candidate[rows] & reference.present & has_both
        return best_ranks(similarity[rows], task.is_right[rows], candidates), candidates.sum(axis=1)

    def _recalls(
        self, name: str, similarity: Float32Array, query: EmbeddingSet, reference: EmbeddingSet
    ) -> Recalls | None:
        return recalls_of(*self._ranked(name, similarity, query, reference), SCENE_KS)

    def _temporal(self, similarity: Float32Array, query: EmbeddingSet, reference: EmbeddingSet) -> Recalls | None:
        if not self._settings.released_temporal:
            return self._recalls("temporal", similarity, query, reference)
        task = self._tasks["temporal"]
        rows = task.is_query & query.present
        if not (task.is_right[rows] & reference.present).any():
            return None
        return released_temporal_recalls(
            similarity[rows],
            task.is_right[rows],
            task.is_candidate[rows] & reference.present,
            num_listed=int(task.is_query.sum()),
            ks=SCENE_KS,
        )

    def _within(self, similarity: Float32Array, query: EmbeddingSet, reference: EmbeddingSet) -> Recalls | None:
        rows = np.flatnonzero(self._pool & query.present & reference.present)
        groups = [self._categories[index] for index in rows.tolist()]
        return recalls_within(similarity[np.ix_(rows, rows)], np.eye(len(rows), dtype=bool), groups, WITHIN_KS)

    def _chance_within(self) -> Recalls | None:
        """Of k among the n scans of a category one is right with k / n."""
        names = [self._categories[index] for index in np.flatnonzero(self._pool).tolist()]
        sizes = np.array([names.count(name) for name in sorted(set(names) - {""}) if names.count(name) > 1], np.int64)
        if not len(sizes):
            return None
        return Recalls(
            queries=int(sizes.sum()),
            candidates=float(sizes.mean()),
            at={str(k): float((k / sizes[sizes > k]).mean()) for k in WITHIN_KS if (sizes > k).any()},
        )


def _make_tasks(table: SceneTable, pool: BoolArray) -> dict[str, Task]:
    """The questions by their name in `PairScores`; `pool` (N,) are the scans that ask and are ranked."""
    places, is_reference = table.places, table.is_reference
    categories = np.array(table.categories)
    is_self = np.eye(len(places), dtype=bool)
    same_place = places[:, None] == places
    same_category = (categories[:, None] == categories) & (categories != "")
    everything = np.ones_like(is_self)
    return {
        "scene": Task(is_query=pool, is_right=is_self, is_candidate=everything & pool),
        "rescan": Task(is_query=~is_reference, is_right=same_place, is_candidate=everything & is_reference),
        "temporal": Task(is_query=is_reference, is_right=same_place, is_candidate=~is_self),
        "category": Task(is_query=pool, is_right=same_category, is_candidate=~is_self & pool),
    }
