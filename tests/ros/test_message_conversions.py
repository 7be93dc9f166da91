# SPDX-License-Identifier: Apache-2.0
"""Conversions there and back, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Pose, PoseWithCovariance
from xover_ros.message_conversions import (
    byte_array,
    covariance_matrix,
    move_covariance,
    pose_matrix,
    pose_message,
    pose_with_covariance,
    stamp_from_ns,
    stamp_to_ns,
    transform_matrix,
    transform_message,
)

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import exp_se3

EXACT = 1e-12  # double precision and one normalisation
POSE = exp_se3(np.array([1.0, -2.0, 0.5, 0.3, -1.2, 2.0]))


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789])
def test_stamps_survive_the_round_trip(stamp_ns: int) -> None:
    assert stamp_to_ns(stamp_from_ns(stamp_ns)) == stamp_ns


def test_poses_and_transforms_survive_the_round_trip() -> None:
    np.testing.assert_allclose(pose_matrix(pose_message(POSE)), POSE, atol=EXACT)
    message = transform_message(5, "map", "odom", POSE)
    assert (message.header.frame_id, message.child_frame_id) == ("map", "odom")
    np.testing.assert_allclose(transform_matrix(message.transform), POSE, atol=EXACT)


def test_a_pose_message_that_was_never_filled_in_is_the_identity() -> None:
    np.testing.assert_allclose(pose_matrix(Pose()), np.eye(4), atol=EXACT)


@pytest.mark.parametrize("field", ["position", "orientation"])
def test_nan_in_a_pose_is_refused(field: str) -> None:
    pose = pose_message(POSE)
    getattr(pose, field).x = float("nan")
    with pytest.raises(GeometryError):
        pose_matrix(pose)


def test_a_zero_quaternion_is_refused() -> None:
    pose = Pose()
    pose.orientation.w = 0.0
    with pytest.raises(GeometryError, match="quaternion"):
        pose_matrix(pose)


def test_covariance_survives_the_round_trip() -> None:
    covariance = np.diag([1.0, 2, 3, 4, 5, 6]) + 0.1
    np.testing.assert_allclose(covariance_matrix(pose_with_covariance(POSE, covariance)), covariance, atol=EXACT)


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_covariance_that_is_none_is_refused(value: float) -> None:
    message = PoseWithCovariance()
    message.covariance[0] = value
    with pytest.raises(GeometryError, match="covariance"):
        covariance_matrix(message)


def test_moved_covariance_matches_samples() -> None:
    """The covariance of b, fixed to a, agrees with that of many disturbed poses of a."""
    random = np.random.default_rng(1)
    T_map_a, T_a_b = POSE, exp_se3(np.array([0.5, 0.2, -1.0, 0.1, 0.0, 0.4]))
    sigmas = np.array([0.02, 0.01, 0.03, 0.01, 0.02, 0.015])
    T_map_b = T_map_a @ T_a_b
    errors = []
    for noise in random.normal(size=(4000, 6)) * sigmas:
        disturbed = T_map_a.copy()
        turn = exp_se3(np.concatenate([np.zeros(3), noise[3:]]))[:3, :3]
        disturbed[:3, :3] = turn @ T_map_a[:3, :3]
        disturbed[:3, 3] += noise[:3]
        moved = disturbed @ T_a_b
        turned = moved[:3, :3] @ T_map_b[:3, :3].T
        angles = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]) / 2
        errors.append(np.concatenate([moved[:3, 3] - T_map_b[:3, 3], angles]))
    expected = np.cov(np.array(errors).T)
    moved_covariance = move_covariance(np.diag(sigmas**2), T_map_a, T_a_b)
    # 4000 samples give variances to about 2 %; five times that, relative to the largest
    np.testing.assert_allclose(moved_covariance, expected, atol=0.1 * expected.max())


def test_bytes_are_those_of_the_array() -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert byte_array(values[:, ::2]).tobytes() == values[:, ::2].tobytes()
