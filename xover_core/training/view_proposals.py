# SPDX-License-Identifier: Apache-2.0
"""Camera poses in an apartment that show the same things from many sides, near and far; nothing is rendered here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.camera_walk import plan_walk
from xover_core.datasets.procedural.path_planner import DrivableFloor
from xover_core.datasets.procedural.robot_driver import RobotSettings
from xover_core.datasets.procedural.scene import Room, SceneObject
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import make_pose, pose_error
from xover_core.types import Float64Array, Mat4

# Heights in which cameras are held; each has its own obstacles, so that a camera may look over a table.
_BANDS = ((0.5, 0.9), (0.9, 1.3), (1.3, 1.7))
_BODY = 0.15
_CLEARANCE = 0.2
# Cameras also stand just outside of the room and look in through its doors.
_OUTSIDE = 1.2
_MIN_DISTANCE, _MAX_DISTANCE = 0.7, 5.0
_MIN_PITCH_DEG, _MAX_PITCH_DEG = -35.0, 15.0
_ROLL_DEG = 4.0
# Smaller things make no patch of their own from some metres away.
_MIN_TARGET_SIZE = 0.25
_NUM_CANDIDATES = 60
# The next frame of a walk comes after this way, m, or a turn by this share of the field of view, or a mixture of both.
_WALK_STEP = 0.8
_WALK_TURN = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A camera pose that may be worth rendering.

    Attributes:
        T_map_camera: (4, 4) optical frame.
        target_id: object that should be visible, 0 when none is meant.
    """

    T_map_camera: Mat4
    target_id: int = 0


