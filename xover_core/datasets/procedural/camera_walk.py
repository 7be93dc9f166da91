# SPDX-License-Identifier: Apache-2.0
"""Walks through an apartment: which rooms in which order, and the camera's poses on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.path_planner import DrivableFloor
from xover_core.datasets.procedural.robot_driver import TIME_STEP, Driver, RobotSettings
from xover_core.datasets.procedural.scene import Room, RoomType
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import make_pose
from xover_core.types import Float64Array, Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A drive through an apartment.

    Attributes:
        stamps_s: (N,) seconds from the start.
        T_map_base: (N, 4, 4) base (x forward, y left, z up, on the floor) in the map.
        T_base_camera: (4, 4) fixed mount of the camera.
    """

    stamps_s: Float64Array
    T_map_base: Float64Array
    T_base_camera: Mat4

    @property
    def T_map_camera(self) -> Float64Array:  # noqa: N802 - the name of a transform
        """(N, 4, 4) optical frame of the camera in the map."""
        return np.asarray(self.T_map_base @ self.T_base_camera)

    def __len__(self) -> int:
        """Number of poses N."""
        return len(self.stamps_s)


def plan_walk(
    apartment: Apartment, seed: int, *, rate_hz: float = 5.0, num_frames: int | None = None, reverse: bool = False,
    stops_per_room: int = 1, robot: RobotSettings | None = None,
) -> Walk:  # fmt: skip
    """Plan and simulate a walk through all rooms.

    Args:
        apartment: where.
        seed: of the stops, the order of rooms and the looking around.
        rate_hz: poses per second.
        num_frames: length; the walk goes on with another round, or ends early. None: one round through all rooms.
        reverse: drive through the rooms in the opposite order.
        stops_per_room: places in each room to which it drives and where it looks around.
        robot: its size and limits.

    Raises:
        DatasetError: `rate_hz`, `num_frames` or `stops_per_room` is not positive, or no floor is free.
    """
    if not rate_hz > 0 or stops_per_room < 1 or (num_frames is not None and num_frames < 1):
        raise DatasetError(
            f"plan_walk: expected positive rate_hz, num_frames and stops_per_room,"
            f" got {rate_hz}, {num_frames} and {stops_per_room}."
        )
    robot = robot or RobotSettings()
    rng = np.random.default_rng([seed, 11])
    floor = DrivableFloor(apartment, max_z=robot.camera_height + 0.25)
    driver = Driver(apartment, floor, robot, rng)
    wanted = math.inf if num_frames is None else num_frames / rate_hz
    driver.start(_room_stops(apartment, floor, robot, rng, stops_per_room, reverse))
    while driver.duration < wanted:
        driver.drive_round(_room_stops(apartment, floor, robot, rng, stops_per_room, reverse), wanted)
        if num_frames is None:
            break
    track = np.array(driver.track)
    step = 1.0 / (rate_hz * TIME_STEP)
    count = int(len(track) / step) if num_frames is None else num_frames
    rows = np.minimum(np.rint(np.arange(count) * step).astype(np.intp), len(track) - 1)
    poses = np.stack([_base_pose(*row) for row in track[rows]])
    return Walk(stamps_s=np.arange(count) / rate_hz, T_map_base=poses, T_base_camera=robot.T_base_camera)


def _base_pose(x: float, y: float, yaw: float) -> Mat4:
    c, s = math.cos(yaw), math.sin(yaw)
    return make_pose(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]), (x, y, 0.0))


def _room_stops(
    apartment: Apartment, floor: DrivableFloor, robot: RobotSettings, rng: np.random.Generator, stops_per_room: int,
    reverse: bool,
) -> list[tuple[float, float]]:  # fmt: skip
    """Stops in all rooms, in the order of the rooms around the corridor; the same cycle for all seeds."""
    radius = robot.radius + 0.08
    anchor = _anchor(apartment, floor, radius)
    middle = np.mean([r.center for r in apartment.rooms], axis=0)

    def around(room: Room) -> float:
        return math.atan2(room.center[1] - middle[1], room.center[0] - middle[0])

    stops = []
    for room in sorted(apartment.rooms, key=around, reverse=reverse):
        points = floor.free_points(room.lower, room.upper, radius)
        points = points[floor.reachable(points, anchor, radius)] if len(points) else points
        count = 1 if room.room_type is RoomType.CORRIDOR else stops_per_room
        clearance = np.array([floor.clearance(x, y) for x, y in points])
        # not in tight corners, where there is nothing but wall to see
        stops += _spread(rng, points[clearance >= np.median(clearance)] if len(points) else points, count)
    return stops


def _anchor(apartment: Apartment, floor: DrivableFloor, radius: float) -> tuple[float, float]:
    """A free point of the region that holds most of the free floor."""
    points = floor.free_points((0.0, 0.0), apartment.layout.extent, radius)
    if not len(points):
        raise DatasetError(
            f"plan_walk: expected free floor for a robot of radius {radius:.2f} m in apartment {apartment.seed},"
            f" found none; choose a smaller robot."
        )
    best: tuple[int, tuple[float, float]] = (0, (0.0, 0.0))
    for x, y in points[:: max(1, len(points) // 12)].tolist():
        best = max(best, (int(floor.reachable(points, (x, y), radius).sum()), (x, y)))
    return best[1]


def _spread(rng: np.random.Generator, points: Float64Array, count: int) -> list[tuple[float, float]]:
    """Random points that are far from each other; none from none."""
    if not len(points):
        return []
    chosen = [points[int(rng.integers(len(points)))]]
    for _ in range(count - 1):
        candidates = points[rng.integers(0, len(points), 8)]
        distance = np.min([np.hypot(*(candidates - c).T) for c in chosen], axis=0)
        chosen.append(candidates[int(np.argmax(distance))])
    return [(float(x), float(y)) for x, y in chosen]
