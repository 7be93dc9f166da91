# SPDX-License-Identifier: Apache-2.0
"""The building: floors, ceilings, walls with openings, frames, door leaves, windows, baseboards, switches.

Each room has its own half of every wall, so that both sides can look different; the halves overlap in the corners and
meet on the wall's centre line, which leaves no gap to look through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural import materials
from xover_core.datasets.procedural.layout import WALL_THICKNESS, Layout
from xover_core.datasets.procedural.scene import (
    Material,
    ObjectClass,
    Opening,
    Primitive,
    Room,
    RoomType,
    SceneObject,
    Shape,
)

_OUTER_EXTRA = 0.14
_LEAF_THICKNESS = 0.04
_PANEL_THICKNESS = 0.001

_FLOORS: dict[RoomType, tuple[str, ...]] = {
    RoomType.BATHROOM: ("tiles", "checker", "marble"),
    RoomType.KITCHEN: ("tiles", "checker", "planks", "granite"),
    RoomType.CORRIDOR: ("planks", "parquet", "carpet", "tiles"),
}
_WALLS: dict[RoomType, tuple[str, ...]] = {
    RoomType.BATHROOM: ("tiles",),
    RoomType.LIVING_ROOM: ("plaster", "plaster", "stripes", "motif", "brick"),
    RoomType.BEDROOM: ("plaster", "plaster", "motif", "stripes"),
    RoomType.CHILDRENS_ROOM: ("plaster", "motif", "stripes"),
}

NewObject = Callable[..., SceneObject]
_Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RoomFinish:
    """The surfaces of one room; `panel` covers the walls up to `panel_height`, 0 for none."""

    wall: Material
    accent: Material
    floor: Material
    ceiling: Material
    trim: Material
    panel: Material
    panel_height: float


@dataclass(frozen=True, slots=True)
class WallSide:
    """One of the four inner wall faces of a room.

    Attributes:
        axis: the wall runs along x (0) or y (1).
        inner: coordinate of the face one sees, across the wall.
        outward: +1 or -1, the direction from the face into the wall.
        start: begin of the inner face along the wall.
        end: end of the inner face along the wall.
        is_outer: whether the other side is outside.
        openings: doors and windows in it, from start to end.
    """

    axis: int
    inner: float
    outward: int
    start: float
    end: float
    is_outer: bool
    openings: tuple[Opening, ...]


def draw_finish(rng: np.random.Generator, room_type: RoomType) -> RoomFinish:
    """Choose the surfaces of a room; living spaces now and then get one wall that differs."""
    floors = _FLOORS.get(room_type, ("planks", "planks", "parquet", "carpet", "carpet"))
    wall = materials.wall_material(rng, _WALLS.get(room_type, ("plaster",)))
    has_accent = room_type is not RoomType.BATHROOM and rng.random() < 0.4
    accent = materials.wall_material(rng, ("plaster", "brick", "motif", "stripes")) if has_accent else wall
    trim = materials.lacquer(rng, ("white", "white", "brown", "dark grey")).material
    has_panel = rng.random() < (0.3 if room_type is RoomType.BATHROOM else 0.25)
    return RoomFinish(
        wall=wall,
        accent=accent,
        floor=materials.floor_material(rng, floors),
        ceiling=materials.tinted("plaster", int(rng.integers(8)), (0.92, 0.92, 0.9), (2.0, 2.0)),
        trim=trim,
        panel=materials.wall_material(rng, ("stripes", "plaster", "wood", "tiles", "motif")),
        panel_height=float(rng.uniform(0.8, 1.2)) if has_panel else 0.0,
    )


def wall_sides(room: Room, layout: Layout) -> tuple[WallSide, ...]:
    """The walls at lower y, upper y, lower x and upper x."""
    half = WALL_THICKNESS / 2
    sides = []
    for axis in (0, 1):
        for outward, inner in ((-1, room.lower[1 - axis]), (1, room.upper[1 - axis])):
            line = inner + outward * half
            found = [
                o
                for o in layout.openings
                if o.axis == axis and room.room_id in o.room_ids and abs(o.offset - line) < 1e-6
            ]
            found.sort(key=lambda o: o.start)
            is_outer = line < 1e-6 or line > layout.extent[1 - axis] - 1e-6
            sides.append(WallSide(axis, inner, outward, room.lower[axis], room.upper[axis], is_outer, tuple(found)))
    return tuple(sides)


def build_shell(
    rng: np.random.Generator, room: Room, layout: Layout, finish: RoomFinish, new_object: NewObject
) -> list[SceneObject]:
    """All structural objects of a room; `new_object(object_class, room_id, primitives)` numbers them."""
    half = WALL_THICKNESS / 2
    (x0, y0), (x1, y1) = room.lower, room.upper
    bounds = (x0 - half, x1 + half, y0 - half, y1 + half)
    floor = box_between((*bounds, -0.1, 0.0), finish.floor)
    ceiling = box_between((*bounds, room.height, room.height + 0.1), finish.ceiling)
    objects = [
        new_object(ObjectClass.FLOOR, room.room_id, (floor,)),
        new_object(ObjectClass.CEILING, room.room_id, (ceiling,)),
    ]
    accent_side = int(rng.integers(4))
    for i, side in enumerate(wall_sides(room, layout)):
        material = finish.accent if i == accent_side else finish.wall
        boxes = _wall_boxes(side, room.height, material)
        if finish.panel_height:
            boxes += _strips(side, (0.0, finish.panel_height), _PANEL_THICKNESS, finish.panel)
            boxes += _strips(side, (finish.panel_height, finish.panel_height + 0.04), 2 * _PANEL_THICKNESS, finish.trim)
        objects.append(new_object(ObjectClass.WALL, room.room_id, tuple(boxes)))
        boards = tuple(_strips(side, (0.0, 0.08), 0.015, finish.trim))
        if boards:
            objects.append(new_object(ObjectClass.BASEBOARD, room.room_id, boards))
        for opening in side.openings:
            objects += _dress_opening(rng, room, side, opening, finish, new_object)
    return objects


def box_between(bounds: tuple[float, float, float, float, float, float], material: Material) -> Primitive:
    """A map-aligned box from (x0, x1, y0, y1, z0, z1)."""
    x0, x1, y0, y1, z0, z1 = (float(b) for b in bounds)
    return Primitive(
        shape=Shape.BOX,
        center=((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2),
        half_size=((x1 - x0) / 2, (y1 - y0) / 2, (z1 - z0) / 2),
        material=material,
        is_world_textured=True,
    )


def wall_box(side: WallSide, along: _Span, across: _Span, vertical: _Span, material: Material) -> Primitive:
    """A box given along a wall and by its distances into the wall (negative: into the room)."""
    a, b = sorted(side.inner + side.outward * d for d in across)
    bounds = (*along, a, b) if side.axis == 0 else (a, b, *along)
    return box_between((*bounds, *vertical), material)


def _wall_boxes(side: WallSide, height: float, material: Material) -> list[Primitive]:
    """The wall around its openings: full-height pieces, lintels and sills."""
    depth = WALL_THICKNESS / 2 + (_OUTER_EXTRA if side.is_outer else 0.0)
    half = WALL_THICKNESS / 2 + (_OUTER_EXTRA if side.is_outer else 0.0)
    boxes = []
    position = side.start - half
    for opening in side.openings:
        boxes.append(wall_box(side, (position, opening.start), (0, depth), (0, height), material))
        boxes.append(wall_box(side, (opening.start, opening.end), (0, depth), (opening.top, height), material))
        if opening.bottom > 0:
            boxes.append(wall_box(side, (opening.start, opening.end), (0, depth), (0, opening.bottom), material))
        position = opening.end
    boxes.append(wall_box(side, (position, side.end + half), (0, depth), (0, height), material))
    return boxes


def _strips(side: WallSide, vertical: tuple[float, float], thickness: float, material: Material) -> list[Primitive]:
    """A strip along the wall, open at doors and at windows that reach down into it."""
    strips = []
    position = side.start
    for opening in side.openings:
        if opening.bottom - 0.03 < vertical[1]:
            strips.append((position, opening.start - 0.06))
            position = opening.end + 0.06
    strips.append((position, side.end))
    across = (-thickness, 0.01)
    return [wall_box(side, span, across, vertical, material) for span in strips if span[1] - span[0] > 0.05]


def _dress_opening(
    rng: np.random.Generator, room: Room, side: WallSide, opening: Opening, finish: RoomFinish, new_object: NewObject
) -> list[SceneObject]:
    """Frame of a door, with its leaf in the room that comes first, or frame and sill of a window."""
    trim = finish.trim
    if opening.is_window:
        return [new_object(ObjectClass.WINDOW, room.room_id, tuple(_window_frame(side, opening, trim)))]
    span, top = (opening.start, opening.end), opening.top
    depth = WALL_THICKNESS / 2
    frame = (
        wall_box(side, (span[0] - 0.06, span[0] + 0.02), (-0.02, depth), (0, top + 0.06), trim),
        wall_box(side, (span[1] - 0.02, span[1] + 0.06), (-0.02, depth), (0, top + 0.06), trim),
        wall_box(side, (span[0] - 0.06, span[1] + 0.06), (-0.02, depth), (top - 0.02, top + 0.06), trim),
    )
    objects = [new_object(ObjectClass.DOOR_FRAME, room.room_id, frame)]
    if opening.room_ids[0] == room.room_id and span[1] - span[0] < 1.1 and rng.random() < 0.6:
        objects.append(_door_leaf(rng, room, side, opening, new_object))
    return objects


def _window_frame(side: WallSide, opening: Opening, trim: Material) -> list[Primitive]:
    """Frame and mullion in the middle of the wall, and a sill that stands out a little."""
    a, b, low, top = opening.start, opening.end, opening.bottom, opening.top
    depth, bar = (0.1, 0.16), 0.05
    frame = [
        wall_box(side, (a, a + bar), depth, (low, top), trim),
        wall_box(side, (b - bar, b), depth, (low, top), trim),
        wall_box(side, (a, b), depth, (low, low + bar), trim),
        wall_box(side, (a, b), depth, (top - bar, top), trim),
        wall_box(side, (a - 0.04, b + 0.04), (-0.06, 0.1), (low - 0.03, low + 0.005), trim),
    ]
    if b - a > 0.9:
        middle = (a + b) / 2
        frame.append(wall_box(side, (middle - 0.035, middle + 0.035), depth, (low, top), trim))
    return frame


def _door_leaf(
    rng: np.random.Generator, room: Room, side: WallSide, opening: Opening, new_object: NewObject
) -> SceneObject:
    """An open leaf that stands in the room, hinged on the side nearer to a corner."""
    width = opening.end - opening.start - 0.05
    is_at_start = opening.start - side.start < side.end - opening.end
    hinge = opening.start + 0.02 if is_at_start else opening.end - 0.02
    material = materials.picture(rng, "front", color=materials.draw_color(rng, ("white", "white", "beige", "brown"))[1])
    along = (hinge - _LEAF_THICKNESS, hinge) if is_at_start else (hinge, hinge + _LEAF_THICKNESS)
    leaf = wall_box(side, along, (-0.03 - width, -0.03), (0.01, opening.top - 0.03), material)
    knob_at = -0.03 - width + 0.07
    knob = wall_box(
        side,
        (along[0] - 0.05, along[1] + 0.05),
        (knob_at - 0.01, knob_at + 0.01),
        (1.0, 1.02),
        materials.metal(rng).material,
    )
    return new_object(ObjectClass.DOOR, room.room_id, (leaf, knob))
