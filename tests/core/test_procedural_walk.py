# SPDX-License-Identifier: Apache-2.0
"""Walks: inside, free of collisions, within the robot's limits; odometry that drifts as it should; the sequence."""

from __future__ import annotations

import math

import numpy as np
import procedural_scene as ps
import pytest

from xover_core.datasets.procedural import (
    Apartment,
    ApartmentWalk,
    ObjectClass,
    OdometryDrift,
    RobotSettings,
    drifting_odometry,
    make_apartment,
    plan_walk,
)
from xover_core.datasets.procedural.path_planner import CELL, DrivableFloor
from xover_core.datasets.procedural.scene import Shape
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import invert, make_pose, pose_error
from xover_core.types import Float64Array

RATE_HZ = 10.0
POSE_TOLERANCE = 1e-9
STATISTICS_TOLERANCE = 0.2  # relative; standard deviations from 200 draws are good to 5 %


@pytest.fixture(scope="module")
def apartment() -> Apartment:
    return make_apartment(1)


def visited_rooms(apartment: Apartment, T_map_base: Float64Array) -> list[int]:
    """Rooms in the order in which they are first entered."""
    rooms = [apartment.room_at(x, y) for x, y in T_map_base[:, :2, 3]]
    return list(dict.fromkeys(r.room_id for r in rooms if r is not None))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_walk_is_free_and_sees_all_rooms(apartment: Apartment, seed: int) -> None:
    robot = RobotSettings()
    walk = plan_walk(apartment, seed, rate_hz=RATE_HZ)
    floor = DrivableFloor(apartment)
    clearance = [floor.clearance(x, y) for x, y in walk.T_map_base[:, :2, 3]]
    assert min(clearance) > robot.radius - CELL
    assert set(visited_rooms(apartment, walk.T_map_base)) == {r.room_id for r in apartment.rooms}


def test_a_walk_keeps_to_the_limits_of_the_robot(apartment: Apartment) -> None:
    robot = RobotSettings()
    walk = plan_walk(apartment, 3, rate_hz=RATE_HZ)
    steps = [pose_error(a, b) for a, b in zip(walk.T_map_base[:-1], walk.T_map_base[1:], strict=True)]
    distance, angle = np.array(steps).T
    assert distance.max() * RATE_HZ < robot.max_speed * 1.01
    assert np.degrees(angle).max() * RATE_HZ < robot.max_turn_rate_deg * 1.01
    assert distance.sum() > 10
    assert np.degrees(angle.sum()) > 720
    np.testing.assert_allclose(walk.T_map_camera[:, 2, 3], robot.camera_height, atol=POSE_TOLERANCE)
    np.testing.assert_allclose(walk.T_map_camera[:, 2, 2], -math.sin(math.radians(robot.camera_pitch_deg)), atol=1e-6)
    np.testing.assert_allclose(np.diff(walk.stamps_s), 1 / RATE_HZ, atol=POSE_TOLERANCE)


def test_walks_differ_by_seed_and_direction(apartment: Apartment) -> None:
    forth, again, other = (plan_walk(apartment, s, rate_hz=2.0) for s in (0, 0, 1))
    back = plan_walk(apartment, 0, rate_hz=2.0, reverse=True)
    np.testing.assert_array_equal(forth.T_map_base, again.T_map_base)
    assert not np.array_equal(forth.T_map_base[:50], other.T_map_base[:50])
    assert visited_rooms(apartment, forth.T_map_base) != visited_rooms(apartment, back.T_map_base)


def test_a_walk_has_the_wanted_length(apartment: Apartment) -> None:
    assert len(plan_walk(apartment, 0, rate_hz=1.0, num_frames=7)) == 7
    assert len(plan_walk(apartment, 0, rate_hz=0.5, num_frames=300)) == 300


def test_the_planner_goes_straight_and_around() -> None:
    empty = DrivableFloor(ps.hand_built())
    path = empty.find_path((1.0, 2.0), (5.0, 2.0), 0.25)
    assert len(path) <= 3
    assert np.ptp(path[:, 1]) < CELL
    wall = ps.scene_object(1, ObjectClass.BOX, (3.0, 0.0, 0.0), ps.primitive(Shape.BOX, (0, 1.2, 0.5), (0.1, 1.2, 0.5)))
    around = DrivableFloor(ps.hand_built(wall))
    path = around.find_path((1.0, 1.0), (5.0, 1.0), 0.25)
    assert path[:, 1].max() > 2.4 + 0.25 - CELL
    closed = ps.scene_object(1, ObjectClass.BOX, (3.0, 2.0, 0.0), ps.primitive(Shape.BOX, (0, 0, 0.5), (0.1, 2.1, 0.5)))
    with pytest.raises(DatasetError, match="found none"):
        DrivableFloor(ps.hand_built(closed)).find_path((1.0, 1.0), (5.0, 1.0), 0.25)
    assert empty.clearance(-1.0, 2.0) == 0


