# SPDX-License-Identifier: Apache-2.0
"""Candidate poses of each method from true and wrong matches in the box room."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from localization_cases import (
    CAMERA,
    LARGE_CAMERA,
    T_MAP_KEYFRAME,
    T_MAP_QUERY,
    matched_view,
    room_query,
    room_view,
    true_match,
    with_wrong_pairs,
)

from xover_core.config import SolverSettings
from xover_core.geometry.transforms import exp_se3, invert, pose_error
from xover_core.localization.pose_candidates import (
    point_tolerances,
    reprojection_errors,
    scale_relative,
    solve_candidate,
    solve_relative,
    usable_pairs,
)

SETTINGS = SolverSettings()
# Patch centres of two views meet to within 3 cm, so the mean over hundreds of them is far better.
MAX_DISTANCE = 0.03  # m
MAX_ANGLE = np.deg2rad(1.0)
# The direction of a baseline of 0.5 m at 3 m, with matches to half a patch, is known to some 20 deg.
MIN_DIRECTION_COSINE = np.cos(np.deg2rad(25))
MAX_RELATIVE_DISTANCE = 0.2  # m


@pytest.fixture(scope="module")
def view():
    return room_view(T_MAP_KEYFRAME)


@pytest.fixture(scope="module")
def matched(view):
    """True pairs, every second one made wrong."""
    return with_wrong_pairs(true_match(T_MAP_QUERY, view), 0.5, np.random.default_rng(2))


def solve(query, matched, **changes):
    return solve_candidate(query, matched, dataclasses.replace(SETTINGS, **changes), np.random.default_rng(4))


def test_rigid_finds_the_pose_in_the_map(matched):
    found = solve(room_query(T_MAP_QUERY), matched, method="rigid")
    assert found is not None
    distance, angle = pose_error(found.T_map_camera, T_MAP_QUERY)
    assert distance < MAX_DISTANCE
    assert angle < MAX_ANGLE


@pytest.mark.parametrize("method", ["rigid", "absolute"])
def test_without_depth_it_is_solved_by_pnp(matched, method):
    found = solve(room_query(T_MAP_QUERY, has_depth=False), matched, method=method)
    assert found is not None
    distance, angle = pose_error(found.T_map_camera, T_MAP_QUERY)
    assert distance < 2 * MAX_DISTANCE
    assert angle < MAX_ANGLE


def test_relative_takes_its_scale_from_depth(matched):
    found = solve(room_query(T_MAP_QUERY), matched, method="relative")
    assert found is not None
    distance, angle = pose_error(found.T_map_camera, T_MAP_QUERY)
    assert distance < MAX_RELATIVE_DISTANCE
    assert angle < 3 * MAX_ANGLE


def test_relative_without_depth_has_no_scale_and_so_no_candidate(matched):
    assert solve(room_query(T_MAP_QUERY, has_depth=False), matched, method="relative") is None


def test_a_query_camera_of_another_size_is_no_problem(view):
    query = room_query(T_MAP_QUERY, camera=LARGE_CAMERA)
    matched = true_match(T_MAP_QUERY, view, query=query)
    for method in ("rigid", "absolute"):
        found = solve(query, matched, method=method)
        assert found is not None
        assert pose_error(found.T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE


@pytest.mark.parametrize("method", ["rigid", "absolute", "relative"])
def test_wrong_matches_alone_give_no_candidate_with_many_inliers(view, method, random):
    rows = np.arange(150)
    wrong = matched_view(view, rows, random.integers(0, len(view.points_map), 150))
    found = solve(room_query(T_MAP_QUERY), wrong, method=method, min_inliers=75)
    assert found is None


@pytest.mark.parametrize("method", ["rigid", "absolute", "relative"])
@pytest.mark.parametrize("count", [0, 1, 3, 11])
def test_fewer_matches_than_inliers_needed_give_none(matched, method, count):
    few = matched_view(matched.view, matched.pairs.rows_a[:count], matched.pairs.rows_b[:count])
    assert solve(room_query(T_MAP_QUERY), few, method=method, min_inliers=12) is None


@pytest.mark.parametrize("method", ["rigid", "absolute", "relative"])
def test_a_keyframe_without_depth_gives_none(matched, method):
    blind = matched_view(room_view(T_MAP_KEYFRAME, has_depth=False), matched.pairs.rows_a, matched.pairs.rows_b)
    assert solve(room_query(T_MAP_QUERY), blind, method=method) is None


@pytest.mark.parametrize("method", ["rigid", "absolute", "relative"])
def test_the_same_seed_gives_the_same_candidate(matched, method):
    query = room_query(T_MAP_QUERY)
    first, second = solve(query, matched, method=method), solve(query, matched, method=method)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.T_map_camera, second.T_map_camera)
    assert first.score == second.score


def test_relative_pose_takes_the_query_to_the_keyframe(matched):
    query = room_query(T_MAP_QUERY)
    pose = solve_relative(query, matched, SETTINGS, seed=0)
    assert pose is not None
    truth = invert(T_MAP_KEYFRAME) @ T_MAP_QUERY
    assert pose_error(pose.T_a_b, truth)[1] < 3 * MAX_ANGLE
    assert pose.T_a_b[:3, 3] @ truth[:3, 3] / np.linalg.norm(truth[:3, 3]) > MIN_DIRECTION_COSINE
    scale = scale_relative(query, matched, pose)
    assert scale == pytest.approx(np.linalg.norm(truth[:3, 3]), abs=MAX_RELATIVE_DISTANCE)
    assert scale_relative(room_query(T_MAP_QUERY, has_depth=False), matched, pose) is None


def test_usable_pairs_have_the_depth_that_is_needed(matched):
    query = room_query(T_MAP_QUERY)
    query.points_camera[matched.pairs.rows_a[::2]] = np.nan
    matched.view.has_point[matched.pairs.rows_b[1]] = False
    try:
        everything = np.flatnonzero(matched.pairs.rows_b != matched.pairs.rows_b[1])
        np.testing.assert_array_equal(usable_pairs(query, matched, needs_query_depth=False), everything)
        odd = everything[np.isfinite(query.points_camera[matched.pairs.rows_a[everything], 2])]
        np.testing.assert_array_equal(usable_pairs(query, matched, needs_query_depth=True), odd)
    finally:
        matched.view.has_point[matched.pairs.rows_b[1]] = True


def test_tolerance_grows_with_the_larger_depth():
    near, far = np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 4.0]])
    settings = SolverSettings(max_point_error=0.06, max_point_error_relative=0.03)
    assert point_tolerances(near, near, settings) == pytest.approx(0.06)
    assert point_tolerances(near, far, settings) == pytest.approx(0.12)
    assert point_tolerances(far, near, settings) == pytest.approx(0.12)


def test_reprojection_errors_are_pixels_and_nan_behind_the_camera():
    query = room_query(T_MAP_QUERY)
    rows = np.array([100, 500])
    points_map = query.points_camera[rows] @ T_MAP_QUERY[:3, :3].T + T_MAP_QUERY[:3, 3]
    np.testing.assert_allclose(reprojection_errors(query, rows, points_map, T_MAP_QUERY), 0, atol=1e-3)
    # a turn by a small angle about the camera's vertical axis moves the image centre by fx times the angle
    center = np.array([int(np.argmin(np.linalg.norm(query.keypoints_px - (CAMERA.cx, CAMERA.cy), axis=1)))])
    seen = query.points_camera[center] @ T_MAP_QUERY[:3, :3].T + T_MAP_QUERY[:3, 3]
    turned = T_MAP_QUERY @ exp_se3(np.array([0, 0, 0, 0, 0.02, 0]))
    assert reprojection_errors(query, center, seen, turned) == pytest.approx(0.02 * CAMERA.fx, rel=0.01)
    away = T_MAP_QUERY @ exp_se3(np.array([0, 0, 0, 0, np.pi, 0]))
    assert np.isnan(reprojection_errors(query, rows, points_map, away)).all()
