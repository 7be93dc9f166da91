# SPDX-License-Identifier: Apache-2.0
"""Recall of rankings of scenes and objects; pure functions of similarities.

A tie never flatters: whatever is as similar as the right answer counts as ranked before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import binom

from xover_core.types import Float32Array, Float64Array

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

NO_RANK = 0
"""The rank of a query that has nothing to be found."""
TIE = 1e-6
"""Similarities that differ by less are equal: products of equal vectors differ by rounding, by some 1e-7 in float32."""
THRESHOLDS = {"25": 0.25, "50": 0.5, "75": 0.75}
_RELEASED_DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalls:
    """How often something right is among the first k.

    Attributes:
        queries: that have something right to be found; the shares are of them.
        candidates: mean number of those that are ranked for a query.
        at: k -> share of the queries, in [0, 1].
    """

    queries: int
    candidates: float
    at: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMatches:
    """Objects of one scene, each matched to those of the same or of another scan of it.

    Attributes:
        ranks: (K,) of the right object for each query, 1 = first; no `NO_RANK`.
        candidates: objects that were ranked.
    """

    ranks: IntArray
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectScores:
    """Object matching over scenes.

    Attributes:
        scenes: that count: those with at least two candidates and a query.
        objects: queries in all of them.
        at: k -> mean over the scenes with more than k candidates of the share of objects found among the first k.
        scenes_at: percentage p -> share of the scenes in which at least p % of the objects are found first.
    """

    scenes: int
    objects: int
    at: dict[str, float]
    scenes_at: dict[str, float]


def best_ranks(similarity: Float32Array, is_right: BoolArray, is_candidate: BoolArray | None = None) -> IntArray:
    """(Q,) rank of the best right candidate of each query: 1 + the wrong ones that are at least as similar.

    Args:
        similarity: (Q, C).
        is_right: (Q, C).
        is_candidate: (Q, C) what is ranked at all; None for everything.

    Returns:
        `NO_RANK` where no candidate is right.
    """
    candidate = np.ones(similarity.shape, bool) if is_candidate is None else is_candidate
    right = is_right & candidate
    best = np.where(right, similarity, -np.inf).max(axis=1, initial=-np.inf)
    before = candidate & ~right & (similarity >= best[:, None] - TIE)
    return np.where(right.any(axis=1), 1 + before.sum(axis=1), NO_RANK).astype(np.int64)


def recalls_of(ranks: IntArray, num_candidates: IntArray, ks: Sequence[int]) -> Recalls | None:
    """Recall at each k of (Q,) ranks, over the queries that have one; None without any."""
    counted = ranks != NO_RANK
    if not counted.any():
        return None
    return Recalls(
        queries=int(counted.sum()),
        candidates=float(num_candidates[counted].mean()),
        at={str(k): float((ranks[counted] <= k).mean()) for k in ks},
    )


def chance_recalls(num_right: IntArray, num_candidates: IntArray, ks: Sequence[int]) -> Recalls | None:
    """What a random order gets, exactly, for queries with (Q,) right ones among (Q,) candidates; None without any."""
    counted = num_right > 0
    if not counted.any():
        return None
    right, total = num_right[counted].astype(np.float64), num_candidates[counted].astype(np.float64)
    return Recalls(
        queries=int(counted.sum()),
        candidates=float(total.mean()),
        at={str(k): float(_chance(right, total, k).mean()) for k in ks},
    )


def _chance(right: Float64Array, total: Float64Array, k: int) -> Float64Array:
    """1 - (total - right choose k) / (total choose k): something right among k random ones."""
    wrong = total - right
    log_none = gammaln(wrong + 1) - gammaln(np.maximum(wrong - k, 0) + 1)
    log_all = gammaln(total + 1) - gammaln(np.maximum(total - k, 0) + 1)
    return np.asarray(np.where(wrong < k, 1.0, 1.0 - np.exp(log_none - log_all)), np.float64)


def recalls_within(
    similarity: Float32Array, is_right: BoolArray, groups: Sequence[str], ks: Sequence[int]
) -> Recalls | None:
    """Recall inside each group of scans, mean over the groups.

    Args:
        similarity: (N, N) of N scans with themselves.
        is_right: (N, N).
        groups: (N,) names; the empty one is no group.
        ks: for each, groups of at most k scans do not count, since everything in them is among the first k.

    Returns:
        None when no group has two scans.
    """
    names = np.asarray(groups)
    parts = [np.flatnonzero(names == name) for name in sorted(set(groups) - {""})]
    parts = [part for part in parts if len(part) > 1]
    if not parts:
        return None
    ranks = [best_ranks(similarity[np.ix_(p, p)], is_right[np.ix_(p, p)]) for p in parts]
    shares = {k: [float((r <= k).mean()) for r in ranks if len(r) > k] for k in ks}
    return Recalls(
        queries=sum(map(len, parts)),
        candidates=float(np.mean([len(part) for part in parts])),
        at={str(k): float(np.mean(values)) for k, values in shares.items() if values},
    )


def released_temporal_recalls(
    similarity: Float32Array, is_right: BoolArray, is_candidate: BoolArray, *, num_listed: int, ks: Sequence[int]
) -> Recalls | None:
    """Temporal recall as CrossOver's released code counts it.

    It takes the first ten, puts them in the order of the data set, and takes the first k of these; and it divides by
    all listed reference scans, also by those without a query.

    Args:
        similarity: (Q, C).
        is_right: (Q, C).
        is_candidate: (Q, C).
        num_listed: what is divided by.
        ks: those above ten are left out.
    """
    if not num_listed:
        return None
    masked = np.where(is_candidate, similarity, -np.inf)
    first = np.sort(np.argsort(-masked, axis=1, kind="stable")[:, :_RELEASED_DEPTH], axis=1)
    hits = np.take_along_axis(is_right & is_candidate, first, axis=1)
    at = {str(k): float(hits[:, :k].any(axis=1).sum() / num_listed) for k in ks if k <= _RELEASED_DEPTH}
    return Recalls(queries=num_listed, candidates=float(is_candidate.sum(axis=1).mean()), at=at)


def score_objects(scenes: Sequence[ObjectMatches], ks: Sequence[int]) -> ObjectScores | None:
    """Sum up the matches of many scenes; None when none counts."""
    counted = [scene for scene in scenes if len(scene.ranks) and scene.candidates > 1]
    if not counted:
        return None
    first = np.array([(scene.ranks == 1).mean() for scene in counted])
    shares = {k: [float((s.ranks <= k).mean()) for s in counted if s.candidates > k] for k in ks}
    return ObjectScores(
        scenes=len(counted),
        objects=sum(len(scene.ranks) for scene in counted),
        at={str(k): float(np.mean(values)) for k, values in shares.items() if values},
        scenes_at={name: float((first >= share).mean()) for name, share in THRESHOLDS.items()},
    )


def chance_of_objects(scenes: Sequence[ObjectMatches], ks: Sequence[int]) -> ObjectScores | None:
    """What random similarities get on the same objects, exactly; None when no scene counts."""
    counted = [scene for scene in scenes if len(scene.ranks) and scene.candidates > 1]
    if not counted:
        return None
    counts = np.array([len(scene.ranks) for scene in counted])
    candidates = np.array([scene.candidates for scene in counted])
    kept = {k: candidates[candidates > k] for k in ks}
    return ObjectScores(
        scenes=len(counted),
        objects=int(counts.sum()),
        at={str(k): float((k / values).mean()) for k, values in kept.items() if len(values)},
        scenes_at={
            # at least n of them: more than n - 1
            name: float(binom.sf(np.ceil(share * counts) - 1, counts, 1 / candidates).mean())
            for name, share in THRESHOLDS.items()
        },
    )
