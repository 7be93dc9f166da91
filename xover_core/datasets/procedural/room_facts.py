# SPDX-License-Identifier: Apache-2.0
"""What is true of a room, as far as free descriptions speak of it: read from its geometry, never guessed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import local_extent, object_boxes
from xover_core.datasets.procedural.room_lexicon import KINDS, USES
from xover_core.datasets.procedural.scene import ObjectClass as C
from xover_core.datasets.procedural.scene import Opening, Room, SceneObject, Shape
from xover_core.datasets.procedural.spatial_relations import FoundRelation, Relation, find_relations

# (axis of the object's box, at most this: the small word, at least this: the large word, the words), metres
_SIZES: dict[C, tuple[int, float, float, tuple[str, str]]] = {
    C.BED: (0, 1.1, 1.6, ("short", "long")),
    C.SOFA: (0, 1.7, 2.05, ("short", "long")),
    C.TABLE: (0, 1.2, 1.6, ("short", "long")),
    C.COFFEE_TABLE: (0, 0.8, 1.05, ("short", "long")),
    C.DESK: (0, 1.2, 1.5, ("short", "long")),
    C.BOOKSHELF: (2, 1.4, 1.75, ("low", "tall")),
    C.WARDROBE: (0, 1.2, 1.6, ("short", "long")),
    C.DRESSER: (0, 0.95, 1.2, ("short", "long")),
    C.CUPBOARD: (0, 1.1, 1.45, ("short", "long")),
    C.KITCHEN_COUNTER: (0, 1.6, 2.5, ("short", "long")),
    C.FRIDGE: (2, 1.6, 1.8, ("low", "tall")),
    C.PLANT: (2, 0.4, 0.8, ("low", "tall")),
    C.PICTURE: (0, 0.45, 0.75, ("short", "long")),
    C.POSTER: (2, 0.6, 0.9, ("low", "tall")),
    C.RUG: (0, 1.3, 1.8, ("short", "long")),
    C.BOX: (2, 0.18, 0.38, ("low", "tall")),
    C.SHOE_RACK: (0, 0.7, 0.9, ("short", "long")),
}
_ROUNDABLE = (C.TABLE, C.COFFEE_TABLE, C.RUG)
_SMALL = (C.BOX, C.VASE, C.BOOKS, C.CUP, C.BOTTLE, C.BOWL, C.TOY, C.BASKET)
_SOFT = (C.SOFA, C.ARMCHAIR, C.BED)
_HOMELY = (C.RUG, C.FLOOR_LAMP, C.TABLE_LAMP, C.CURTAIN, C.PLANT)
_FOUR_CHAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What may be said of an object.

    Attributes:
        object_id: in the apartment.
        object_class: its class.
        color: a base colour; may be empty.
        material: may be empty.
        kind: a kind of `room_lexicon.KINDS`; may be empty.
        size: a key of `room_wording.SIZES`; may be empty.
        shape: a key of `room_wording.SIZES`; may be empty.
        parts: classes of things that belong to it, and how many of each; 1 where there may be more.
        num_chairs: that stand around it, when it is a table with several.
        is_below_window: it stands right under a window's sill.
    """

    object_id: int
    object_class: C
    color: str = ""
    material: str = ""
    kind: str = ""
    size: str = ""
    shape: str = ""
    parts: tuple[tuple[C, int], ...] = ()
    num_chairs: int = 0
    is_below_window: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFacts:
    """What may be said of a room.

    Attributes:
        room: the room.
        objects: its furniture, by rising id.
        relations: between them, and to the room.
        moods: keys of `room_wording.MOODS`.
        uses: numbers of those `room_lexicon.USES` that the furniture allows.
        floor: a key of `room_wording.FLOORS`; may be empty.
        openings: windows and doors, as (class, number).
    """

    room: Room
    objects: tuple[ObjectFacts, ...]
    relations: tuple[FoundRelation, ...]
    moods: tuple[str, ...]
    uses: tuple[int, ...]
    floor: str
    openings: tuple[tuple[C, int], ...]

    def object(self, object_id: int) -> ObjectFacts:
        """The object with this id, which is in the room."""
        return next(o for o in self.objects if o.object_id == object_id)


def read_room_facts(apartment: Apartment, room_id: int) -> RoomFacts:
    """All facts of a room.

    Raises:
        DatasetError: no such room.
    """
    room = apartment.room(room_id)
    relations = find_relations(apartment, room)
    openings = [o for o in apartment.openings if room_id in o.room_ids]
    furniture = [o for o in apartment.furniture if o.room_id == room_id]
    chairs = {o.object_id for o in furniture if o.object_class is C.CHAIR}
    around = Counter(
        r.object_id for r in relations if r.relation is Relation.NEXT_TO and r.subject_id in chairs and r.object_id
    )
    objects = tuple(_object_facts(o, around[o.object_id], openings) for o in furniture)
    num_windows = sum(o.is_window for o in openings)
    return RoomFacts(
        room=room,
        objects=objects,
        relations=relations,
        moods=_moods(room, objects, num_windows),
        uses=_uses({o.object_class for o in objects}),
        floor=_floor(apartment, room_id),
        openings=((C.WINDOW, num_windows), (C.DOOR, len(openings) - num_windows)),
    )


