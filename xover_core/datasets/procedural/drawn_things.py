# SPDX-License-Identifier: Apache-2.0
"""What a floorplan shows, and where: labels for networks that read drawings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.floorplan import Floorplan, furniture_outlines
from xover_core.datasets.procedural.room_facts import RoomFacts
from xover_core.datasets.procedural.room_traits import class_trait, object_traits
from xover_core.datasets.procedural.scene import ObjectClass, Opening
from xover_core.types import Float64Array

# Of a thing under others, less cannot be told.
_MIN_SEEN_SHARE = 0.1
_MIN_SEEN_PIXELS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnThing:
    """Furniture, a window or a door.

    Attributes:
        traits: of `room_traits`, of this thing alone.
        center_px: (u, v) of its middle in the drawing, pixel centres at integers.
    """

    traits: frozenset[str]
    center_px: tuple[float, float]


def find_drawn_things(plan: Floorplan, apartment: Apartment, facts: RoomFacts) -> list[DrawnThing]:
    """All that can be seen of a room in its drawing.

    Args:
        plan: of the room, with its furniture.
        apartment: that the room is in.
        facts: of the room.
    """
    room_id = facts.room.room_id
    furniture = {o.object_id: o for o in apartment.furniture if o.room_id == room_id}
    found = []
    for object_id in _seen_objects(plan, apartment, room_id):
        boxes = object_boxes(furniture[object_id])
        middle = (np.asarray(boxes.lower_map) + np.asarray(boxes.upper_map)) / 2
        found.append(_thing(plan, object_traits(facts.object(object_id)), middle[:2]))
    for opening in apartment.openings:
        if room_id in opening.room_ids:
            kind = ObjectClass.WINDOW if opening.is_window else ObjectClass.DOOR
            found.append(_thing(plan, {class_trait(kind)}, _middle(opening)))
    return found


def _seen_objects(plan: Floorplan, apartment: Apartment, room_id: int) -> list[int]:
    """Ids of the furniture of which enough is not covered by other furniture, by rising id."""
    objects = sorted((o for o in apartment.furniture if o.room_id == room_id), key=lambda o: o.object_id)
    rows = {o.object_id: row + 1 for row, o in enumerate(objects)}
    covered = np.zeros(plan.image.shape[:2], np.int32)
    whole = np.zeros((len(objects) + 1, *covered.shape), np.uint8)
    for scene_object, outline in furniture_outlines(objects):
        polygon = [np.rint(plan.pixels_of(outline)).astype(np.int32)]
        row = rows[scene_object.object_id]
        cv2.fillPoly(covered, polygon, row)
        cv2.fillPoly(whole[row], polygon, 1)
    seen = np.bincount(covered.ravel(), minlength=len(whole))
    least = np.maximum(_MIN_SEEN_PIXELS, _MIN_SEEN_SHARE * whole.sum(axis=(1, 2)))
    return [object_id for object_id, row in rows.items() if seen[row] >= least[row]]


def _thing(plan: Floorplan, traits: set[str], middle_map: Float64Array) -> DrawnThing:
    u, v = plan.pixels_of(middle_map[None])[0]
    return DrawnThing(traits=frozenset(traits), center_px=(float(u), float(v)))


def _middle(opening: Opening) -> Float64Array:
    along = (opening.start + opening.end) / 2
    return np.array([opening.offset, along] if opening.axis == 1 else [along, opening.offset])
