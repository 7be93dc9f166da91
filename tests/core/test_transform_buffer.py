# SPDX-License-Identifier: Apache-2.0
"""The transform buffer: laws of the tree, interpolation, late and out-of-order data, and each way to be unavailable."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.errors import GeometryError
from xover_core.geometry.pose_history import MAX_POSES, PoseHistory
from xover_core.geometry.transform_buffer import TransformBuffer, TransformUnavailableError, UnavailableReason
from xover_core.geometry.transforms import exp_se3, invert, make_pose, rotation_angle
from xover_core.types import Mat4

EXACT = 1e-12  # products of a few rotation matrices in double precision
SECOND = 10**9


def random_pose(seed: int) -> Mat4:
    return exp_se3(np.random.default_rng(seed).normal(size=6))


def turned(angle: float, x: float = 0.0) -> Mat4:
    return make_pose(exp_se3(np.array([0, 0, 0, 0, 0, angle]))[:3, :3], (x, 0.0, 0.0))


@pytest.fixture
def robot() -> TransformBuffer:
    """Map -> odom -> base (moving, at 1 s and 2 s) -> camera and laser (static)."""
    buffer = TransformBuffer()
    for second in (1, 2):
        buffer.set("map", "odom", second * SECOND, random_pose(10 + second), False)
        buffer.set("odom", "base", second * SECOND, random_pose(20 + second), False)
    buffer.set("base", "camera", 0, random_pose(1), True)
    buffer.set("base", "laser", 0, random_pose(2), True)
    return buffer


def test_lookup_composes_the_chain(robot: TransformBuffer) -> None:
    expected = random_pose(12) @ random_pose(22) @ random_pose(1)
    np.testing.assert_allclose(robot.lookup("map", "camera", 2 * SECOND), expected, atol=EXACT)


def test_lookup_back_is_the_inverse(robot: TransformBuffer) -> None:
    there = robot.lookup("map", "camera", int(1.3 * SECOND))
    np.testing.assert_allclose(robot.lookup("camera", "map", int(1.3 * SECOND)), invert(there), atol=EXACT)


def test_lookup_through_a_common_ancestor_uses_only_the_edges_below_it(robot: TransformBuffer) -> None:
    far_future = 1000 * SECOND
    expected = invert(random_pose(2)) @ random_pose(1)
    np.testing.assert_allclose(robot.lookup("laser", "camera", far_future), expected, atol=EXACT)


def test_lookup_of_a_frame_in_itself_is_identity(robot: TransformBuffer) -> None:
    np.testing.assert_array_equal(robot.lookup("nobody", "nobody", 5), np.eye(4))
    np.testing.assert_array_equal(robot.lookup("camera", "camera", 5), np.eye(4))


def test_leading_slash_is_the_same_frame(robot: TransformBuffer) -> None:
    np.testing.assert_array_equal(robot.lookup("/base", "/camera", 5), robot.lookup("base", "camera", 5))


def test_interpolation_is_linear_and_slerp() -> None:
    buffer = TransformBuffer()
    buffer.set("odom", "base", 1 * SECOND, turned(0.0, x=0.0), False)
    buffer.set("odom", "base", 2 * SECOND, turned(2.0, x=4.0), False)
    pose = buffer.lookup("odom", "base", int(1.25 * SECOND))
    np.testing.assert_allclose(pose, turned(0.5, x=1.0), atol=1e-9)


def test_order_of_arrival_does_not_matter() -> None:
    stamps = np.arange(1, 40) * SECOND // 10
    in_order, shuffled = TransformBuffer(), TransformBuffer()
    for stamp in stamps:
        in_order.set("odom", "base", int(stamp), turned(stamp / SECOND), False)
    for stamp in np.random.default_rng(0).permutation(stamps):
        shuffled.set("odom", "base", int(stamp), turned(stamp / SECOND), False)
    for stamp in (SECOND // 10, SECOND, int(2.345 * SECOND), int(stamps[-1])):
        np.testing.assert_array_equal(in_order.lookup("odom", "base", stamp), shuffled.lookup("odom", "base", stamp))


def test_same_stamp_again_replaces() -> None:
    buffer = TransformBuffer()
    buffer.set("odom", "base", SECOND, turned(0.1), False)
    buffer.set("odom", "base", SECOND, turned(0.2), False)
    assert rotation_angle(buffer.lookup("odom", "base", SECOND)[:3, :3]) == pytest.approx(0.2)


def reason_of(buffer: TransformBuffer, target: str, source: str, stamp_ns: int) -> UnavailableReason:
    with pytest.raises(TransformUnavailableError) as caught:
        buffer.lookup(target, source, stamp_ns)
    return caught.value.reason


def test_late_transform_is_future_and_then_arrives(robot: TransformBuffer) -> None:
    late = int(2.5 * SECOND)
    assert reason_of(robot, "odom", "camera", late) is UnavailableReason.NOT_YET
    robot.set("odom", "base", 3 * SECOND, random_pose(5), False)
    assert robot.lookup("odom", "camera", late).shape == (4, 4)


def test_each_reason_is_told_apart(robot: TransformBuffer) -> None:
    robot.set("island", "palm", 0, np.eye(4), True)
    assert reason_of(robot, "odom", "base", SECOND - 1) is UnavailableReason.TOO_OLD
    assert reason_of(robot, "map", "arm", SECOND) is UnavailableReason.UNKNOWN_FRAME
    assert reason_of(robot, "map", "palm", SECOND) is UnavailableReason.DISCONNECTED
    assert reason_of(TransformBuffer(), "map", "base", SECOND) is UnavailableReason.UNKNOWN_FRAME


def test_old_data_are_forgotten_and_refused() -> None:
    buffer = TransformBuffer(cache_s=2.0)
    for second in range(1, 11):
        assert buffer.set("odom", "base", second * SECOND, turned(0.1 * second), False)
    assert not buffer.set("odom", "base", 1 * SECOND, turned(0.0), False)
    assert reason_of(buffer, "odom", "base", 7 * SECOND) is UnavailableReason.TOO_OLD
    assert buffer.lookup("odom", "base", 8 * SECOND).shape == (4, 4)


def test_clear_forgets_moving_and_keeps_static(robot: TransformBuffer) -> None:
    robot.clear()
    assert robot.frames == {"base", "camera", "laser"}
    assert robot.set("odom", "base", 1, np.eye(4), False)
    np.testing.assert_allclose(robot.lookup("odom", "camera", 1), random_pose(1), atol=EXACT)


@pytest.mark.parametrize(("parent", "child"), [("camera", "odom"), ("base", "base"), ("camera", "map")])
def test_loops_are_refused(robot: TransformBuffer, parent: str, child: str) -> None:
    with pytest.raises(GeometryError, match="loop"):
        robot.set(parent, child, SECOND, np.eye(4), False)


def test_second_parent_is_refused_until_the_first_is_stale(robot: TransformBuffer) -> None:
    with pytest.raises(GeometryError, match="one parent"):
        robot.set("wheel_odom", "base", 3 * SECOND, np.eye(4), False)
    with pytest.raises(GeometryError, match="one parent"):
        robot.set("arm", "camera", 0, np.eye(4), True)
    assert robot.set("wheel_odom", "base", 30 * SECOND, np.eye(4), False)
    assert robot.lookup("wheel_odom", "camera", 30 * SECOND).shape == (4, 4)


@pytest.mark.parametrize("pose", [np.eye(3), np.full((4, 4), np.nan), 2 * np.eye(4)])
def test_bad_matrices_are_refused_and_leave_no_trace(pose: Mat4) -> None:
    buffer = TransformBuffer()
    with pytest.raises(GeometryError):
        buffer.set("odom", "base", 1, pose, False)
    assert buffer.frames == frozenset()


def test_empty_names_are_refused() -> None:
    with pytest.raises(GeometryError, match="empty"):
        TransformBuffer().set("", "base", 1, np.eye(4), False)


def test_history_is_bounded() -> None:
    history = PoseHistory("odometry", cache_s=1e6)
    pose = np.eye(4)
    for stamp in range(MAX_POSES + 10):
        history.add(stamp, pose)
    assert len(history) == MAX_POSES
    with pytest.raises(TransformUnavailableError):
        history.lookup(9)
