# SPDX-License-Identifier: Apache-2.0
"""Recalls of hand-made similarities, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.evaluation.protocols.retrieval_metrics import (
    NO_RANK,
    ObjectMatches,
    best_ranks,
    chance_of_objects,
    chance_recalls,
    recalls_of,
    recalls_within,
    released_temporal_recalls,
    score_objects,
)

# Shares of drawn rankings differ from exact ones by a few standard deviations: 0.5 / sqrt(20000) = 0.0035 each.
SAMPLING = 0.015
EXACT = 1e-9


def similarity(*rows):
    return np.array(rows, np.float32)


def test_ranks_of_a_diagonal():
    values = similarity([0.9, 0.1, 0.2], [0.8, 0.5, 0.6], [0.3, 0.4, 0.2])
    assert best_ranks(values, np.eye(3, dtype=bool)).tolist() == [1, 3, 3]


def test_the_best_of_several_right_ones_counts():
    right = np.array([[True, False, True, False]])
    assert best_ranks(similarity([0.1, 0.5, 0.4, 0.3]), right).tolist() == [2]


def test_a_tie_counts_against():
    values = similarity([0.5, 0.5, 0.5, 0.1])
    assert best_ranks(values, np.array([[True, False, False, False]])).tolist() == [3]
    # two right ones that tie do not stand in each other's way
    assert best_ranks(values, np.array([[True, True, False, False]])).tolist() == [2]


def test_rounding_does_not_break_a_tie():
    values = similarity([0.5, 0.5 - 1e-7, 0.5 - 1e-5])
    assert best_ranks(values, np.array([[True, False, False]])).tolist() == [2]


def test_an_encoder_that_says_nothing_finds_nothing():
    num = 40
    ranks = best_ranks(np.ones((num, num), np.float32), np.eye(num, dtype=bool))
    assert (ranks == num).all()


def test_only_candidates_are_ranked():
    values, right = similarity([0.9, 0.8, 0.7]), np.array([[False, False, True]])
    assert best_ranks(values, right, np.array([[False, True, True]])).tolist() == [2]
    assert best_ranks(values, right, np.array([[True, True, False]])).tolist() == [NO_RANK]
    assert best_ranks(np.zeros((1, 0), np.float32), np.zeros((1, 0), bool)).tolist() == [NO_RANK]


def test_own_scan_removed_leaves_the_rescan():
    values = similarity([1.0, 0.2, 0.6], [0.2, 1.0, 0.1], [0.6, 0.1, 1.0])
    place = np.array([0, 1, 0])
    right, others = place[:, None] == place, ~np.eye(3, dtype=bool)
    assert best_ranks(values, right, others).tolist() == [1, NO_RANK, 1]


def test_recall_divides_by_queries_that_can_be_answered():
    recalls = recalls_of(np.array([1, 4, NO_RANK, 2]), np.array([10, 10, 3, 10]), (1, 2, 5))
    assert recalls.queries == 3
    assert recalls.candidates == pytest.approx(10)
    assert recalls.at == {"1": pytest.approx(1 / 3), "2": pytest.approx(2 / 3), "5": pytest.approx(1.0)}
    assert recalls_of(np.array([NO_RANK]), np.array([5]), (1,)) is None


def test_chance_is_that_of_random_rankings():
    rng = np.random.default_rng(0)
    num_right, total = np.array([1, 3]), np.array([10, 20])
    exact = chance_recalls(num_right, total, (1, 5, 18))
    for k in (1, 5, 18):
        hits = [(rng.random((20000, n)).argsort(axis=1)[:, :r].min(axis=1) < k).mean() for r, n in ((1, 10), (3, 20))]
        assert exact.at[str(k)] == pytest.approx(np.mean(hits), abs=SAMPLING)
    assert exact.at["18"] == pytest.approx(1.0)
    assert chance_recalls(np.array([0]), np.array([4]), (1,)) is None


def test_within_categories_is_a_mean_over_categories():
    # in category a all are found, in b one of two, c has one scan only, the last has no category
    values = similarity(
        [0.9, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0],
        [0.1, 0.9, 0.1, 1.0, 1.0, 1.0, 1.0],
        [0.1, 0.1, 0.9, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 0.9, 0.1, 1.0, 1.0],
        [1.0, 1.0, 1.0, 0.9, 0.1, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.1],
    )
    recalls = recalls_within(values, np.eye(7, dtype=bool), ["a", "a", "a", "b", "b", "c", ""], (1, 2, 3))
    assert recalls.queries == 5
    assert recalls.candidates == pytest.approx(2.5)
    # of k = 2 only the category of three scans says something, of k = 3 none
    assert recalls.at == {"1": pytest.approx(0.75), "2": pytest.approx(1.0)}
    assert recalls_within(values, np.eye(7, dtype=bool), [""] * 7, (1,)) is None


def test_released_temporal_recall_has_both_of_its_faults():
    # the first ten by similarity are 11 ... 2; in the order of the data set 2 is the first of them
    values = similarity(np.arange(12) / 12)
    candidates = np.ones((1, 12), bool)
    right = np.arange(12)[None] == 2
    released = released_temporal_recalls(values, right, candidates, num_listed=2, ks=(1, 5, 10, 20))
    assert released.at == {"1": 0.5, "5": 0.5, "10": 0.5}
    corrected = recalls_of(best_ranks(values, right, candidates), candidates.sum(axis=1), (1, 5, 10, 20))
    assert corrected.at == {"1": 0.0, "5": 0.0, "10": 1.0, "20": 1.0}
    # the true first is not found by the released way of counting
    released = released_temporal_recalls(values, np.arange(12)[None] == 11, candidates, num_listed=2, ks=(1, 10))
    assert released.at == {"1": 0.0, "10": 0.5}


def test_objects_of_scenes():
    scenes = [
        ObjectMatches(ranks=np.array([1, 1, 1, 4]), candidates=4),
        ObjectMatches(ranks=np.array([2, 1]), candidates=3),
        ObjectMatches(ranks=np.array([2, 2]), candidates=2),
        # these two do not count: nothing to be mistaken for, and nothing asked
        ObjectMatches(ranks=np.array([1]), candidates=1),
        ObjectMatches(ranks=np.zeros(0, np.int64), candidates=9),
    ]
    scores = score_objects(scenes, (1, 3))
    assert (scores.scenes, scores.objects) == (3, 8)
    # at k = 3 only the first scene has more candidates than that
    assert scores.at == {"1": pytest.approx((0.75 + 0.5 + 0.0) / 3), "3": pytest.approx(0.75)}
    assert scores.scenes_at == {"25": pytest.approx(2 / 3), "50": pytest.approx(2 / 3), "75": pytest.approx(1 / 3)}
    assert score_objects(scenes[3:], (1,)) is None
    assert chance_of_objects(scenes[3:], (1,)) is None


def test_chance_of_objects_is_that_of_random_similarities():
    rng = np.random.default_rng(1)
    kept = ObjectMatches(ranks=np.ones(6, np.int64), candidates=4)
    exact = chance_of_objects([kept], (1, 3))
    ranks = rng.integers(1, 5, (20000, 6))
    assert exact.at == {"1": pytest.approx(0.25, abs=EXACT), "3": pytest.approx(0.75, abs=EXACT)}
    for name, share in (("25", 0.25), ("50", 0.5), ("75", 0.75)):
        drawn = ((ranks == 1).mean(axis=1) >= share).mean()
        assert exact.scenes_at[name] == pytest.approx(drawn, abs=SAMPLING)
