# SPDX-License-Identifier: Apache-2.0
"""Floor plans: which rooms there are, where their walls stand, and where one can pass or look through."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xover_core.datasets.procedural.scene import Opening, Room, RoomType

WALL_THICKNESS = 0.14
DOOR_HEIGHT = 2.05

_TYPE_ORDER = (
    RoomType.LIVING_ROOM,
    RoomType.KITCHEN,
    RoomType.BEDROOM,
    RoomType.BATHROOM,
    RoomType.OFFICE,
    RoomType.CHILDRENS_ROOM,
    RoomType.DINING_ROOM,
    RoomType.STORAGE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Rooms with their doors and windows."""

    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]

    @property
    def extent(self) -> tuple[float, float]:
        """(x, y) of the outer corner; the other one is the origin of the map."""
        half = WALL_THICKNESS / 2
        return max(r.upper[0] for r in self.rooms) + half, max(r.upper[1] for r in self.rooms) + half


@dataclass(frozen=True, slots=True)
class _Cell:
    """A rectangle between wall centre lines, before it becomes a room; row -1 is the corridor."""

    x0: float
    y0: float
    x1: float
    y1: float
    row: int

    @property
    def area(self) -> float:
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def make_layout(rng: np.random.Generator, num_rooms: int, num_lookalikes: int = 0) -> Layout:
    """Draw a floor plan.

    Args:
        rng: source of all randomness.
        num_rooms: rooms besides the corridor, which exists from three rooms on.
        num_lookalikes: this many rooms of one row get the same size, door and type (0 or at least 2).
    """
    cells = _make_cells(rng, num_rooms, num_lookalikes)
    if not num_lookalikes and rng.random() < 0.5:
        cells = [_Cell(c.y0, c.x0, c.y1, c.x1, c.row) for c in cells]
    types = _assign_types(rng, cells, num_lookalikes)
    height = float(rng.uniform(2.45, 2.8))
    rooms = tuple(_make_room(i, cell, types, height) for i, cell in enumerate(cells))
    doors = _make_doors(rng, cells, rooms, num_lookalikes)
    windows = _make_windows(rng, cells, rooms, num_lookalikes)
    return Layout(rooms=rooms, openings=(*doors, *windows))


def _make_cells(rng: np.random.Generator, num_rooms: int, num_lookalikes: int) -> list[_Cell]:
    """Rows of rooms on both sides of a corridor along x; the look-alikes come first."""
    if num_rooms < 3:
        return _split_row(
            rng, num_rooms, 0.0, float(rng.uniform(3.4, 5.0)), 0, float(rng.uniform(3.6, 5.2)) * num_rooms
        )
    num_lower = max(num_lookalikes, num_rooms - num_rooms // 2)
    num_upper = num_rooms - num_lower
    depth, corridor, depth_upper = rng.uniform(3.3, 4.6), rng.uniform(1.35, 1.8), rng.uniform(3.3, 4.6)
    length = float(num_lower * rng.uniform(3.3, 4.2))
    lower = _split_row(rng, num_lower, 0.0, float(depth), 0, length, is_equal=num_lookalikes > 0)
    hall = _Cell(0.0, float(depth), length, float(depth + corridor), -1)
    top = float(depth + corridor)
    upper = _split_row(rng, num_upper, top, top + float(depth_upper), 1, length) if num_upper else []
    return [*lower, *upper, hall]


def _split_row(
    rng: np.random.Generator, count: int, y0: float, y1: float, row: int, length: float, *, is_equal: bool = False
) -> list[_Cell]:
    """`count` rooms side by side; widths vary by up to a quarter unless `is_equal`."""
    weights = np.ones(count) if is_equal else rng.uniform(0.75, 1.25, count)
    edges = np.concatenate([[0.0], np.cumsum(weights / weights.sum())]) * length
    return [_Cell(float(a), y0, float(b), y1, row) for a, b in pairwise(edges)]


def _assign_types(rng: np.random.Generator, cells: list[_Cell], num_lookalikes: int) -> list[RoomType]:
    """One type for each cell: the largest is the living room, the smallest the bathroom, look-alikes are equal."""
    free = [i for i, c in enumerate(cells) if c.row >= 0 and i >= num_lookalikes]
    types = [RoomType.CORRIDOR] * len(cells)
    shared = (RoomType.BEDROOM, RoomType.OFFICE, RoomType.LIVING_ROOM, RoomType.CHILDRENS_ROOM)[int(rng.integers(4))]
    for i in range(num_lookalikes):
        types[i] = shared
    wanted = [_TYPE_ORDER[k % len(_TYPE_ORDER)] for k in range(len(free))]
    if not num_lookalikes and len(free) < 4:
        wanted = [_TYPE_ORDER[k] for k in rng.permutation(len(_TYPE_ORDER) - 1)[: len(free)]]
    free.sort(key=lambda i: -cells[i].area)
    rank = {RoomType.LIVING_ROOM: -1.0, RoomType.BATHROOM: 2.0, RoomType.STORAGE: 1.5}
    wanted.sort(key=lambda t: rank.get(t, float(rng.random())))
    for i, room_type in zip(free, wanted, strict=True):
        types[i] = room_type
    return types


def _make_room(index: int, cell: _Cell, types: list[RoomType], height: float) -> Room:
    """The room inside a cell; rooms of the same type are numbered."""
    half = WALL_THICKNESS / 2
    room_type = types[index]
    number = types[: index + 1].count(room_type)
    name = room_type.label if types.count(room_type) == 1 else f"{room_type.label} {number}"
    return Room(
        room_id=index + 1,
        room_type=room_type,
        name=name,
        lower=(cell.x0 + half, cell.y0 + half),
        upper=(cell.x1 - half, cell.y1 - half),
        height=height,
    )


def _shared_edge(a: _Cell, b: _Cell) -> tuple[int, float, float, float] | None:
    """(axis, offset, start, end) of the wall that two cells share, None when they don't touch."""
    for axis, (ax, bx) in enumerate((((a.x0, a.x1, a.y0, a.y1), (b.x0, b.x1, b.y0, b.y1)),
                                     ((a.y0, a.y1, a.x0, a.x1), (b.y0, b.y1, b.x0, b.x1)))):  # fmt: skip
        start, end = max(ax[0], bx[0]), min(ax[1], bx[1])
        for mine, other in ((ax[3], bx[2]), (ax[2], bx[3])):
            if abs(mine - other) < 1e-6 and end - start > 1.4:
                return axis, mine, start, end
    return None


def _make_doors(
    rng: np.random.Generator, cells: list[_Cell], rooms: tuple[Room, ...], num_lookalikes: int
) -> list[Opening]:
    """A door from each room to the corridor, or to the next room without one; some more between neighbours."""
    doors = []
    has_corridor = cells[-1].row < 0
    shared_fraction, shared_width = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.85, 0.95))
    for i, cell in enumerate(cells):
        for j in range(i + 1, len(cells)):
            edge = _shared_edge(cell, cells[j])
            is_main = cells[j].row < 0 if has_corridor else j == i + 1
            is_wanted = is_main or (i >= num_lookalikes and j >= num_lookalikes and rng.random() < 0.35)
            if edge is None or not is_wanted:
                continue
            is_lookalike = i < num_lookalikes
            fraction = shared_fraction if is_lookalike else float(rng.uniform(0.0, 1.0))
            width = shared_width if is_lookalike else _door_width(rng, rooms[i], rooms[j])
            doors.append(_place_opening((i + 1, j + 1), edge, fraction, width, (0.0, DOOR_HEIGHT)))
    return doors


