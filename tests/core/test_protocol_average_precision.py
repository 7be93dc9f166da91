# SPDX-License-Identifier: Apache-2.0
"""Average precision and the tally of rankings, against the definition spelled out and against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.evaluation.protocols import average_precision as module
from xover_core.evaluation.protocols.average_precision import average_precision, pooled_average_precision
from xover_core.evaluation.protocols.retrieval_tally import RetrievalTally

# Means of some hundred float64 terms in another order.
ROUNDING = 1e-12


def by_definition(scores, is_positive):
    """Sum over thresholds, from high to low, of the step in recall times the precision there."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= threshold
        recall = (chosen & is_positive).sum() / is_positive.sum()
        total += (recall - recall_before) * (chosen & is_positive).sum() / chosen.sum()
        recall_before = recall
    return total


def random_ranking(rng, *, size=60, levels=None):
    scores = rng.standard_normal(size).astype(np.float32)
    if levels:
        scores = np.rint(scores * levels).astype(np.float32)
    is_positive = rng.random(size) < 0.3
    is_positive[0] = True
    return scores, is_positive


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_equals_the_definition_with_and_without_ties(levels):
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, is_positive = random_ranking(rng, levels=levels)
        found = average_precision(scores[is_positive], scores[~is_positive])
        assert found == pytest.approx(by_definition(scores, is_positive), abs=ROUNDING)


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [
        ([3, 4, 5], [0, 1, 2], 1.0),  # perfect
        ([0, 1], [2, 3], (1 / 3 + 2 / 4) / 2),  # inverse
        ([0.8, 0.35], [0.1, 0.4], 5 / 6),  # the example in scikit-learn's manual of average_precision_score
        ([1, 1], [1, 1, 1, 1], 1 / 3),  # all equal: the share of positives
        ([1], [], 1.0),
    ],
)
def test_known_answers(positives, negatives, expected):
    found = average_precision(np.array(positives, np.float32), np.array(negatives, np.float32))
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_no_positives_is_no_precision():
    assert average_precision(np.zeros(0), np.ones(3)) is None
    assert pooled_average_precision([], [np.ones(3, np.float32)]) is None


def test_chunks_are_one_ranking(monkeypatch):
    monkeypatch.setattr(module, "_GROUP_LENGTH", 25)  # several groups, and a rest
    rng = np.random.default_rng(1)
    chunks = [random_ranking(rng, levels=4) for _ in range(7)]
    scores, flags = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    pooled = pooled_average_precision([s[p] for s, p in chunks], [s[~p] for s, p in chunks])
    assert pooled == pytest.approx(by_definition(scores, flags), abs=ROUNDING)
    mean = np.mean([by_definition(s, p) for s, p in chunks])
    assert abs(pooled - mean) > 0.01  # one ranking is not the mean of many


def test_the_tally_keeps_universes_and_frames_apart():
    rng = np.random.default_rng(2)
    tally = RetrievalTally(2)
    queries = []
    for number in range(6):
        scores = np.rint(rng.standard_normal(80) * 5).astype(np.float32)
        rings = rng.integers(0, 4, 80).astype(np.int8)  # 3 is beyond both universes
        is_other = rng.random(80) < 0.5
        if number == 4:
            is_other[rings == 0] = False  # nothing to find in other frames
        if number == 5:
            rings[rings == 0] = 1  # nothing to find at all
        tally.add(scores, rings, is_other)
        queries.append((scores, rings, is_other))
    assert tally.num_queries == 5
    for universe in (1, 2):
        found = tally.precisions(universe)
        for only_other, mean, pooled in (
            (False, found.map, found.vap),
            (True, found.other_frames_map, found.other_frames_vap),
        ):
            kept = [(s[u], r[u] == 0) for s, r, o in queries for u in [(r <= universe) & (o | (not only_other))]]
            kept = [(s, p) for s, p in kept if p.any()]
            assert mean == pytest.approx(np.mean([by_definition(s, p) for s, p in kept]), abs=ROUNDING)
            together = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
            assert pooled == pytest.approx(by_definition(*together), abs=ROUNDING)


def test_chance_is_the_share_of_positives():
    tally = RetrievalTally(1)
    rings = np.array([0, 0, 1, 1, 1, 1, 2], np.int8)
    is_other = np.array([1, 0, 1, 1, 1, 0, 1], bool)
    tally.add(np.arange(7, dtype=np.float32), rings, is_other)
    chance = tally.chances(1)
    assert (chance.map, chance.vap) == (pytest.approx(2 / 6), pytest.approx(2 / 6))
    assert (chance.other_frames_map, chance.other_frames_vap) == (pytest.approx(1 / 4), pytest.approx(1 / 4))


def test_an_empty_tally_is_zero():
    found = RetrievalTally(1).precisions(1)
    assert (found.map, found.vap, found.other_frames_map, found.other_frames_vap) == (0.0, 0.0, 0.0, 0.0)
