# SPDX-License-Identifier: Apache-2.0
"""A hint moves odds within bounds, and does nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at
from localization_cases import hypothesis

from xover_core.localization.pose_hint import MAX_ODDS_FACTOR, apply_hint, near_hint
from xover_core.types import PoseHint

HERE = look_at((1.0, 2.0, 1.2), 30.0)


def make_hint(std_m: float = 0.5, std_deg: float = 15.0) -> PoseHint:
    covariance = np.diag([std_m**2] * 3 + [np.deg2rad(std_deg) ** 2] * 3)
    return PoseHint(stamp_ns=0, T_map_camera=HERE, covariance=covariance)


def odds_factor(position, heading_deg, probability=0.5, hint=None) -> float:
    [weighted] = apply_hint([hypothesis(look_at(position, heading_deg), probability)], hint or make_hint())
    after = weighted.probability
    return (after / (1 - after)) / (probability / (1 - probability))


def test_without_a_hint_nothing_changes():
    hypotheses = [hypothesis(HERE, 0.3), hypothesis(HERE, 0.6)]
    assert apply_hint(hypotheses, None) == hypotheses
    assert apply_hint([], make_hint()) == []


def test_near_is_raised_and_far_is_lowered():
    assert odds_factor((1.0, 2.0, 1.2), 30.0) > 1
    assert odds_factor((1.5, 2.0, 1.2), 30.0) > 1
    assert odds_factor((4.0, 2.0, 1.2), 30.0) < 1
    assert odds_factor((1.0, 2.0, 1.2), 150.0) < 1  # here, but looking the other way


def test_the_factor_falls_with_distance_and_with_turn():
    by_distance = [odds_factor((1.0 + d, 2.0, 1.2), 30.0) for d in (0.8, 1.0, 1.2, 1.4)]
    by_turn = [odds_factor((1.0, 2.0, 1.2), 30.0 + a) for a in (20, 30, 40, 50)]
    assert np.all(np.diff(by_distance) < 0)
    assert np.all(np.diff(by_turn) < 0)


@pytest.mark.parametrize("probability", [1e-6, 0.3, 0.99])
def test_the_factor_is_bounded_and_the_same_for_all_probabilities(probability):
    assert odds_factor((1.0, 2.0, 1.2), 30.0, probability) == pytest.approx(MAX_ODDS_FACTOR, rel=1e-3)
    assert odds_factor((90.0, 2.0, 1.2), 30.0, probability) == pytest.approx(1 / MAX_ODDS_FACTOR, rel=1e-3)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_impossible_stays_impossible_and_certain_stays_a_probability(probability):
    [weighted] = apply_hint([hypothesis(HERE, probability)], make_hint())
    assert weighted.probability == pytest.approx(probability)
    assert 0 <= weighted.probability <= 1


def test_a_vague_hint_reaches_farther():
    far = (3.0, 2.0, 1.2)
    assert odds_factor(far, 30.0, hint=make_hint(std_m=2.0)) > 1 > odds_factor(far, 30.0, hint=make_hint(std_m=0.5))


def test_a_covariance_of_zeros_is_not_taken_for_certainty():
    careless = make_hint(std_m=0.0, std_deg=0.0)
    assert odds_factor((1.3, 2.0, 1.2), 35.0, hint=careless) > 1


def test_hypotheses_are_ranked_anew_and_otherwise_unchanged():
    near, far = hypothesis(HERE, 0.5, keyframe_id=1), hypothesis(look_at((8.0, 2.0, 1.2), 30.0), 0.6, keyframe_id=2)
    ranked = apply_hint([far, near], make_hint())
    assert [h.keyframe_id for h in ranked] == [1, 2]
    assert ranked[0].num_inliers == near.num_inliers
    np.testing.assert_array_equal(ranked[0].T_map_camera, near.T_map_camera)


def test_keyframes_are_near_by_position_alone():
    assert near_hint(HERE, make_hint())
    assert near_hint(look_at((3.0, 2.0, 1.2), 200.0), make_hint())
    assert not near_hint(look_at((9.0, 2.0, 1.2), 30.0), make_hint())
    assert near_hint(look_at((9.0, 2.0, 1.2), 30.0), make_hint(std_m=3.0))
