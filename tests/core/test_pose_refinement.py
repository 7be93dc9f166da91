# SPDX-License-Identifier: Apache-2.0
"""Refinement in the box room: it converges, it stands still at the optimum, and its covariance means something."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from localization_cases import (
    LARGE_CAMERA,
    T_MAP_KEYFRAME,
    T_MAP_QUERY,
    room_query,
    room_view,
    true_match,
)

from xover_core.config import SolverSettings
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import exp_se3, invert, make_pose, pose_error, transform_points
from xover_core.localization.keyframe_store import grid_normals
from xover_core.localization.pose_candidates import reprojection_errors
from xover_core.localization.pose_refinement import (
    CORRELATED_RESIDUALS,
    MIN_STD_M,
    MIN_STD_RAD,
    PIXEL_SIGMA,
    PooledMatches,
    _pixel_information,
    _plane_terms,
    _point_terms,
    agreeing_matches,
    apply_update,
    covariance_from_information,
    make_surface,
    pool_matches,
    refine_with_depth,
    refine_without_depth,
)

SETTINGS = SolverSettings()
# Central differences of smooth sums of squares with steps of 1e-6
GRADIENT_TOLERANCE = 1e-4
STEP = 1e-6
# Depth at patch centres is that of the nearest pixel, which leaves this on slanted walls
MAX_DISTANCE = 0.005  # m
MAX_ANGLE = 0.003  # rad
NO_MATCHES = PooledMatches(query_rows=np.zeros(0, np.int64), points_map=np.zeros((0, 3)), keyframe_ids=np.zeros(0, int))


@pytest.fixture(scope="module")
def query():
    return room_query(T_MAP_QUERY)


@pytest.fixture(scope="module")
def normals(query):
    return grid_normals(query.points_camera, query.grid_shape)


@pytest.fixture(scope="module")
def surface():
    return make_surface([room_view(T_MAP_KEYFRAME), room_view(T_MAP_QUERY, keyframe_id=2)])


def exact_matches(query, count=150, noise=0.0) -> PooledMatches:
    """Matches of random patches with where they are in the map."""
    rng = np.random.default_rng(6)
    rows = rng.choice(len(query.points_camera), count, replace=False)
    points = transform_points(T_MAP_QUERY, query.points_camera[rows]) + rng.normal(scale=noise, size=(count, 3))
    return PooledMatches(query_rows=rows, points_map=points, keyframe_ids=np.ones(count, np.int64))


def numeric_gradient(cost) -> np.ndarray:
    """Derivative of `cost(pose)` by the six parts of `apply_update`, at the query's pose moved a little."""
    steps = STEP * np.eye(6)
    return np.array([(cost(apply_update(START, s)) - cost(apply_update(START, -s))) / (2 * STEP) for s in steps])


START = apply_update(T_MAP_QUERY, np.array([0.02, -0.03, 0.01, 0.01, -0.02, 0.015]))


def test_an_update_shifts_and_turns_about_the_map_axes_at_the_camera():
    moved = apply_update(T_MAP_QUERY, np.array([0.1, 0.2, 0.3, 0.0, 0.0, np.pi / 2]))
    np.testing.assert_allclose(moved[:3, 3], T_MAP_QUERY[:3, 3] + (0.1, 0.2, 0.3))
    # the optical axis turns to the left of the level heading
    heading = np.arctan2(T_MAP_QUERY[1, 2], T_MAP_QUERY[0, 2])
    assert np.arctan2(moved[1, 2], moved[0, 2]) == pytest.approx(heading + np.pi / 2)
    np.testing.assert_array_equal(apply_update(T_MAP_QUERY, np.zeros(6)), T_MAP_QUERY)


def test_point_gradient_is_the_derivative_of_the_cost(query):
    matches = exact_matches(query)
    points = query.points_camera[matches.query_rows]
    information, gradient = _point_terms(points, matches.points_map, START)

    def cost(pose):
        return 0.5 * (((transform_points(pose, points) - matches.points_map) / 0.05) ** 2).sum()

    np.testing.assert_allclose(gradient, numeric_gradient(cost), rtol=GRADIENT_TOLERANCE)
    # linear in shifts, so the second derivative is exact there
    np.testing.assert_allclose(information[:3, :3], len(points) / 0.05**2 * np.eye(3))


def test_plane_jacobian_predicts_how_residuals_change(query, normals, surface):
    known = np.isfinite(normals[:, 0])
    cloud, cloud_normals = query.points_camera[known], normals[known]
    information, gradient = _plane_terms(cloud, cloud_normals, surface, START, 0.25)
    update = -np.linalg.solve(information, gradient)
    _, after = _plane_terms(cloud, cloud_normals, surface, apply_update(START, update), 0.25)
    # one Gauss-Newton step takes away most of the gradient
    assert np.linalg.norm(after) < 0.2 * np.linalg.norm(gradient)