def test_walks_that_cannot_be_are_refused(apartment: Apartment) -> None:
    for arguments in ({"rate_hz": 0.0}, {"num_frames": 0}, {"stops_per_room": 0}, {"rate_hz": float("nan")}):
        with pytest.raises(DatasetError, match="plan_walk: expected positive"):
            plan_walk(apartment, 0, **arguments)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="smaller robot"):
        plan_walk(apartment, 0, robot=RobotSettings(radius=3.0))


def straight(length: float, num: int = 101) -> Float64Array:
    return np.stack([make_pose(np.eye(3), (x, 1.0, 0.0)) for x in np.linspace(0, length, num)])


def test_no_drift_keeps_all_motions() -> None:
    none = OdometryDrift(
        translation_noise=0, sideways_noise=0, rotation_noise=0, heading_noise=0, scale_bias=0, heading_bias=0,
        turn_scale_bias=0,
    )  # fmt: skip
    truth = plan_walk(ps.hand_built(), 0, rate_hz=2.0).T_map_base
    measured = drifting_odometry(truth, none, 3)
    assert np.linalg.norm(measured[0] - truth[0]) > 0.1
    np.testing.assert_allclose(invert(measured[0]) @ measured[-1], invert(truth[0]) @ truth[-1], atol=1e-6)


def test_drift_grows_as_stated() -> None:
    quiet = dict.fromkeys(
        ("translation_noise", "sideways_noise", "rotation_noise", "heading_noise", "heading_bias", "turn_scale_bias"),
        0.0,
    )
    for length in (4.0, 16.0):
        for name, expected in (("scale_bias", 0.02 * length), ("translation_noise", 0.02 * math.sqrt(length))):
            drift = OdometryDrift(**{**quiet, "scale_bias": 0.0, name: 0.02})
            ends = [invert(t[0]) @ t[-1] for t in (drifting_odometry(straight(length), drift, s) for s in range(200))]
            assert np.std([e[0, 3] for e in ends]) == pytest.approx(expected, rel=STATISTICS_TOLERANCE)
            assert max(abs(e[1, 3]) for e in ends) < POSE_TOLERANCE
    heading = OdometryDrift(**{**quiet, "scale_bias": 0.0, "heading_noise": 0.01})
    turned = [
        math.atan2(t[1, 0], t[0, 0])
        for t in (invert(p[0]) @ p[-1] for p in (drifting_odometry(straight(9.0), heading, s) for s in range(200)))
    ]
    assert np.std(turned) == pytest.approx(0.03, rel=STATISTICS_TOLERANCE)


def test_a_robot_that_stands_does_not_drift() -> None:
    track = drifting_odometry(np.repeat(np.eye(4)[None], 50, axis=0), OdometryDrift(), 0)
    np.testing.assert_allclose(track, track[:1].repeat(50, axis=0), atol=POSE_TOLERANCE)


def test_negative_drift_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least 0"):
        OdometryDrift(scale_bias=-0.1)


def test_the_sequence_is_what_a_robot_records(apartment: Apartment) -> None:
    walk = ApartmentWalk(apartment, seed=2, rate_hz=4.0, num_frames=3, intrinsics=ps.SMALL_CAMERA, start_stamp_ns=500)
    items = list(walk)
    assert len(walk) == len(items) == 3
    assert [i.frame.stamp_ns for i in items] == walk.stamps_ns == [500, 250_000_500, 500_000_500]
    for index, item in enumerate(items):
        np.testing.assert_allclose(
            item.T_world_camera, walk.T_map_base[index] @ walk.T_base_camera, atol=POSE_TOLERANCE
        )
        expected = walk.T_odom_base[index] @ walk.T_base_camera
        np.testing.assert_allclose(item.frame.T_odom_camera, expected, atol=POSE_TOLERANCE)
        assert item.frame.depth is not None
        assert (item.frame.depth > 0).mean() > 0.5
    again = ApartmentWalk(apartment, seed=2, rate_hz=4.0, num_frames=3, intrinsics=ps.SMALL_CAMERA)
    np.testing.assert_array_equal(again.item(2).frame.rgb, items[2].frame.rgb)
    assert again.name != ApartmentWalk(apartment, seed=2, num_frames=3, reverse=True).name