def _object_facts(scene_object: SceneObject, num_chairs: int, openings: list[Opening]) -> ObjectFacts:
    kind = scene_object.object_class
    lower, upper = local_extent(scene_object)
    size = ""
    if kind in _SIZES:
        axis, small, large, names = _SIZES[kind]
        extent = float(upper[axis] - lower[axis])
        size = names[0] if extent <= small else names[1] if extent >= large else ""
    shape = ""
    if kind in _ROUNDABLE:
        shape = "round" if scene_object.primitives[0].shape is Shape.CYLINDER else "rectangular"
    name = _kind(scene_object, size)
    return ObjectFacts(
        object_id=scene_object.object_id,
        object_class=kind,
        color=scene_object.color_name,
        material=scene_object.material_name,
        kind=name if (kind, name) in KINDS else "",
        size=size,
        shape=shape,
        parts=_parts(scene_object),
        num_chairs=num_chairs if kind is C.TABLE and num_chairs >= _FOUR_CHAIRS else 0,
        is_below_window=not scene_object.support_id and _is_below_window(scene_object, openings),
    )


def _kind(scene_object: SceneObject, size: str) -> str:
    """Which kind of its class an object is, from the primitives that the furniture builders use."""
    kind, shapes = scene_object.object_class, [p.shape for p in scene_object.primitives]
    if kind is C.BED:
        return "double" if shapes.count(Shape.ELLIPSOID) == 2 else "single"
    if kind is C.CHAIR:
        return "office" if Shape.CYLINDER in shapes else "plain"
    if kind is C.STOOL:
        return "pouf" if len(shapes) == 1 else "plain"
    if kind is C.TOY:
        return "ball" if len(shapes) == 1 else "bear" if Shape.ELLIPSOID in shapes else "blocks"
    if kind is C.VASE:
        return "flowers" if len(shapes) > 2 else ""
    if kind is C.BOX:
        return "small" if scene_object.support_id else "cardboard"
    if kind is C.FRIDGE:
        return "notes" if len(shapes) > 5 else ""
    if kind is C.PLANT:
        return {"low": "small", "tall": "large"}.get(size, "")
    return size


def _parts(scene_object: SceneObject) -> tuple[tuple[C, int], ...]:
    """What belongs to an object without being an object of its own."""
    kind = scene_object.object_class
    num_soft = sum(p.shape is Shape.ELLIPSOID for p in scene_object.primitives)
    if kind in _SOFT:
        return ((C.CUSHION, num_soft),) if num_soft else ()
    if kind is C.KITCHEN_COUNTER:
        lower, upper = local_extent(scene_object)
        own = ((C.SINK, 1), (C.STOVE, 1))
        return (*own, (C.WALL_CABINET, 1)) if upper[2] - lower[2] > 1.5 else own
    return ()


def _is_below_window(scene_object: SceneObject, openings: list[Opening]) -> bool:
    boxes = object_boxes(scene_object)
    for opening in (o for o in openings if o.is_window):
        along, across = opening.axis, 1 - opening.axis
        gap = max(boxes.lower_map[across] - opening.offset, opening.offset - boxes.upper_map[across])
        middle = (boxes.lower_map[along] + boxes.upper_map[along]) / 2
        if opening.start < middle < opening.end and gap < 0.4 and boxes.upper_map[2] < opening.bottom + 0.05:
            return True
    return False


def _moods(room: Room, objects: tuple[ObjectFacts, ...], num_windows: int) -> tuple[str, ...]:
    counts = Counter(o.object_class for o in objects)
    (x0, y0), (x1, y1) = room.lower, room.upper
    ratio = max(x1 - x0, y1 - y0) / min(x1 - x0, y1 - y0)
    num_small = sum(counts[c] for c in _SMALL)
    holds = {
        "large": room.area > 16,
        "small": room.area < 11.5,
        "long": ratio > 1.8,
        "square": ratio < 1.12,
        "bright": num_windows >= 2,
        "windowless": num_windows == 0,
        "cluttered": num_small >= 9,
        "sparse": len(objects) <= 14 and num_small <= 4,
        "cosy": any(counts[c] for c in _SOFT) and sum(counts[c] > 0 for c in _HOMELY) >= 3,
        "colourful": len({o.color for o in objects} - {"", "white", "grey", "dark grey", "black", "beige"}) >= 6,
        "green": counts[C.PLANT] >= 3,
        "decorated": counts[C.PICTURE] + counts[C.POSTER] >= 6,
    }
    return tuple(mood for mood, is_true in holds.items() if is_true)


def _uses(classes: set[C]) -> tuple[int, ...]:
    return tuple(i for i, (groups, _) in enumerate(USES) if all(group & classes for group in groups))


def _floor(apartment: Apartment, room_id: int) -> str:
    floors = [o for o in apartment.objects if o.room_id == room_id and o.object_class is C.FLOOR]
    return floors[0].primitives[0].material.texture.kind if floors else ""
