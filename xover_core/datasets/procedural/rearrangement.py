# SPDX-License-Identifier: Apache-2.0
"""Moves furniture as people do between two visits: other walls, other corners, turned, re-hung."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xover_core.datasets.procedural.bounds import local_extent
from xover_core.datasets.procedural.free_space import FreeSpace, Spot
from xover_core.datasets.procedural.layout import Layout
from xover_core.datasets.procedural.scene import ObjectClass, SceneObject
from xover_core.geometry.transforms import invert
from xover_core.types import Mat4

_FIXED = frozenset(
    {
        ObjectClass.KITCHEN_COUNTER, ObjectClass.TOILET, ObjectClass.BATHTUB, ObjectClass.SHOWER, ObjectClass.SINK,
        ObjectClass.MIRROR_CABINET, ObjectClass.CEILING_LAMP, ObjectClass.CURTAIN, ObjectClass.RUG,
    }
)  # fmt: skip
_FREE_STANDING = frozenset(
    {
        ObjectClass.CHAIR, ObjectClass.STOOL, ObjectClass.TABLE, ObjectClass.COFFEE_TABLE, ObjectClass.TOY,
        ObjectClass.BOX, ObjectClass.BASKET, ObjectClass.BIN,
    }
)  # fmt: skip
_HUNG = frozenset(
    {
        ObjectClass.PICTURE,
        ObjectClass.POSTER,
        ObjectClass.CLOCK,
        ObjectClass.WALL_SHELF,
        ObjectClass.TOWEL,
        ObjectClass.COAT_RACK,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMove:
    """How one object moved.

    Attributes:
        object_id: which.
        T_map_before: (4, 4) its pose in the old apartment.
        T_map_after: (4, 4) its pose in the new one.
        is_carried: it only moved along with what it stands on.
    """

    object_id: int
    T_map_before: Mat4
    T_map_after: Mat4
    is_carried: bool = False


def rearrange(
    layout: Layout, objects: tuple[SceneObject, ...], rng: np.random.Generator, share: float
) -> tuple[tuple[SceneObject, ...], tuple[ObjectMove, ...]]:
    """Move about `share` of the movable objects within their rooms; what stands on them is carried along.

    Returns:
        All objects with their new poses in the old order, and what moved.
    """
    current = {o.object_id: o for o in objects}
    moved: dict[int, bool] = {}
    for room in layout.rooms:
        for scene_object in [o for o in objects if o.room_id == room.room_id]:
            if scene_object.is_structure or scene_object.object_class in _FIXED or rng.random() >= share:
                continue
            others = [
                o for o in current.values() if o.room_id == room.room_id and o.object_id != scene_object.object_id
            ]
            new = _move(scene_object, current, FreeSpace.of_room(room, layout, others), rng)
            if new is None:
                continue
            moved[new.object_id] = False
            T_new_old = new.T_map_object @ invert(current[new.object_id].T_map_object)
            for carried in [o for o in others if o.support_id == new.object_id]:
                current[carried.object_id] = _transformed(carried, T_new_old, new.yaw - scene_object.yaw)
                moved.setdefault(carried.object_id, True)
            current[new.object_id] = new
    before = {o.object_id: o for o in objects}
    moves = tuple(
        ObjectMove(
            object_id=i, T_map_before=before[i].T_map_object, T_map_after=current[i].T_map_object, is_carried=is_carried
        )
        for i, is_carried in sorted(moved.items())
    )
    return tuple(current[o.object_id] for o in objects), moves


def _move(
    scene_object: SceneObject, current: dict[int, SceneObject], space: FreeSpace, rng: np.random.Generator
) -> SceneObject | None:
    """An object at a new place in the space left by the others; None when there is none."""
    here = current[scene_object.object_id]
    if here.support_id:
        return replace(here, yaw=here.yaw + float(rng.uniform(-0.9, 0.9)))
    lower, upper = local_extent(here)
    width, depth, height = (2 * np.maximum(np.abs(lower), np.abs(upper))).tolist()
    if here.object_class in _HUNG:
        z = here.position[2]
        found = space.find_hanging_spot(rng, (width, depth, float(upper[2])), (max(z - 0.2, 0.6), z + 0.2))
        return None if found is None else _placed(here, found[0], found[1])
    spot: Spot | None
    if here.object_class in _FREE_STANDING:
        spot = space.find_center_spot(rng, (width, depth, height), gap=0.05)
    else:
        spot = space.find_wall_spot(rng, (width, depth, float(upper[2])), tries=20)
    return None if spot is None else _placed(here, spot, here.position[2])


def _placed(scene_object: SceneObject, spot: Spot, z: float) -> SceneObject:
    return replace(scene_object, position=(spot.x, spot.y, z), yaw=spot.yaw)


def _transformed(scene_object: SceneObject, T_new_old: Mat4, turn: float) -> SceneObject:
    """An object carried by a motion given in the map."""
    x, y, z = (T_new_old[:3, :3] @ np.asarray(scene_object.position) + T_new_old[:3, 3]).tolist()
    return replace(scene_object, position=(x, y, z), yaw=scene_object.yaw + turn)