class ViewProposals:
    """Draws camera poses in some rooms of an apartment."""

    def __init__(self, apartment: Apartment, rooms: Sequence[Room], fov_deg: float, rng: np.random.Generator) -> None:
        """Find the free places.

        Args:
            apartment: where.
            rooms: that are looked at, at least one.
            fov_deg: horizontal field of view.
            rng: source of all randomness.
        """
        self._apartment = apartment
        self._rooms = tuple(rooms)
        self._fov = math.radians(fov_deg)
        self._rng = rng
        floors = [DrivableFloor(apartment, min_z=low - _BODY, max_z=high + _BODY) for low, high in _BANDS]
        self._places = {room.room_id: [_places_around(floor, room) for floor in floors] for room in self._rooms}
        self._targets = {room.room_id: self._find_targets(room) for room in self._rooms}

    def around_targets(self, num_tries: int) -> Iterator[Proposal]:
        """Objects of one room after the other, each looked at from several sides; none without free places."""
        rng = self._rng
        tried = 0
        while tried < num_tries:
            for room in self._rooms:
                targets, weights = self._targets[room.room_id]
                target = targets[int(rng.choice(len(targets), p=weights))]
                num_views = int(rng.integers(4, 9))
                tried += num_views
                start = rng.uniform(0, 2 * math.pi)
                for bearing in start + np.arange(num_views) * (2 * math.pi / num_views):
                    proposal = self._look_at(room, target, float(bearing + rng.normal(0, 0.3)))
                    if proposal is not None:
                        yield proposal

    def anywhere(self, num_tries: int) -> Iterator[Proposal]:
        """Free places of one room after the other, in any direction; tries without a free place give none."""
        rng = self._rng
        for room in islice(cycle(self._rooms), num_tries):
            position = self._draw_place(room)
            if position is not None:
                yaw, pitch_deg = rng.uniform(-math.pi, math.pi), rng.normal(-8.0, 10.0)
                yield Proposal(T_map_camera=self._pose(position, float(yaw), math.radians(pitch_deg)))

    def walk(self, num_frames: int) -> list[Proposal]:
        """At most this many neighbouring poses of a robot's walk through the rooms; fewer when the rooms are small."""
        rng = self._rng
        robot = RobotSettings(
            camera_height=float(rng.uniform(0.5, 1.4)), camera_pitch_deg=float(rng.uniform(-5.0, 20.0))
        )
        try:
            walk = plan_walk(self._apartment, int(rng.integers(2**31)), rate_hz=5.0, robot=robot, stops_per_room=2)
        except DatasetError:
            # no floor wide enough for a robot; a hand-held camera still finds places
            return []
        inside = [T for T in walk.T_map_camera if any(room.contains(T[0, 3], T[1, 3]) for room in self._rooms)]
        spaced = self._space_out(inside)
        start = int(rng.integers(max(len(spaced) - num_frames, 0) + 1))
        return [Proposal(T_map_camera=T) for T in spaced[start : start + num_frames]]

    def _space_out(self, poses: Sequence[Mat4]) -> list[Mat4]:
        """Poses far enough from the one kept before that neighbours show new things."""
        kept: list[Mat4] = []
        for pose in poses:
            if kept:
                distance, angle = pose_error(pose, kept[-1])
                if distance / _WALK_STEP + angle / (_WALK_TURN * self._fov) < 1:
                    continue
            kept.append(pose)
        return kept

    def _find_targets(self, room: Room) -> tuple[list[SceneObject], Float64Array]:
        """What to look at in a room, and how often: furniture by the root of its size; in bare rooms, the building."""
        inside = [o for o in self._apartment.objects if o.room_id == room.room_id]
        sizes = {o.object_id: 2 * float(object_boxes(o).half_size.max()) for o in inside}
        furniture = [o for o in inside if not o.is_structure and sizes[o.object_id] >= _MIN_TARGET_SIZE]
        targets = furniture or inside
        weights = np.sqrt([sizes[o.object_id] for o in targets])
        return targets, np.asarray(weights / weights.sum())

    def _look_at(self, room: Room, target: SceneObject, bearing: float) -> Proposal | None:
        """A pose on one side of an object; None when no place is free at any distance."""
        rng = self._rng
        boxes = object_boxes(target)
        point = rng.uniform(boxes.lower_map, boxes.upper_map)
        wanted = rng.uniform(_MIN_DISTANCE, _MAX_DISTANCE)
        position = self._draw_place(room, (float(point[0]), float(point[1])), bearing, wanted)
        if position is None:
            return None
        offset = point - position
        distance = float(np.hypot(offset[0], offset[1]))
        if not _MIN_DISTANCE <= distance <= _MAX_DISTANCE:
            return None
        # not always in the middle of the image
        yaw = math.atan2(offset[1], offset[0]) + rng.normal(0, 0.2 * self._fov)
        pitch = math.atan2(offset[2], distance) + rng.normal(0, 0.1 * self._fov)
        return Proposal(T_map_camera=self._pose(position, float(yaw), float(pitch)), target_id=target.object_id)

    def _draw_place(
        self, room: Room, around: tuple[float, float] | None = None, bearing: float = 0.0, distance: float = 1.0
    ) -> Float64Array | None:
        """(3,) free place at random height: any, or the best of some by bearing and distance from a point."""
        band = int(self._rng.integers(len(_BANDS)))
        places = self._places[room.room_id][band]
        if not len(places):
            return None
        places = places[self._rng.integers(0, len(places), 1 if around is None else _NUM_CANDIDATES)]
        best = 0
        if around is not None:
            x, y = (places - around).T
            turn = np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - bearing))))
            best = int(np.argmin(turn + np.abs(np.log(np.maximum(np.hypot(x, y), 0.01) / distance))))
        return np.array([*places[best], self._rng.uniform(*_BANDS[band])])

    def _pose(self, position: Float64Array, yaw: float, pitch: float) -> Mat4:
        """A hand-held camera: the roll is random, the pitch limited."""
        pitch = min(max(pitch, math.radians(_MIN_PITCH_DEG)), math.radians(_MAX_PITCH_DEG))
        return camera_pose(position, yaw, pitch, math.radians(self._rng.normal(0, _ROLL_DEG)))


def camera_pose(position: Float64Array, yaw: float, pitch: float, roll: float) -> Mat4:
    """(4, 4) optical frame in a map with z up: yaw from x to y, pitch upwards, roll clockwise about the axis; rad."""
    forward = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
    level = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    upright = np.cross(forward, level)
    right = math.cos(roll) * level + math.sin(roll) * upright
    return make_pose(np.stack([right, np.cross(forward, right), forward], axis=1), position)


def _places_around(floor: DrivableFloor, room: Room) -> Float64Array:
    """(N, 2) free places in a room and close around it."""
    lower = (room.lower[0] - _OUTSIDE, room.lower[1] - _OUTSIDE)
    upper = (room.upper[0] + _OUTSIDE, room.upper[1] + _OUTSIDE)
    return floor.free_points(lower, upper, _CLEARANCE)
