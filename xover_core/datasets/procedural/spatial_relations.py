# SPDX-License-Identifier: Apache-2.0
"""How the objects of a room lie to each other, from their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import ObjectBoxes, object_boxes
from xover_core.datasets.procedural.scene import ObjectClass, Opening, Room, SceneObject
from xover_core.types import Float64Array

_NEXT_TO = 0.45
_NEAR_OPENING = 0.8
_FRONT_REACH = 1.2
_SIDE_REACH = 1.5
_CORNER = 0.35
_HUNG = (
    ObjectClass.PICTURE,
    ObjectClass.POSTER,
    ObjectClass.CLOCK,
    ObjectClass.WALL_SHELF,
    ObjectClass.TOWEL,
    ObjectClass.MIRROR_CABINET,
    ObjectClass.COAT_RACK,
)
_WITH_FRONT = (
    ObjectClass.SOFA, ObjectClass.BED, ObjectClass.DESK, ObjectClass.TV, ObjectClass.BOOKSHELF, ObjectClass.WARDROBE,
    ObjectClass.DRESSER, ObjectClass.CUPBOARD, ObjectClass.KITCHEN_COUNTER, ObjectClass.FRIDGE, ObjectClass.PIANO,
    ObjectClass.SINK,
)  # fmt: skip
_UNSPOKEN = (ObjectClass.CEILING_LAMP, ObjectClass.CURTAIN, ObjectClass.RUG)


class Relation(Enum):
    """How a subject lies to an object, or in its room."""

    ON = "on"
    NEXT_TO = "next to"
    IN_FRONT_OF = "in front of"
    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    ABOVE = "above"
    NEAR_WINDOW = "near window"
    NEAR_DOOR = "near door"
    IN_CORNER = "in corner"
    ON_WALL = "on wall"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRelation:
    """`subject relation object`; `object_id` is 0 for relations to the room."""

    subject_id: int
    relation: Relation
    object_id: int = 0


def find_relations(apartment: Apartment, room: Room) -> tuple[FoundRelation, ...]:
    """All relations that hold between the furniture of a room; left and right are those of somebody facing it."""
    objects = [o for o in apartment.furniture if o.room_id == room.room_id and o.object_class not in _UNSPOKEN]
    boxes = {o.object_id: object_boxes(o) for o in objects}
    openings = [o for o in apartment.openings if room.room_id in o.room_ids]
    found = []
    for subject in objects:
        found += [
            FoundRelation(subject_id=subject.object_id, relation=relation)
            for relation in _room_relations(subject, boxes[subject.object_id], room, openings)
        ]
        for other in objects:
            relation = None if other is subject else _relation_between(subject, other, boxes)
            if relation is not None:
                found.append(FoundRelation(subject_id=subject.object_id, relation=relation, object_id=other.object_id))
    return tuple(found)


def _relation_between(subject: SceneObject, other: SceneObject, boxes: dict[int, ObjectBoxes]) -> Relation | None:
    """The most telling relation of a subject to another object; None when they have nothing to do with each other."""
    if subject.support_id:
        return Relation.ON if subject.support_id == other.object_id else None
    if other.support_id or other.object_class in _HUNG:
        return None
    mine, theirs = boxes[subject.object_id], boxes[other.object_id]
    if subject.object_class in _HUNG:
        overlap = np.minimum(mine.upper_map, theirs.upper_map) - np.maximum(mine.lower_map, theirs.lower_map)
        is_above = (
            mine.lower_map[2] > theirs.upper_map[2] - 0.05 and overlap[:2].min() > -0.15 and overlap[:2].max() > 0.1
        )
        return Relation.ABOVE if is_above else None
    x, y = _in_frame_of(other, mine)
    half = theirs.half_size
    gap = float(
        np.linalg.norm(
            np.maximum(0, np.maximum(mine.lower_map - theirs.upper_map, theirs.lower_map - mine.upper_map))[:2]
        )
    )
    if other.object_class in _WITH_FRONT:
        if abs(x) < half[0] and -half[1] - _FRONT_REACH < y < -half[1] and gap < 0.6:
            return Relation.IN_FRONT_OF
        if abs(y) < half[1] + 0.2 and half[0] < abs(x) < half[0] + _SIDE_REACH and gap < 1.0:
            return Relation.RIGHT_OF if x > 0 else Relation.LEFT_OF
    return Relation.NEXT_TO if gap < _NEXT_TO else None


def _in_frame_of(other: SceneObject, box: ObjectBoxes) -> tuple[float, float]:
    """x, y of the middle of a box in another object's frame: to its right for somebody who faces it, and behind it."""
    offset = (box.lower_map + box.upper_map) / 2 - np.asarray(other.position)
    x, y, _ = other.T_map_object[:3, :3].T @ offset
    return float(x), float(y)


def _room_relations(subject: SceneObject, box: ObjectBoxes, room: Room, openings: list[Opening]) -> list[Relation]:
    """Where in the room something is."""
    if subject.support_id:
        return []
    if subject.object_class in _HUNG:
        return [Relation.ON_WALL]
    found = []
    for opening in openings:
        if _distance(box, np.array(opening.center)) < _NEAR_OPENING:
            found.append(Relation.NEAR_WINDOW if opening.is_window else Relation.NEAR_DOOR)
    if any(_distance(box, corner) < _CORNER for corner in room.polygon):
        found.append(Relation.IN_CORNER)
    return list(dict.fromkeys(found))


def _distance(box: ObjectBoxes, point: Float64Array) -> float:
    """Horizontal distance from a box to a point, 0 inside."""
    return float(np.linalg.norm(np.maximum(0, np.maximum(box.lower_map[:2] - point, point - box.upper_map[:2]))))
