# SPDX-License-Identifier: Apache-2.0
"""Rankings of patches, query after query, into average precisions: each query by itself, and all pairs in one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.average_precision import (
    count_at_least,
    pooled_average_precision,
    precision_at_positives,
)
from xover_core.types import Float32Array

_SAME, _OTHER = 0, 1
_ALL_FRAMES = (_SAME, _OTHER)
_OTHER_FRAMES = (_OTHER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """Average precisions within one universe; 0 where no query has a positive.

    Attributes:
        map: mean over queries, patches of all frames.
        vap: all (query, patch) pairs in one ranking.
        other_frames_map: as `map`, over patches of other frames than the query's.
        other_frames_vap: as `vap`, likewise.
    """

    map: float
    vap: float
    other_frames_map: float
    other_frames_vap: float


class RetrievalTally:
    """Collects scores; those of a pair are stored once, by ring of distance and by same or other frame."""

    def __init__(self, num_universes: int) -> None:
        """Start empty.

        Args:
            num_universes: nested, so ring 0 holds the positives, ring k the negatives that universe k adds.
        """
        self._rings = range(1, num_universes + 1)
        self._positives: list[list[Float32Array]] = [[], []]
        self._negatives: dict[tuple[int, int], list[Float32Array]] = {(r, o): [] for r in self._rings for o in (0, 1)}
        self._precisions: dict[tuple[int, tuple[int, ...]], list[float]] = {}
        self._chances: dict[tuple[int, tuple[int, ...]], list[float]] = {}

    def add(self, similarities: Float32Array, rings: NDArray[np.int8], is_other_frame: NDArray[np.bool_]) -> None:
        """Add one query's ranking; one without positives has no average precision and is left out.

        Args:
            similarities: (M,) to every patch.
            rings: (M,) as `distance_rings` gives them.
            is_other_frame: (M,) whether a patch is of another frame than the query.
        """
        is_positive = rings == 0
        if not is_positive.any():
            return
        if not (is_positive & is_other_frame).any():
            # no part of the ranking over other frames, which has nothing to find
            is_other_frame = np.zeros_like(is_other_frame)
        side = is_other_frame.astype(np.int8)
        positives = [similarities[is_positive & (side == o)] for o in (_SAME, _OTHER)]
        negatives = {(r, o): np.sort(similarities[(rings == r) & (side == o)]) for r, o in self._negatives}
        for o in (_SAME, _OTHER):
            self._positives[o].append(positives[o])
        for key, scores in negatives.items():
            self._negatives[key].append(scores)
        for sides in (_ALL_FRAMES, _OTHER_FRAMES):
            self._add_query(np.concatenate([positives[o] for o in sides]), negatives, sides)

    def precisions(self, universe: int) -> Precisions:
        """Average precisions in a universe, 1 for the smallest."""
        return Precisions(
            map=_mean(self._precisions.get((universe, _ALL_FRAMES), [])),
            vap=self._pooled(universe, _ALL_FRAMES),
            other_frames_map=_mean(self._precisions.get((universe, _OTHER_FRAMES), [])),
            other_frames_vap=self._pooled(universe, _OTHER_FRAMES),
        )

    def chances(self, universe: int) -> Precisions:
        """What a random ranking would get: the share of positives."""
        return Precisions(
            map=_mean(self._chances.get((universe, _ALL_FRAMES), [])),
            vap=self._share(universe, _ALL_FRAMES),
            other_frames_map=_mean(self._chances.get((universe, _OTHER_FRAMES), [])),
            other_frames_vap=self._share(universe, _OTHER_FRAMES),
        )

    @property
    def num_queries(self) -> int:
        """Queries that have a positive."""
        return len(self._precisions.get((1, _ALL_FRAMES), []))

    def _add_query(
        self, positives: Float32Array, negatives: dict[tuple[int, int], Float32Array], sides: tuple[int, ...]
    ) -> None:
        """Average precision of one query in every universe, over patches of these sides."""
        num_above = np.zeros(len(positives), np.int64)
        num_negatives = 0
        for ring in self._rings:
            for side in sides:
                num_above += count_at_least(negatives[ring, side], positives)
                num_negatives += len(negatives[ring, side])
            value = precision_at_positives(positives, num_above)
            if value is not None:
                self._precisions.setdefault((ring, sides), []).append(value)
                self._chances.setdefault((ring, sides), []).append(len(positives) / (len(positives) + num_negatives))

    def _pooled(self, universe: int, sides: tuple[int, ...]) -> float:
        """All pairs in one ranking."""
        positives, negatives = self._chunks(universe, sides)
        return pooled_average_precision(positives, negatives) or 0.0

    def _share(self, universe: int, sides: tuple[int, ...]) -> float:
        """Share of positives among all pairs."""
        positives, negatives = self._chunks(universe, sides)
        num_positives, num_negatives = sum(map(len, positives)), sum(map(len, negatives))
        return num_positives / max(num_positives + num_negatives, 1)

    def _chunks(self, universe: int, sides: tuple[int, ...]) -> tuple[list[Float32Array], list[Float32Array]]:
        """Scores of positives and of the negatives within a universe."""
        positives = [chunk for o in sides for chunk in self._positives[o]]
        rings = [r for r in self._rings if r <= universe]
        return positives, [chunk for r in rings for o in sides for chunk in self._negatives[r, o]]


def _mean(values: list[float]) -> float:
    """Mean, 0 for none."""
    return sum(values) / len(values) if values else 0.0
