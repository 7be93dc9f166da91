# SPDX-License-Identifier: Apache-2.0
"""Where in a room something can be put: no overlaps, doors stay open, a robot still reaches every door."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.layout import Layout
from xover_core.datasets.procedural.scene import ObjectClass, Room, SceneObject
from xover_core.datasets.procedural.shell import WallSide, wall_sides

_CELL = 0.1
_PASSAGE_RADIUS = 0.3
_DOOR_CLEARANCE = 0.75
_MIN_FREE_AREA = 0.9
_WALL_GAP = 0.02

SIDE_YAWS = (math.pi, 0.0, math.pi / 2, -math.pi / 2)
"""Yaw with which an object stands with its back to each of the four walls."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """An axis-aligned rectangle on the floor with the height of what stands there."""

    x0: float
    y0: float
    x1: float
    y1: float
    height: float = 0.0

    def overlaps(self, other: Footprint, gap: float = 0.0) -> bool:
        """Whether two rectangles come closer than `gap` on both axes."""
        is_apart_x = self.x1 + gap <= other.x0 or other.x1 + gap <= self.x0
        return not (is_apart_x or self.y1 + gap <= other.y0 or other.y1 + gap <= self.y0)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an object's origin goes."""

    x: float
    y: float
    yaw: float


@dataclass(slots=True)
class FreeSpace:
    """The floor and the walls of one room, filling up as things are placed."""

    room: Room
    sides: tuple[WallSide, ...]
    taken: list[Footprint] = field(default_factory=list)
    hung: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    _doors: list[Footprint] = field(default_factory=list)

    @classmethod
    def of_room(cls, room: Room, layout: Layout, objects: list[SceneObject]) -> FreeSpace:
        """The space left by the building and by objects that already stand in the room."""
        space = cls(room, wall_sides(room, layout))
        for side in space.sides:
            for opening in side.openings:
                if not opening.is_window:
                    space._doors.append(_door_area(side, opening.start, opening.end))
        for scene_object in objects:
            space.add_object(scene_object)
        return space

    def add_object(self, scene_object: SceneObject) -> None:
        """Block the floor under an object that stands on it, or the wall behind one that hangs."""
        flat = (ObjectClass.FLOOR, ObjectClass.CEILING, ObjectClass.WALL, ObjectClass.BASEBOARD, ObjectClass.RUG)
        is_flat = scene_object.object_class in (*flat, ObjectClass.DOOR_FRAME, ObjectClass.WINDOW)
        if is_flat or scene_object.support_id:
            return
        boxes = object_boxes(scene_object)
        (x0, y0, z0), (x1, y1, z1) = boxes.lower_map.tolist(), boxes.upper_map.tolist()
        if z0 < 1.2:
            self.taken.append(Footprint(x0, y0, x1, y1, z1))
        if z0 > 0.3:
            for i, side in enumerate(self.sides):
                span, across = ((x0, x1), (y0, y1)) if side.axis == 0 else ((y0, y1), (x0, x1))
                if min(abs(a - side.inner) for a in across) < 0.1:
                    self.hung.append((i, *span, z0, z1))

    def find_wall_spot(
        self, rng: np.random.Generator, size: tuple[float, float, float], *, sides: tuple[int, ...] = (0, 1, 2, 3),
        tries: int = 14, is_in_corner: bool = False,
    ) -> Spot | None:  # fmt: skip
        """A place with the back to a wall for (width, depth, height); None when no try succeeds."""
        width, depth, height = size
        for _ in range(tries):
            i = int(rng.choice(sides))
            side = self.sides[i]
            low, high = side.start + width / 2 + _WALL_GAP, side.end - width / 2 - _WALL_GAP
            if high < low:
                continue
            along = float(rng.choice([low, high])) if is_in_corner else float(rng.uniform(low, high))
            across = side.inner - side.outward * (depth / 2 + _WALL_GAP + 0.015)
            spot = Spot(along, across, SIDE_YAWS[i]) if side.axis == 0 else Spot(across, along, SIDE_YAWS[i])
            if self._covers_window(side, along - width / 2, along + width / 2, height):
                continue
            if self.can_place(footprint_at(spot, size)):
                return spot
        return None

    def find_center_spot(
        self, rng: np.random.Generator, size: tuple[float, float, float], *, gap: float = 0.1, tries: int = 20
    ) -> Spot | None:
        """A place away from the walls, with yaw 0 or a quarter turn."""
        for _ in range(tries):
            yaw = float(rng.choice([0.0, math.pi / 2, math.pi, -math.pi / 2]))
            x, y = (
                float(rng.uniform(lo + 0.3, hi - 0.3)) for lo, hi in zip(self.room.lower, self.room.upper, strict=True)
            )
            spot = Spot(x, y, yaw)
            if self.can_place(footprint_at(spot, size), gap=gap):
                return spot
        return None

    def find_hanging_spot(
        self, rng: np.random.Generator, size: tuple[float, float, float], heights: tuple[float, float], *,
        sides: tuple[int, ...] = (0, 1, 2, 3), tries: int = 12,
    ) -> tuple[Spot, float] | None:  # fmt: skip
        """A free piece of wall; gives the spot and z of the lower edge."""
        width, depth, height = size
        for _ in range(tries):
            i = int(rng.choice(sides))
            side, z = self.sides[i], float(rng.uniform(*heights))
            low, high = side.start + width / 2 + 0.05, side.end - width / 2 - 0.05
            if high < low or z + height > self.room.height - 0.05:
                continue
            along = float(rng.uniform(low, high))
            span = (along - width / 2 - 0.05, along + width / 2 + 0.05)
            if self._is_wall_free(i, span, (z, z + height)):
                across = side.inner - side.outward * (depth / 2 + 0.003)
                spot = Spot(along, across, SIDE_YAWS[i]) if side.axis == 0 else Spot(across, along, SIDE_YAWS[i])
                return spot, z
        return None

    def can_place(self, footprint: Footprint, gap: float = 0.0) -> bool:
        """Whether something fits there and every door can still be reached from every other."""
        (x0, y0), (x1, y1) = self.room.lower, self.room.upper
        if footprint.x0 < x0 or footprint.y0 < y0 or footprint.x1 > x1 or footprint.y1 > y1:
            return False
        if any(footprint.overlaps(f, gap) for f in self.taken) or any(footprint.overlaps(d) for d in self._doors):
            return False
        return self._is_connected([*self.taken, footprint])

    def _is_wall_free(self, index: int, span: tuple[float, float], vertical: tuple[float, float]) -> bool:
        """Whether no opening, furniture or hung thing covers a rectangle of a wall."""
        side = self.sides[index]
        for o in side.openings:
            if (
                span[0] < o.end + 0.08
                and o.start - 0.08 < span[1]
                and vertical[0] < o.top + 0.1
                and o.bottom - 0.1 < vertical[1]
            ):
                return False
        for i, a, b, low, top in self.hung:
            if i == index and span[0] < b and a < span[1] and vertical[0] < top + 0.04 and low - 0.04 < vertical[1]:
                return False
        for f in self.taken:
            a, b, near, far = (f.x0, f.x1, f.y0, f.y1) if side.axis == 0 else (f.y0, f.y1, f.x0, f.x1)
            distance = min(abs(near - side.inner), abs(far - side.inner))
            if distance < 0.2 and span[0] < b and a < span[1] and vertical[0] < f.height + 0.05:
                return False
        return True

    @staticmethod
    def _covers_window(side: WallSide, start: float, end: float, height: float) -> bool:
        return any(o.is_window and start < o.end and o.start < end and height > o.bottom + 0.15 for o in side.openings)

    def _is_connected(self, footprints: list[Footprint]) -> bool:
        """Whether all doors open into one free region that is not too small."""
        x0, y0 = self.room.lower
        shape = (int((self.room.upper[1] - y0) / _CELL) + 1, int((self.room.upper[0] - x0) / _CELL) + 1)
        free = np.zeros(shape, np.uint8)
        margin = int(np.ceil(_PASSAGE_RADIUS / _CELL))
        free[margin:-margin, margin:-margin] = 1
        for door in self._doors:
            _fill(free, door, (x0, y0), 0.0, 1)
        for f in footprints:
            _fill(free, f, (x0, y0), _PASSAGE_RADIUS, 0)
        count, labels = cv2.connectedComponents(free, connectivity=4)
        if count < 2:
            return False
        found = {self._label_at(labels, door) for door in self._doors}
        if len(found) > 1 or 0 in found:
            return False
        label = found.pop() if found else 1 + int(np.argmax(np.bincount(labels[labels > 0])[1:]))
        return bool(np.count_nonzero(labels == label) * _CELL**2 > _MIN_FREE_AREA)

    def _label_at(self, labels: np.ndarray, door: Footprint) -> int:
        """Region in the middle of a door's clear area; 0 when it is blocked."""
        i = int(((door.y0 + door.y1) / 2 - self.room.lower[1]) / _CELL)
        j = int(((door.x0 + door.x1) / 2 - self.room.lower[0]) / _CELL)
        return int(labels[min(max(i, 0), labels.shape[0] - 1), min(max(j, 0), labels.shape[1] - 1)])


