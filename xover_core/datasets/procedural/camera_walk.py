# SPDX-License-Identifier: Apache-2.0
"""Drives a robot through an apartment: which rooms in which order, and how it moves and turns on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.path_planner import DrivableFloor
from xover_core.datasets.procedural.scene import Room, RoomType
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import make_pose
from xover_core.types import Float64Array, Mat4

_TIME_STEP = 0.02
_LOOK_AHEAD = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotSettings:
    """A small indoor robot with its camera on a mast.

    Attributes:
        radius: of its round base, m.
        max_speed: m/s.
        max_turn_rate_deg: deg/s.
        max_acceleration: m/s^2.
        max_turn_acceleration_deg: deg/s^2.
        camera_height: above the floor, m.
        camera_forward: before the middle of the base, m.
        camera_pitch_deg: how far the camera looks down.
    """

    radius: float = 0.2
    max_speed: float = 0.45
    max_turn_rate_deg: float = 50.0
    max_acceleration: float = 0.5
    max_turn_acceleration_deg: float = 120.0
    camera_height: float = 1.05
    camera_forward: float = 0.08
    camera_pitch_deg: float = 6.0

    @property
    def T_base_camera(self) -> Mat4:
        """(4, 4) optical frame of the camera in the base frame (x forward, y left, z up, origin on the floor)."""
        pitch = math.radians(self.camera_pitch_deg)
        forward = np.array([math.cos(pitch), 0.0, -math.sin(pitch)])
        right = np.array([0.0, -1.0, 0.0])
        rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
        return make_pose(rotation, (self.camera_forward, 0.0, self.camera_height))


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
    def T_map_camera(self) -> Float64Array:
        """(N, 4, 4) optical frame of the camera in the map."""
        return np.asarray(self.T_map_base @ self.T_base_camera)

    def __len__(self) -> int:
        """Number of poses N."""
        return len(self.stamps_s)


@dataclass(slots=True)
class _State:
    """Pose and speed of the base while it is simulated."""

    x: float
    y: float
    yaw: float
    speed: float = 0.0
    turn_rate: float = 0.0


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
    driver = _Driver(apartment, floor, robot, rng)
    wanted = math.inf if num_frames is None else num_frames / rate_hz
    driver.start(_room_stops(apartment, floor, robot, rng, stops_per_room, reverse))
    while driver.duration < wanted:
        driver.drive_round(_room_stops(apartment, floor, robot, rng, stops_per_room, reverse), wanted)
        if num_frames is None:
            break
    track = np.array(driver.track)
    step = 1.0 / (rate_hz * _TIME_STEP)
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
        raise DatasetError(f"plan_walk: expected free floor for a robot of radius {radius:.2f} m in apartment {apartment.seed}, found none.")
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


class _Driver:
    """Simulates the base: follows paths by pure pursuit, turns on the spot, keeps to its limits."""

    def __init__(self, apartment: Apartment, floor: DrivableFloor, robot: RobotSettings, rng: np.random.Generator) -> None:
        self._apartment = apartment
        self._floor = floor
        self._robot = robot
        self._rng = rng
        self._state = _State(0.0, 0.0, 0.0)
        self.track: list[tuple[float, float, float]] = []

    @property
    def duration(self) -> float:
        """Seconds driven so far."""
        return len(self.track) * _TIME_STEP

    def start(self, stops: list[tuple[float, float]]) -> None:
        """Begin at the last stop of a round, in any direction."""
        self._state = _State(*stops[-1], float(self._rng.uniform(-math.pi, math.pi)))
        self.track.append((self._state.x, self._state.y, self._state.yaw))

    def drive_round(self, stops: list[tuple[float, float]], max_duration: float) -> None:
        """Drive to all stops and look around at each; ends early when time is up."""
        for stop in stops:
            if self.duration >= max_duration:
                return
            path = self._floor.find_path((self._state.x, self._state.y), stop, self._robot.radius + 0.04)
            self._follow(path)
            self._look_around()

    def _follow(self, path: Float64Array) -> None:
        """Drive along a polyline, always towards a point a little ahead on it."""
        lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        progress = 0.0
        for _ in range(int(60 / _TIME_STEP)):
            here = np.array([self._state.x, self._state.y])
            progress = _advance(path, lengths, here, progress)
            remaining = lengths[-1] - progress
            if remaining < 0.06:
                break
            ahead = min(progress + min(_LOOK_AHEAD, 2.5 * self._floor.clearance(*here) / 2), lengths[-1])
            target = np.array([np.interp(ahead, lengths, path[:, k]) for k in (0, 1)])
            error = _wrap(math.atan2(*(target - here)[::-1]) - self._state.yaw)
            speed = 0.0 if abs(error) > 0.5 else self._robot.max_speed * math.cos(error * 2.5)
            self._step(min(max(speed, 0.0), 0.1 + remaining), 2.5 * error)
        self._stop()

    def _look_around(self) -> None:
        """Turn on the spot, sometimes all the way round, else to directions with something to see; short rests."""
        if self._rng.random() < 0.25:
            self._turn(math.copysign(2 * math.pi, self._rng.random() - 0.5), float(self._rng.uniform(0.6, 1.0)))
            return
        for _ in range(int(self._rng.integers(1, 4))):
            headings = self._rng.uniform(-math.pi, math.pi, 6)
            heading = max(headings.tolist(), key=self._view_depth)
            self._turn(_wrap(heading - self._state.yaw), float(self._rng.uniform(0.5, 1.0)))
            for _ in range(int(self._rng.uniform(0, 0.6) / _TIME_STEP)):
                self._step(0.0, 0.0)

    def _view_depth(self, yaw: float) -> float:
        """Distance to the wall of the room in a direction, up to 3.5 m; 0 in a doorway."""
        room = self._apartment.room_at(self._state.x, self._state.y)
        if room is None:
            return 0.0
        depth = 3.5
        for start, step, low, high in zip((self._state.x, self._state.y), (math.cos(yaw), math.sin(yaw)), room.lower, room.upper, strict=True):
            if abs(step) > 1e-6:
                depth = min(depth, ((high if step > 0 else low) - start) / step)
        return depth

    def _turn(self, angle: float, pace: float) -> None:
        """Turn by an angle at a share of the highest rate."""
        limit = math.radians(self._robot.max_turn_rate_deg) * pace
        turned = 0.0
        for _ in range(int(60 / _TIME_STEP)):
            left = angle - turned
            if abs(left) < 0.01:
                break
            self._step(0.0, math.copysign(min(limit, 2.5 * abs(left) + 0.02), left))
            turned += self._state.turn_rate * _TIME_STEP
        self._stop()

    def _stop(self) -> None:
        while abs(self._state.speed) > 1e-6 or abs(self._state.turn_rate) > 1e-6:
            self._step(0.0, 0.0)

    def _step(self, speed: float, turn_rate: float) -> None:
        """Move for one time step towards the wanted speeds, within the limits of acceleration; never into things."""
        s, robot = self._state, self._robot
        limit = math.radians(robot.max_turn_rate_deg)
        s.speed += _clip(speed - s.speed, robot.max_acceleration * _TIME_STEP)
        s.turn_rate += _clip(_clip(turn_rate, limit) - s.turn_rate, math.radians(robot.max_turn_acceleration_deg) * _TIME_STEP)
        s.yaw = _wrap(s.yaw + s.turn_rate * _TIME_STEP)
        x = s.x + math.cos(s.yaw) * s.speed * _TIME_STEP
        y = s.y + math.sin(s.yaw) * s.speed * _TIME_STEP
        if self._floor.clearance(x, y) >= min(robot.radius, self._floor.clearance(s.x, s.y)):
            s.x, s.y = x, y
        else:
            s.speed = 0.0
        self.track.append((s.x, s.y, s.yaw))


def _advance(path: Float64Array, lengths: Float64Array, here: Float64Array, progress: float) -> float:
    """Length along the path of the point nearest to `here`, not before `progress` and not far after it."""
    samples = np.linspace(progress, min(progress + 0.5, lengths[-1]), 21)
    points = np.stack([np.interp(samples, lengths, path[:, k]) for k in (0, 1)], axis=1)
    return float(samples[int(np.argmin(np.hypot(*(points - here).T)))])


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _clip(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
