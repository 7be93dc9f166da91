# SPDX-License-Identifier: Apache-2.0
"""A small robot that drives along paths, turns on the spot and looks around, within the limits of its motors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.path_planner import DrivableFloor
from xover_core.geometry.transforms import make_pose
from xover_core.types import Float64Array, Mat4

TIME_STEP = 0.02
"""Of the simulation, seconds."""

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
    def T_base_camera(self) -> Mat4:  # noqa: N802 - the name of a transform
        """(4, 4) optical frame of the camera in the base frame (x forward, y left, z up, origin on the floor)."""
        pitch = math.radians(self.camera_pitch_deg)
        forward = np.array([math.cos(pitch), 0.0, -math.sin(pitch)])
        right = np.array([0.0, -1.0, 0.0])
        rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
        return make_pose(rotation, (self.camera_forward, 0.0, self.camera_height))


@dataclass(slots=True)
class _State:
    """Pose and speed of the base while it is simulated."""

    x: float
    y: float
    yaw: float
    speed: float = 0.0
    turn_rate: float = 0.0


class Driver:
    """Simulates the base: follows paths by pure pursuit, turns on the spot, keeps to its limits."""

    def __init__(
        self, apartment: Apartment, floor: DrivableFloor, robot: RobotSettings, rng: np.random.Generator
    ) -> None:
        self._apartment = apartment
        self._floor = floor
        self._robot = robot
        self._rng = rng
        self._state = _State(0.0, 0.0, 0.0)
        self.track: list[tuple[float, float, float]] = []

    @property
    def duration(self) -> float:
        """Seconds driven so far."""
        return len(self.track) * TIME_STEP

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
        for _ in range(int(60 / TIME_STEP)):
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
            for _ in range(int(self._rng.uniform(0, 0.6) / TIME_STEP)):
                self._step(0.0, 0.0)

    def _view_depth(self, yaw: float) -> float:
        """Distance to the wall of the room in a direction, up to 3.5 m; 0 in a doorway."""
        room = self._apartment.room_at(self._state.x, self._state.y)
        if room is None:
            return 0.0
        depth = 3.5
        for start, step, low, high in zip(
            (self._state.x, self._state.y), (math.cos(yaw), math.sin(yaw)), room.lower, room.upper, strict=True
        ):
            if abs(step) > 1e-6:
                depth = min(depth, ((high if step > 0 else low) - start) / step)
        return depth

    def _turn(self, angle: float, pace: float) -> None:
        """Turn by an angle at a share of the highest rate."""
        limit = math.radians(self._robot.max_turn_rate_deg) * pace
        turned = 0.0
        for _ in range(int(60 / TIME_STEP)):
            left = angle - turned
            if abs(left) < 0.01:
                break
            self._step(0.0, math.copysign(min(limit, 2.5 * abs(left) + 0.02), left))
            turned += self._state.turn_rate * TIME_STEP
        self._stop()

    def _stop(self) -> None:
        while abs(self._state.speed) > 1e-6 or abs(self._state.turn_rate) > 1e-6:
            self._step(0.0, 0.0)

    def _step(self, speed: float, turn_rate: float) -> None:
        """Move for one time step towards the wanted speeds, within the limits of acceleration; never into things."""
        s, robot = self._state, self._robot
        limit = math.radians(robot.max_turn_rate_deg)
        s.speed += _clip(speed - s.speed, robot.max_acceleration * TIME_STEP)
        s.turn_rate += _clip(
            _clip(turn_rate, limit) - s.turn_rate, math.radians(robot.max_turn_acceleration_deg) * TIME_STEP
        )
        s.yaw = _wrap(s.yaw + s.turn_rate * TIME_STEP)
        x = s.x + math.cos(s.yaw) * s.speed * TIME_STEP
        y = s.y + math.sin(s.yaw) * s.speed * TIME_STEP
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