def footprint_at(spot: Spot, size: tuple[float, float, float]) -> Footprint:
    """Axis-aligned rectangle around (width, depth) at a spot."""
    c, s = abs(math.cos(spot.yaw)), abs(math.sin(spot.yaw))
    half_x, half_y = (c * size[0] + s * size[1]) / 2, (s * size[0] + c * size[1]) / 2
    return Footprint(spot.x - half_x, spot.y - half_y, spot.x + half_x, spot.y + half_y, size[2])


def _door_area(side: WallSide, start: float, end: float) -> Footprint:
    """The floor inside a door that must stay free."""
    inside = side.inner - side.outward * _DOOR_CLEARANCE
    low, high = sorted((side.inner, inside))
    return Footprint(start, low, end, high) if side.axis == 0 else Footprint(low, start, high, end)


def _fill(grid: np.ndarray, f: Footprint, origin: tuple[float, float], margin: float, value: int) -> None:
    """Set the cells whose centre lies in a footprint grown by `margin`."""
    j0, j1 = (math.ceil((v - origin[0]) / _CELL - 0.5) for v in (f.x0 - margin, f.x1 + margin))
    i0, i1 = (math.ceil((v - origin[1]) / _CELL - 0.5) for v in (f.y0 - margin, f.y1 + margin))
    grid[max(i0, 0) : max(i1, 0), max(j0, 0) : max(j1, 0)] = value
