# SPDX-License-Identifier: Apache-2.0
"""Laws and known answers of SE(3)."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import (
    exp_se3,
    interpolate,
    invert,
    log_se3,
    make_pose,
    pose_error,
    quaternion_from_rotation,
    rotation_angle,
    rotation_from_quaternion,
    skew,
    transform_points,
)

# float64 products of a few well-scaled matrices
TOLERANCE = 1e-12
# log near a half turn divides by small numbers
TOLERANCE_NEAR_PI = 1e-6


@pytest.fixture
def poses(random):
    return [exp_se3(random.normal(size=6)) for _ in range(20)]


def test_inverse_cancels(poses):
    for T_a_b in poses:
        np.testing.assert_allclose(T_a_b @ invert(T_a_b), np.eye(4), atol=TOLERANCE)


def test_log_undoes_exp(random):
    for _ in range(50):
        omega = random.normal(size=3)
        omega *= random.uniform(0, 3.0) / np.linalg.norm(omega)
        twist = np.concatenate([random.normal(size=3), omega])
        np.testing.assert_allclose(log_se3(exp_se3(twist)), twist, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-5])
def test_log_and_exp_of_small_rotations(angle):
    twist = np.array([1.0, -2.0, 0.5, angle, -angle, 0.3 * angle])
    np.testing.assert_allclose(log_se3(exp_se3(twist)), twist, atol=1e-10)


def test_log_close_to_a_half_turn():
    twist = np.array([0.3, 0.1, -0.2, 0.0, np.pi - 1e-4, 0.0])
    np.testing.assert_allclose(log_se3(exp_se3(twist)), twist, atol=TOLERANCE_NEAR_PI)


def test_exp_of_a_quarter_turn_about_z():
    T_a_b = exp_se3(np.array([0.0, 0.0, 1.0, 0.0, 0.0, np.pi / 2]))
    expected = [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    np.testing.assert_allclose(T_a_b, expected, atol=TOLERANCE)


def test_points_are_taken_from_b_to_a():
    T_a_b = make_pose(exp_se3(np.array([0, 0, 0, 0, 0, np.pi / 2]))[:3, :3], (10.0, 0.0, 0.0))
    points_a = transform_points(T_a_b, np.array([[1.0, 0.0, 2.0], [np.nan, 0.0, 0.0]]))
    np.testing.assert_allclose(points_a[0], [10.0, 1.0, 2.0], atol=TOLERANCE)
    assert np.isnan(points_a[1]).any()


def test_no_points_give_no_points():
    assert transform_points(np.eye(4), np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 0.5, np.pi / 2, np.pi - 1e-7, np.pi])
def test_rotation_angle(angle):
    R_a_b = exp_se3(np.array([0, 0, 0, 0.6 * angle, 0, 0.8 * angle]))[:3, :3]
    assert rotation_angle(R_a_b) == pytest.approx(angle, abs=TOLERANCE_NEAR_PI)


def test_pose_error_does_not_depend_on_the_frame(poses):
    T_c_a, T_a_estimate, T_a_truth = poses[:3]
    here = pose_error(T_a_estimate, T_a_truth)
    there = pose_error(T_c_a @ T_a_estimate, T_c_a @ T_a_truth)
    np.testing.assert_allclose(here, there, atol=1e-9)


def test_quaternion_round_trip(poses):
    for T_a_b in poses:
        quat_xyzw = quaternion_from_rotation(T_a_b[:3, :3])
        assert quat_xyzw[3] >= 0
        np.testing.assert_allclose(rotation_from_quaternion(quat_xyzw), T_a_b[:3, :3], atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_quaternion_of_half_turns(axis):
    R_a_b = -np.eye(3)
    R_a_b[axis, axis] = 1.0
    quat_xyzw = quaternion_from_rotation(R_a_b)
    np.testing.assert_allclose(np.abs(quat_xyzw), np.eye(4)[axis], atol=TOLERANCE)


def test_quaternion_is_normalised_and_ordered_xyzw():
    R_a_b = rotation_from_quaternion([0.0, 0.0, 2.0, 2.0])
    np.testing.assert_allclose(R_a_b, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=TOLERANCE)


@pytest.mark.parametrize("bad", [[0.0, 0.0, 0.0, 0.0], [np.nan, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
def test_quaternion_refuses_what_is_no_rotation(bad):
    with pytest.raises(GeometryError, match="quaternion"):
        rotation_from_quaternion(bad)


def test_skew_is_the_cross_product(random):
    a, b = random.normal(size=(2, 3))
    np.testing.assert_allclose(skew(a) @ b, np.cross(a, b), atol=TOLERANCE)


def test_interpolation_ends_and_middle(poses):
    T_a_b, T_a_c = poses[:2]
    np.testing.assert_allclose(interpolate(T_a_b, T_a_c, 0.0), T_a_b, atol=TOLERANCE)
    np.testing.assert_allclose(interpolate(T_a_b, T_a_c, 1.0), T_a_c, atol=1e-9)
    middle = interpolate(T_a_b, T_a_c, 0.5)
    to_b, to_c = pose_error(middle, T_a_b), pose_error(middle, T_a_c)
    np.testing.assert_allclose(to_b, to_c, atol=1e-9)