def test_pixel_information_is_that_of_numeric_jacobians(query):
    matches = exact_matches(query, count=30)

    def pixels(pose):
        return project(transform_points(invert(pose), matches.points_map), query.camera).ravel()

    steps = STEP * np.eye(6)
    columns = [(pixels(apply_update(START, s)) - pixels(apply_update(START, -s))) / (2 * STEP) for s in steps]
    jacobian = np.stack(columns, axis=1) / PIXEL_SIGMA
    expected = jacobian.T @ jacobian
    information = _pixel_information(query, matches, START)
    np.testing.assert_allclose(information, expected, atol=GRADIENT_TOLERANCE * np.abs(expected).max())


def test_refinement_comes_back_from_a_disturbed_pose(query, normals, surface):
    matches = exact_matches(query, noise=0.02)
    pose, covariance = refine_with_depth(query, normals, matches, surface, START, SETTINGS)
    distance, angle = pose_error(pose, T_MAP_QUERY)
    assert distance < MAX_DISTANCE
    assert angle < MAX_ANGLE
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_true_matches_between_patches_refine_too(query, normals, surface):
    matches = pool_matches(query, [true_match(T_MAP_QUERY, room_view(T_MAP_KEYFRAME))])
    pose, _ = refine_with_depth(query, normals, matches, surface, START, SETTINGS)
    assert pose_error(pose, T_MAP_QUERY)[0] < MAX_DISTANCE


def test_planes_alone_hold_a_pose_in_a_room_with_corners(query, normals, surface):
    small = apply_update(T_MAP_QUERY, np.array([0.02, -0.02, 0.01, 0.005, -0.005, 0.01]))
    pose, _ = refine_with_depth(query, normals, NO_MATCHES, surface, small, SETTINGS)
    assert pose_error(pose, T_MAP_QUERY)[0] < 2 * MAX_DISTANCE


def test_wrong_matches_do_not_pull(query, normals, surface):
    right, rng = exact_matches(query, count=100), np.random.default_rng(1)
    wrong = dataclasses.replace(right, points_map=right.points_map + rng.choice([-0.5, 0.5], (100, 3)))
    both = PooledMatches(
        query_rows=np.concatenate([right.query_rows, wrong.query_rows]),
        points_map=np.concatenate([right.points_map, wrong.points_map]),
        keyframe_ids=np.concatenate([right.keyframe_ids, wrong.keyframe_ids]),
    )
    pose, _ = refine_with_depth(query, normals, both, surface, START, SETTINGS)
    assert pose_error(pose, T_MAP_QUERY)[0] < MAX_DISTANCE


def test_without_anything_to_hold_on_to_the_pose_stays(query, normals):
    nothing = make_surface([room_view(T_MAP_KEYFRAME, has_depth=False)])
    pose, covariance = refine_with_depth(query, normals, NO_MATCHES, nothing, START, SETTINGS)
    np.testing.assert_allclose(pose, START, atol=1e-12)
    # as good as unknown, but still a number that a filter can take
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=0.01)


def test_covariance_is_of_the_order_of_the_scatter(query):
    """PnP on noisy points, many times: predicted and real standard deviations agree to a factor."""
    errors, predicted = [], []
    for i in range(40):
        rng = np.random.default_rng(i)
        matches = exact_matches(query, count=100)
        jitter = rng.normal(scale=PIXEL_SIGMA, size=query.keypoints_px.shape).astype(np.float32)
        noisy = dataclasses.replace(query, depth=None, keypoints_px=query.keypoints_px + jitter)
        pose, covariance = refine_without_depth(noisy, matches, T_MAP_QUERY, SETTINGS, seed=0)
        errors.append(pose[:3, 3] - T_MAP_QUERY[:3, 3])
        predicted.append(np.diag(covariance)[:3] - MIN_STD_M**2)
    # independent noise here, while the covariance allows for correlated residuals
    real = np.var(errors, axis=0) * CORRELATED_RESIDUALS
    ratio = np.mean(predicted, axis=0) / real
    assert (ratio > 0.4).all(), ratio
    assert (ratio < 2.5).all(), ratio