def _door_width(rng: np.random.Generator, a: Room, b: Room) -> float:
    """Living areas are sometimes joined by a wide opening."""
    open_types = {RoomType.LIVING_ROOM, RoomType.KITCHEN, RoomType.DINING_ROOM, RoomType.CORRIDOR}
    if {a.room_type, b.room_type} <= open_types and rng.random() < 0.5:
        return float(rng.uniform(1.2, 1.7))
    return float(rng.uniform(0.85, 0.95))


def _place_opening(
    room_ids: tuple[int, int], edge: tuple[int, float, float, float], fraction: float, width: float,
    vertical: tuple[float, float],
) -> Opening:  # fmt: skip
    """An opening on a wall, 0.25 m clear of both ends; `fraction` says where in between."""
    axis, offset, start, end = edge
    margin = 0.25
    width = min(width, end - start - 2 * margin)
    begin = start + margin + fraction * (end - start - 2 * margin - width)
    return Opening(
        room_ids=room_ids, axis=axis, offset=offset, start=begin, end=begin + width, bottom=vertical[0], top=vertical[1]
    )


def _make_windows(
    rng: np.random.Generator, cells: list[_Cell], rooms: tuple[Room, ...], num_lookalikes: int
) -> list[Opening]:
    """Windows in the outer walls: at least one for each room that has an outer wall and is no corridor."""
    x_max, y_max = max(c.x1 for c in cells), max(c.y1 for c in cells)
    windows = []
    shared_state = rng.bit_generator.state
    for i, (cell, room) in enumerate(zip(cells, rooms, strict=True)):
        if i < num_lookalikes:
            # the same draws for each of them, and no window on the end walls that only some have
            rng.bit_generator.state = shared_state
        sides = [(0, cell.y0, cell.x0, cell.x1, cell.y0 < 1e-6), (0, cell.y1, cell.x0, cell.x1, cell.y1 > y_max - 1e-6)]
        if i >= num_lookalikes:
            sides += [
                (1, cell.x0, cell.y0, cell.y1, cell.x0 < 1e-6),
                (1, cell.x1, cell.y0, cell.y1, cell.x1 > x_max - 1e-6),
            ]
        for axis, offset, start, end, is_outer in sides:
            if is_outer and (rng.random() < 0.75 or len(sides) == 2):
                windows += _windows_of_wall(rng, room, (axis, offset, start, end))
    return windows


def _windows_of_wall(rng: np.random.Generator, room: Room, edge: tuple[int, float, float, float]) -> list[Opening]:
    """One window, or two in a long wall; a small high one in a bathroom."""
    is_small = room.room_type in (RoomType.BATHROOM, RoomType.STORAGE)
    bottom = 1.35 if is_small else float(rng.choice([0.15, 0.85, 0.95], p=[0.15, 0.45, 0.4]))
    top = float(rng.uniform(2.0, 2.25))
    width = float(rng.uniform(0.5, 0.8) if is_small else rng.uniform(0.9, 1.8))
    length = edge[3] - edge[2]
    if length > 4.2 and not is_small and rng.random() < 0.6:
        middle = (edge[2] + edge[3]) / 2
        halves = ((edge[0], edge[1], edge[2], middle), (edge[0], edge[1], middle, edge[3]))
        return [_place_opening((room.room_id, 0), half, 0.5, min(width, 1.3), (bottom, top)) for half in halves]
    return [_place_opening((room.room_id, 0), edge, float(rng.uniform(0.2, 0.8)), width, (bottom, top))]
