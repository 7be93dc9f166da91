# SPDX-License-Identifier: Apache-2.0
"""Relative and absolute pose from pixels, against truth."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.geometry.camera import project
from xover_core.geometry.camera_pose import solve_absolute_pose, solve_relative_pose, translation_scale
from xover_core.geometry.transforms import exp_se3, invert, make_pose, pose_error, transform_points
from xover_core.types import CameraIntrinsics

CAMERA_A = CameraIntrinsics(fx=260.0, fy=255.0, cx=161.5, cy=117.25, width=320, height=240)
CAMERA_B = CameraIntrinsics(fx=500.0, fy=505.0, cx=315.0, cy=244.0, width=640, height=480)
# b stands to the right of a and a little ahead, turned to the left
T_A_B = exp_se3(np.array([0.6, 0.05, 0.2, 0.02, -0.15, 0.05]))
PIXEL_NOISE = 0.3
# What 0.3 px at a focal length of 260 px and 80 points leave; measured 0.004
MAX_ANGLE = 0.02  # rad
MAX_DIRECTION = 0.05  # rad, of a baseline of a fifth of the depth
MAX_DISTANCE = 0.03  # m
OPTIONS = {"max_iterations": 500, "seed": 0}


@pytest.fixture
def points_a(random):
    return random.uniform((-1, -0.8, 2), (1, 0.8, 5), (80, 3))


@pytest.fixture
def two_views(points_a, random):
    """Pixels in a and b, every fourth wrong, and which are right."""
    pixels_a = project(points_a, CAMERA_A) + random.normal(scale=PIXEL_NOISE, size=(80, 2))
    pixels_b = project(transform_points(invert(T_A_B), points_a), CAMERA_B)
    pixels_b += random.normal(scale=PIXEL_NOISE, size=(80, 2))
    is_right = np.arange(80) % 4 != 0
    pixels_b[~is_right] = random.uniform((0, 0), (640, 480), (20, 2))
    return pixels_a, pixels_b, is_right


def direction_error(t: np.ndarray, truth: np.ndarray) -> float:
    cosine = t @ truth / np.linalg.norm(t) / np.linalg.norm(truth)
    return float(np.arccos(np.clip(cosine, -1, 1)))


def test_relative_pose_takes_b_to_a(two_views):
    pixels_a, pixels_b, is_right = two_views
    found = solve_relative_pose(pixels_a, pixels_b, CAMERA_A, CAMERA_B, max_error_px=2.0, **OPTIONS)
    assert found is not None
    assert pose_error(make_pose(found.T_a_b[:3, :3], (0, 0, 0)), make_pose(T_A_B[:3, :3], (0, 0, 0)))[1] < MAX_ANGLE
    # the sign too: a reversed baseline puts the points behind the cameras
    assert direction_error(found.T_a_b[:3, 3], T_A_B[:3, 3]) < MAX_DIRECTION
    assert np.linalg.norm(found.T_a_b[:3, 3]) == pytest.approx(1)
    assert found.is_inlier[is_right].mean() > 0.9
    assert found.is_inlier[~is_right].mean() < 0.3  # those near their epipolar line agree by chance


def test_swapping_the_views_inverts_the_relative_pose(two_views):
    pixels_a, pixels_b, _ = two_views
    swapped = solve_relative_pose(pixels_b, pixels_a, CAMERA_B, CAMERA_A, max_error_px=2.0, **OPTIONS)
    assert swapped is not None
    assert direction_error(swapped.T_a_b[:3, 3], invert(T_A_B)[:3, 3]) < MAX_DIRECTION


def test_matches_that_meet_behind_the_cameras_are_no_inliers(points_a, random):
    # the rays of a point behind both cameras, followed backwards, meet the epipolar constraint
    behind = random.uniform((-1, -0.8, -5), (1, 0.8, -2), (20, 3))
    everything = np.concatenate([points_a, behind])
    facing = np.where(np.arange(100)[:, None] < 80, 1, -1)
    pixels_a = project(everything * facing, CAMERA_A)
    pixels_b = project(transform_points(invert(T_A_B), everything) * facing, CAMERA_B)
    found = solve_relative_pose(pixels_a, pixels_b, CAMERA_A, CAMERA_B, max_error_px=1.0, **OPTIONS)
    assert found is not None
    np.testing.assert_array_equal(found.is_inlier, np.arange(100) < 80)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_matches_have_no_relative_pose(count, two_views):
    pixels_a, pixels_b, _ = two_views
    found = solve_relative_pose(pixels_a[:count], pixels_b[:count], CAMERA_A, CAMERA_B, max_error_px=2.0, **OPTIONS)
    assert found is None


def test_noise_has_no_relative_pose_with_many_inliers(random):
    pixels_a, pixels_b = random.uniform(0, 240, (2, 60, 2))
    found = solve_relative_pose(pixels_a, pixels_b, CAMERA_A, CAMERA_A, max_error_px=1.0, **OPTIONS)
    assert found is None or found.is_inlier.mean() < 0.4


def test_absolute_pose_takes_the_camera_to_the_world(points_a, random):
    T_world_a = exp_se3(np.array([4.0, -3.0, 1.2, 1.0, -0.4, 0.3]))
    pixels = project(points_a, CAMERA_A) + random.normal(scale=PIXEL_NOISE, size=(80, 2))
    pixels[::3] = random.uniform(0, 240, (27, 2))
    found = solve_absolute_pose(pixels, transform_points(T_world_a, points_a), CAMERA_A, max_error_px=3.0, **OPTIONS)
    assert found is not None
    distance, angle = pose_error(found.T_a_b, T_world_a)
    assert distance < MAX_DISTANCE
    assert angle < MAX_ANGLE
    is_right = np.arange(80) % 3 != 0
    assert found.is_inlier[is_right].mean() > 0.9
    assert found.is_inlier[~is_right].mean() < 0.1


def test_absolute_pose_of_points_on_a_wall(random):
    wall = np.column_stack([random.uniform(-1, 1, (40, 2)), np.full(40, 3.0)])
    found = solve_absolute_pose(project(wall, CAMERA_A), wall, CAMERA_A, max_error_px=2.0, **OPTIONS)
    assert found is not None
    np.testing.assert_allclose(found.T_a_b, np.eye(4), atol=1e-4)


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_points_have_no_absolute_pose(count, points_a):
    few = points_a[:count]
    assert solve_absolute_pose(project(few, CAMERA_A), few, CAMERA_A, max_error_px=2.0, **OPTIONS) is None


def test_points_without_any_consistent_pose_are_no_identity(random):
    pixels, points = random.uniform(0, 240, (30, 2)), random.uniform(-3, 3, (30, 3))
    found = solve_absolute_pose(pixels, points, CAMERA_A, max_error_px=0.5, **OPTIONS)
    assert found is None or found.is_inlier.sum() < 8


def test_the_same_seed_gives_the_same_pose(two_views):
    pixels_a, pixels_b, _ = two_views
    found = [solve_relative_pose(pixels_a, pixels_b, CAMERA_A, CAMERA_B, max_error_px=2.0, **OPTIONS) for _ in range(2)]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0].T_a_b, found[1].T_a_b)


def test_depth_gives_the_length_of_the_translation(points_a, random):
    points_b = transform_points(invert(T_A_B), points_a)
    points_b[::5] = np.nan
    points_a[1::5] = np.nan
    points_a[2::10] += random.normal(size=points_a[2::10].shape)  # wrong matches; the median does not care
    length = np.linalg.norm(T_A_B[:3, 3])
    T_unit = make_pose(T_A_B[:3, :3], T_A_B[:3, 3] / length)
    assert translation_scale(T_unit, points_a, points_b) == pytest.approx(length, abs=1e-9)


@pytest.mark.parametrize("num_known", [0, 2])
def test_too_few_depths_give_no_length(num_known, points_a):
    points_b = np.full_like(points_a, np.nan)
    points_b[:num_known] = 1.0
    assert translation_scale(np.eye(4), points_a, points_b) is None
    assert translation_scale(np.eye(4), points_a[:0], points_b[:0]) is None