def test_covariance_with_depth_is_of_the_order_of_the_scatter(query, normals):
    """The same for 3D-3D: points with the noise that POINT_SIGMA assumes, and no surfaces."""
    nothing = make_surface([room_view(T_MAP_KEYFRAME, has_depth=False)])
    wide = SolverSettings(max_point_error=0.5)
    errors, predicted = [], []
    for i in range(40):
        matches = exact_matches(query, count=100)
        noise = np.random.default_rng(i).normal(scale=0.05, size=(100, 3))
        noisy = dataclasses.replace(matches, points_map=matches.points_map + noise)
        pose, covariance = refine_with_depth(query, normals, noisy, nothing, T_MAP_QUERY, wide)
        turn = pose[:3, :3] @ T_MAP_QUERY[:3, :3].T
        errors.append([*(pose[:3, 3] - T_MAP_QUERY[:3, 3]), turn[2, 1], turn[0, 2], turn[1, 0]])
        predicted.append(np.diag(covariance))
    floor = np.array([MIN_STD_M**2] * 3 + [MIN_STD_RAD**2] * 3)
    ratio = (np.mean(predicted, axis=0) - floor) / (np.var(errors, axis=0) * CORRELATED_RESIDUALS)
    assert (ratio > 0.4).all(), ratio
    assert (ratio < 2.5).all(), ratio


def test_standard_deviations_have_a_floor():
    covariance = covariance_from_information(1e12 * np.eye(6))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [MIN_STD_M] * 3 + [MIN_STD_RAD] * 3, rtol=1e-3)


def test_covariance_of_pnp_does_not_depend_on_the_size_of_the_image(query):
    large = room_query(T_MAP_QUERY, camera=LARGE_CAMERA)
    found = []
    for view in (query, large):
        mono = dataclasses.replace(view, depth=None)
        found.append(refine_without_depth(mono, exact_matches(view), T_MAP_QUERY, SETTINGS, seed=0)[1])
    np.testing.assert_allclose(found[1], found[0], rtol=0.3, atol=1e-5)


def test_refinement_without_depth_comes_back_too(query):
    mono = dataclasses.replace(query, depth=None)
    pose, _ = refine_without_depth(mono, exact_matches(query, noise=0.01), START, SETTINGS, seed=0)
    assert pose_error(pose, T_MAP_QUERY)[0] < 0.02


def test_refinement_without_agreeing_matches_keeps_the_pose(query):
    mono = dataclasses.replace(query, depth=None)
    far = make_pose(T_MAP_QUERY[:3, :3], T_MAP_QUERY[:3, 3] + (0.0, 0.0, 1.0))
    pose, covariance = refine_without_depth(mono, exact_matches(query), far, SETTINGS, seed=0)
    np.testing.assert_array_equal(pose, far)
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=0.01)


def test_agreement_is_judged_in_3d_with_depth_and_in_the_image_without(query):
    matches = exact_matches(query)
    mono = dataclasses.replace(query, depth=None)
    assert agreeing_matches(query, matches, T_MAP_QUERY, SETTINGS).all()
    assert agreeing_matches(mono, matches, T_MAP_QUERY, SETTINGS).all()
    # along the ray the image does not change, but the point is somewhere else
    along = dataclasses.replace(
        matches, points_map=T_MAP_QUERY[:3, 3] + 1.3 * (matches.points_map - T_MAP_QUERY[:3, 3])
    )
    assert not agreeing_matches(query, along, T_MAP_QUERY, SETTINGS).any()
    assert agreeing_matches(mono, along, T_MAP_QUERY, SETTINGS).all()
    behind = T_MAP_QUERY @ exp_se3(np.array([0, 0, 0, 0, np.pi, 0]))
    assert not agreeing_matches(mono, matches, behind, SETTINGS).any()


def test_pooling_keeps_track_of_keyframes():
    query = room_query(T_MAP_QUERY)
    query.points_camera[::3] = np.nan
    views = [room_view(T_MAP_KEYFRAME), room_view(T_MAP_QUERY, keyframe_id=7)]
    matched = [true_match(T_MAP_QUERY, view) for view in views]
    pooled = pool_matches(query, matched)
    assert set(pooled.keyframe_ids) == {1, 7}
    assert np.isfinite(query.points_camera[pooled.query_rows]).all()
    assert np.median(reprojection_errors(query, pooled.query_rows, pooled.points_map, T_MAP_QUERY)) < 3
    without_depth = pool_matches(dataclasses.replace(query, depth=None), matched)
    assert len(without_depth.query_rows) == sum(len(m.pairs) for m in matched)


def test_pooling_of_keyframes_without_depth_is_empty():
    query, view = room_query(T_MAP_QUERY), room_view(T_MAP_KEYFRAME, has_depth=False)
    pooled = pool_matches(query, [true_match(T_MAP_QUERY, view)])
    assert pooled.points_map.shape == (0, 3)
    assert not agreeing_matches(query, pooled, T_MAP_QUERY, SETTINGS).any()
