# SPDX-License-Identifier: Apache-2.0
"""From candidates to ranked hypotheses, in the box room."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import look_at
from localization_cases import (
    T_MAP_KEYFRAME,
    T_MAP_QUERY,
    matched_view,
    room_query,
    room_view,
    true_match,
    with_wrong_pairs,
)

from xover_core.config import SolverSettings, XoverSettings
from xover_core.geometry.transforms import exp_se3, pose_error
from xover_core.inference.model_store import model_entries
from xover_core.localization.calibration import load_calibration
from xover_core.localization.hypothesis_builder import HypothesisBuilder, is_same_pose
from xover_core.localization.keyframe_store import ViewStore
from xover_core.localization.pose_candidates import PoseCandidate

SETTINGS = XoverSettings()
# Hundreds of true matches between patches; measured 3 mm
MAX_DISTANCE = 0.02  # m
NEAR = T_MAP_QUERY @ exp_se3(np.array([0.04, -0.03, 0.02, 0.01, 0.01, -0.01]))
ELSEWHERE = look_at((1.5, 1.0, 0.0), 200.0)


@pytest.fixture(scope="module")
def views():
    """Two keyframes that see what the query sees, and one that looks the other way."""
    second = look_at((0.0, 0.3, 0.0), 30.0)
    return [room_view(T_MAP_KEYFRAME, keyframe_id=3, scene_id=1), room_view(second, keyframe_id=5, scene_id=2),
            room_view(ELSEWHERE, keyframe_id=8, scene_id=2)]  # fmt: skip


@pytest.fixture(scope="module")
def matched(views):
    rng = np.random.default_rng(8)
    return [with_wrong_pairs(true_match(T_MAP_QUERY, view), 0.5, rng) for view in views[:2]]


def build(query, matched, views, *candidates, solver=SETTINGS.solver):
    settings = dataclasses.replace(SETTINGS, solver=solver)
    calibration = load_calibration(next(iter(model_entries())))
    store = ViewStore([view.keyframe for view in views], np.inf)
    builder = HypothesisBuilder(query, matched, store, settings, calibration, np.random.default_rng(0))
    return builder.build([PoseCandidate(T_map_camera=T, score=float(s)) for s, T in enumerate(reversed(candidates))])


def test_a_good_candidate_becomes_a_probable_hypothesis(matched, views):
    [best] = build(room_query(T_MAP_QUERY), matched, views, NEAR)
    assert pose_error(best.T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE
    assert best.probability > 0.9
    assert best.num_inliers > 100
    assert 0.4 < best.inlier_ratio < 0.7  # half of the pairs were made wrong
    assert best.depth_agreement > 0.95
    assert best.see_through < 0.05
    assert best.num_compared > 1000
    assert best.rival_ratio == 0
    assert best.reprojection_error_px < 4
    assert best.keyframe_id in (3, 5)
    assert best.scene_id == {3: 1, 5: 2}[best.keyframe_id]


def test_inliers_of_several_keyframes_count_each_query_patch_once(matched, views):
    keyframe = dataclasses.replace(views[0].keyframe, keyframe_id=4)
    again = matched_view(
        dataclasses.replace(views[0], keyframe=keyframe), matched[0].pairs.rows_a, matched[0].pairs.rows_b
    )
    query = room_query(T_MAP_QUERY)
    [once], [twice] = build(query, matched[:1], views, NEAR), build(query, [matched[0], again], views, NEAR)
    assert twice.num_inliers == pytest.approx(once.num_inliers, rel=0.02)
    assert twice.inlier_ratio == pytest.approx(once.inlier_ratio, rel=0.02)


def test_a_candidate_that_nothing_agrees_with_is_dropped(matched, views):
    assert build(room_query(T_MAP_QUERY), matched, views, ELSEWHERE) == []
    assert build(room_query(T_MAP_QUERY), matched, views) == []


def test_near_candidates_are_one_hypothesis(matched, views):
    assert len(build(room_query(T_MAP_QUERY), matched, views, NEAR, T_MAP_QUERY, NEAR)) == 1


def test_candidates_that_refinement_joins_are_one_hypothesis(matched, views):
    # farther than "the same pose" from each other, but both within reach of the same optimum
    a = T_MAP_QUERY @ exp_se3(np.array([0, 0, 0, 0.0, 0.0, np.deg2rad(10.5)]))
    b = T_MAP_QUERY @ exp_se3(np.array([0, 0, 0, 0.0, 0.0, np.deg2rad(-10.5)]))
    assert not is_same_pose(a, b)
    loose = dataclasses.replace(SETTINGS.solver, max_point_error=0.5)
    assert len(build(room_query(T_MAP_QUERY), matched, views, a, b, solver=loose)) == 1


def rivals(views):
    """Matches of which some support the truth and fewer a pose elsewhere, and those two poses."""
    right = true_match(T_MAP_QUERY, views[0])
    other = true_match(ELSEWHERE, views[2])
    query = room_query(T_MAP_QUERY)
    # query patches whose points, moved elsewhere, are those of the other view
    moved = query.points_camera @ ELSEWHERE[:3, :3].T + ELSEWHERE[:3, 3]
    distance = np.linalg.norm(moved[:, None] - views[2].points_map[None], axis=2)
    rows_a = np.flatnonzero(distance.min(axis=1) < 0.05)
    assert len(other.pairs) > 0
    return [right, matched_view(views[2], rows_a, distance.argmin(axis=1)[rows_a])]


def test_a_rival_is_counted_and_ranked_below(views):
    found = build(room_query(T_MAP_QUERY), rivals(views), views, ELSEWHERE, NEAR)
    assert len(found) == 2
    best, second = found
    assert pose_error(best.T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE
    assert best.probability >= second.probability
    assert best.rival_ratio == pytest.approx(second.num_inliers / best.num_inliers)
    assert second.rival_ratio == pytest.approx(best.num_inliers / second.num_inliers)


def test_no_more_than_the_wanted_number_is_refined(views):
    solver = SolverSettings(max_hypotheses=1)
    found = build(room_query(T_MAP_QUERY), rivals(views), views, NEAR, ELSEWHERE, solver=solver)
    assert len(found) == 1
    # the candidate with the larger score
    assert pose_error(found[0].T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE


def test_without_query_depth_nothing_is_known_of_depth(matched, views):
    [best] = build(room_query(T_MAP_QUERY, has_depth=False), matched, views, NEAR)
    assert pose_error(best.T_map_camera, T_MAP_QUERY)[0] < 3 * MAX_DISTANCE
    assert np.isnan(best.depth_agreement)
    assert np.isnan(best.see_through)
    assert best.num_compared == 0
    assert np.isfinite(best.probability)


def test_a_pose_that_no_keyframe_looks_at_still_has_its_matches(matched, views):
    # all views that could be compared are gone, as after trimming a map
    found = build(room_query(T_MAP_QUERY), matched, views[2:], NEAR)
    assert len(found) == 1
    assert found[0].num_compared == 0
    assert np.isfinite(found[0].probability)


def test_keyframes_without_depth_support_nothing(views):
    blind = room_view(T_MAP_KEYFRAME, keyframe_id=4, has_depth=False)
    assert build(room_query(T_MAP_QUERY), [true_match(T_MAP_QUERY, blind)], [blind], NEAR) == []


def test_a_camera_that_sees_through_the_map_is_improbable(matched, views):
    query = room_query(T_MAP_QUERY)
    assert query.depth is not None
    [honest] = build(query, matched, views, NEAR)
    farther = dataclasses.replace(query, depth=(query.depth + 1.0).astype(np.float32))
    [suspicious] = build(farther, matched, views, NEAR)
    assert suspicious.see_through > 0.95
    assert suspicious.probability < 0.5 * honest.probability


def test_same_pose_needs_both_place_and_heading():
    assert is_same_pose(look_at((0.0, 0.0, 0.0), 0.0), look_at((0.4, 0.0, 0.0), 15.0))
    assert not is_same_pose(look_at((0.0, 0.0, 0.0), 0.0), look_at((0.6, 0.0, 0.0), 0.0))
    assert not is_same_pose(look_at((0.0, 0.0, 0.0), 0.0), look_at((0.0, 0.0, 0.0), 25.0))
