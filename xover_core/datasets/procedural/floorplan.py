# SPDX-License-Identifier: Apache-2.0
"""Floor plans as an architect would draw them: walls, doors, windows, outlines of furniture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import primitive_corners, primitive_extent
from xover_core.datasets.procedural.layout import WALL_THICKNESS
from xover_core.datasets.procedural.scene import ObjectClass, Opening, SceneObject, Shape
from xover_core.errors import DatasetError
from xover_core.types import Float64Array

_SHIFT = 4
_WALL_COLOR = (40, 40, 40)
_WINDOW_COLOR = (90, 150, 210)
_DOOR_COLOR = (120, 120, 120)
_LINE_COLOR = (90, 90, 90)
_FURNITURE_COLOR = (235, 230, 220)
_RUG_COLOR = (240, 240, 232)
_NOT_DRAWN = (ObjectClass.CEILING_LAMP, ObjectClass.PICTURE, ObjectClass.POSTER, ObjectClass.CLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floorplan:
    """A drawing seen from above; x of the map to the right, y up.

    Attributes:
        image: (H, W, 3) uint8 RGB, white paper.
        pixels_per_m: scale.
        lower: (x, y) in the map of the image's lower left corner.
    """

    image: NDArray[np.uint8]
    pixels_per_m: float
    lower: tuple[float, float]

    def pixels_of(self, points_map: Float64Array) -> Float64Array:
        """(N, 2) or (N, 3) map points to (N, 2) pixels (u, v), pixel centres at integers."""
        u = (points_map[:, 0] - self.lower[0]) * self.pixels_per_m - 0.5
        v = len(self.image) - (points_map[:, 1] - self.lower[1]) * self.pixels_per_m - 0.5
        return np.stack([u, v], axis=1)


def draw_floorplan(
    apartment: Apartment, *, room_id: int | None = None, pixels_per_m: float = 40.0, margin: float = 0.4,
    with_furniture: bool = True, with_names: bool = False,
) -> Floorplan:  # fmt: skip
    """Draw the whole apartment, or one room.

    Args:
        apartment: what to draw.
        room_id: only this room with its walls; None for all.
        pixels_per_m: scale, positive.
        margin: white border, m.
        with_furniture: draw outlines of furniture and rugs.
        with_names: write the names of rooms.

    Raises:
        DatasetError: no such room, or the scale is not positive.
    """
    if not pixels_per_m > 0:
        raise DatasetError(f"draw_floorplan: expected pixels_per_m > 0, got {pixels_per_m}.")
    rooms = apartment.rooms if room_id is None else (apartment.room(room_id),)
    lower = np.min([r.lower for r in rooms], axis=0) - WALL_THICKNESS / 2 - margin
    upper = np.max([r.upper for r in rooms], axis=0) + WALL_THICKNESS / 2 + margin
    width, height = (int(n) for n in np.ceil((upper - lower) * pixels_per_m))
    image = np.full((height, width, 3), 255, np.uint8)
    plan = Floorplan(image=image, pixels_per_m=pixels_per_m, lower=(float(lower[0]), float(lower[1])))
    half = WALL_THICKNESS / 2
    for room in rooms:
        (x0, y0), (x1, y1) = room.lower, room.upper
        outer = np.array(
            [[x0 - half, y0 - half], [x1 + half, y0 - half], [x1 + half, y1 + half], [x0 - half, y1 + half]]
        )
        _fill(plan, outer, _WALL_COLOR)
    for room in rooms:
        _fill(plan, room.polygon, (255, 255, 255))
    ids = {r.room_id for r in rooms}
    for opening in apartment.openings:
        if ids & set(opening.room_ids):
            _draw_opening(plan, opening)
    if with_furniture:
        _draw_furniture(plan, [o for o in apartment.furniture if o.room_id in ids])
    for room in rooms if with_names else ():
        u, v = plan.pixels_of(np.array([room.center]))[0]
        at = (int(u) - 4 * len(room.name), int(v) + 4)
        cv2.putText(image, room.name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (160, 30, 30), 1, cv2.LINE_AA)
    return plan


def furniture_outlines(objects: Sequence[SceneObject]) -> list[tuple[SceneObject, Float64Array]]:
    """(N, 2) convex outlines in the map of what stands on the floor and on furniture, each above those before it.

    An object has as many as it has parts, and none when it hangs where an architect draws nothing.
    """
    parts = []
    for scene_object in objects:
        for primitive in scene_object.primitives if scene_object.object_class not in _NOT_DRAWN else ():
            top = float(primitive_extent(primitive)[1][2]) + scene_object.position[2]
            parts.append((top, scene_object, _outline(scene_object, primitive_corners(primitive), primitive.shape)))
    return [(scene_object, outline) for _, scene_object, outline in sorted(parts, key=lambda part: part[0])]


def _draw_furniture(plan: Floorplan, objects: list[SceneObject]) -> None:
    for scene_object, outline in furniture_outlines(objects):
        _fill(plan, outline, _RUG_COLOR if scene_object.object_class is ObjectClass.RUG else _FURNITURE_COLOR)
        cv2.polylines(plan.image, [_fixed(plan, outline)], True, _LINE_COLOR, 1, cv2.LINE_AA, _SHIFT)


def _outline(scene_object: SceneObject, corners: Float64Array, shape: Shape) -> Float64Array:
    """(N, 2) convex outline from above in the map; upright round parts are round."""
    pose = scene_object.T_map_object
    points = corners @ pose[:3, :3].T + pose[:3, 3]
    if shape is not Shape.BOX:
        middle, half = points[:, :2].mean(axis=0), np.ptp(points[:, :2], axis=0) / 2
        angles = np.linspace(0, 2 * np.pi, 25)[:-1]
        return np.asarray(middle + half * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return np.asarray(cv2.convexHull(points[:, :2].astype(np.float32))[:, 0], dtype=np.float64)


def _draw_opening(plan: Floorplan, opening: Opening) -> None:
    """A gap with a sill line for a door, a blue bar for a window."""
    low, high = opening.offset - WALL_THICKNESS / 2, opening.offset + WALL_THICKNESS / 2
    corners = [(opening.start, low), (opening.end, low), (opening.end, high), (opening.start, high)]
    if opening.axis == 1:
        corners = [(y, x) for x, y in corners]
    polygon = np.array(corners)
    _fill(plan, polygon, _WINDOW_COLOR if opening.is_window else (255, 255, 255))
    if not opening.is_window:
        middle = (polygon[[0, 1]] + polygon[[3, 2]]) / 2
        cv2.polylines(plan.image, [_fixed(plan, middle)], False, _DOOR_COLOR, 1, cv2.LINE_AA, _SHIFT)


def _fill(plan: Floorplan, polygon: Float64Array, color: tuple[int, int, int]) -> None:
    cv2.fillPoly(plan.image, [_fixed(plan, polygon)], color, cv2.LINE_AA, _SHIFT)


def _fixed(plan: Floorplan, polygon: Float64Array) -> NDArray[np.int32]:
    """Map polygon to fixed-point pixels."""
    return np.rint(plan.pixels_of(polygon) * (1 << _SHIFT)).astype(np.int32)
