# SPDX-License-Identifier: Apache-2.0
"""English sentences about rooms, objects, and how objects lie to each other; true by construction."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.scene import ObjectClass, Room, SceneObject
from xover_core.datasets.procedural.spatial_relations import Relation, find_relations

_SYNONYMS: dict[ObjectClass, tuple[str, ...]] = {
    ObjectClass.SOFA: ("sofa", "couch"),
    ObjectClass.TV: ("TV", "television", "TV set"),
    ObjectClass.FRIDGE: ("fridge", "refrigerator"),
    ObjectClass.PICTURE: ("picture", "framed picture", "painting"),
    ObjectClass.POSTER: ("poster", "print"),
    ObjectClass.PLANT: ("plant", "potted plant", "houseplant"),
    ObjectClass.RUG: ("rug", "carpet"),
    ObjectClass.WARDROBE: ("wardrobe", "closet"),
    ObjectClass.CUPBOARD: ("cupboard", "sideboard"),
    ObjectClass.DRESSER: ("dresser", "chest of drawers"),
    ObjectClass.NIGHTSTAND: ("nightstand", "bedside table"),
    ObjectClass.BIN: ("bin", "waste bin", "trash can"),
    ObjectClass.BOOKSHELF: ("bookshelf", "bookcase", "shelf with books"),
    ObjectClass.DESK: ("desk", "writing desk"),
    ObjectClass.TABLE: ("table", "dining table"),
    ObjectClass.SINK: ("sink", "washbasin"),
    ObjectClass.BOOKS: ("pile of books", "stack of books"),
    ObjectClass.CUP: ("cup", "mug"),
    ObjectClass.BOX: ("box", "package"),
    ObjectClass.CURTAIN: ("curtain", "drape"),
    ObjectClass.LAPTOP: ("laptop", "notebook computer"),
    ObjectClass.MONITOR: ("monitor", "computer screen"),
    ObjectClass.TOWEL: ("towel rail", "rail with towels"),
}

_PHRASES: dict[Relation, tuple[str, ...]] = {
    Relation.ON: ("{A} is on {b}.", "{A} stands on {b}.", "There is {a} on {b}.", "On {b} there is {a}."),
    Relation.NEXT_TO: (
        "{A} is next to {b}.",
        "{A} stands beside {b}.",
        "There is {a} right next to {b}.",
        "Near {b} you see {a}.",
    ),
    Relation.IN_FRONT_OF: ("{A} is in front of {b}.", "In front of {b} stands {a}.", "{B} has {a} in front of it."),
    Relation.LEFT_OF: ("{A} is to the left of {b}.", "Left of {b} is {a}.", "Seen from the front, {a} is left of {b}."),
    Relation.RIGHT_OF: (
        "{A} is to the right of {b}.",
        "Right of {b} is {a}.",
        "Seen from the front, {a} is right of {b}.",
    ),
    Relation.ABOVE: ("{A} hangs above {b}.", "{A} is on the wall above {b}.", "Above {b} there is {a}."),
    Relation.NEAR_WINDOW: ("{A} is next to the window.", "{A} stands by the window.", "By the window there is {a}."),
    Relation.NEAR_DOOR: ("{A} is near the door.", "{A} stands beside the door.", "Close to the door there is {a}."),
    Relation.IN_CORNER: ("{A} is in the corner of the {room}.", "In a corner of the {room} stands {a}."),
    Relation.ON_WALL: ("{A} hangs on the wall.", "There is {a} on the wall of the {room}."),
}


class SentenceKind(Enum):
    """What a sentence is about."""

    ROOM = "room"
    OBJECT = "object"
    RELATION = "relation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A true statement.

    Attributes:
        text: English.
        kind: what it is about.
        room_id: where.
        object_ids: the objects it names, the subject first; all counted objects for a room.
        relation: for sentences about two objects or a place.
    """

    text: str
    kind: SentenceKind
    room_id: int
    object_ids: tuple[int, ...]
    relation: Relation | None = None


def describe_room(apartment: Apartment, room_id: int, seed: int) -> tuple[Sentence, ...]:
    """All sentences about a room, in random order and wording; another seed words them differently.

    Raises:
        DatasetError: no such room.
    """
    room = apartment.room(room_id)
    rng = np.random.default_rng([seed, 19, room_id])
    objects = {o.object_id: o for o in apartment.furniture if o.room_id == room_id}
    sentences = [_count_sentence(rng, room, list(objects.values()))]
    sentences += [_object_sentence(rng, room, o) for o in objects.values()]
    for found in find_relations(apartment, room):
        phrase = str(rng.choice(_PHRASES[found.relation]))
        a = noun_phrase(rng, objects[found.subject_id], "a")
        b = noun_phrase(rng, objects[found.object_id], "the") if found.object_id else ""
        text = phrase.format(A=_capital(a), a=a, B=_capital(b), b=b, room=room.room_type.label)
        ids = (found.subject_id, found.object_id) if found.object_id else (found.subject_id,)
        sentences.append(
            Sentence(
                text=_capital(text),
                kind=SentenceKind.RELATION,
                room_id=room_id,
                object_ids=ids,
                relation=found.relation,
            )
        )
    return tuple(sentences[i] for i in rng.permutation(len(sentences)))


def noun_phrase(rng: np.random.Generator, scene_object: SceneObject, article: str) -> str:
    """`the red sofa`, `a wooden table`: article `a` or `the`, perhaps colour or material, a noun."""
    nouns = _SYNONYMS.get(scene_object.object_class, (scene_object.object_class.label,))
    words = [str(rng.choice(nouns))]
    adjectives = [w for w in (scene_object.color_name, scene_object.material_name) if w]
    if adjectives and rng.random() < 0.75:
        words = [str(rng.choice(adjectives)), *words]
    phrase = " ".join(words)
    if article == "a":
        article = "some" if phrase.endswith("books") and not phrase.startswith(("pile", "stack", "shelf")) else article
        article = "an" if article == "a" and phrase[0].lower() in "aeiou" else article
    return f"{article} {phrase}"


def _object_sentence(rng: np.random.Generator, room: Room, scene_object: SceneObject) -> Sentence:
    phrase = str(
        rng.choice(
            ("There is {a} in the {room}.", "The {room} has {a}.", "You can see {a}.", "This {room} contains {a}.")
        )
    )
    text = phrase.format(a=noun_phrase(rng, scene_object, "a"), room=room.room_type.label)
    return Sentence(text=text, kind=SentenceKind.OBJECT, room_id=room.room_id, object_ids=(scene_object.object_id,))


def _count_sentence(rng: np.random.Generator, room: Room, objects: list[SceneObject]) -> Sentence:
    """What stands in the room, with numbers."""
    counts = Counter(o.object_class for o in objects)
    chosen = [c for c, _ in counts.most_common()]
    chosen = [chosen[i] for i in sorted(rng.permutation(len(chosen))[: int(rng.integers(3, 8))])]
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    parts = []
    for object_class in chosen:
        number, label = counts[object_class], object_class.label
        word = names[number] if number < len(names) else str(number)
        parts.append(f"{word} {label if number == 1 else _plural(label)}")
    listing = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else "no furniture"
    phrase = str(rng.choice(("A {room} with {list}.", "This is a {room} with {list}.", "The {room} has {list}.")))
    text = (
        phrase.format(room=room.room_type.label, list=listing)
        .replace("A office", "An office")
        .replace("a office", "an office")
    )
    ids = tuple(o.object_id for o in objects if o.object_class in chosen)
    return Sentence(text=text, kind=SentenceKind.ROOM, room_id=room.room_id, object_ids=ids)


def _plural(label: str) -> str:
    if label.endswith("s") and label != "books":
        return label + "es"
    irregular = {"books": "piles of books", "bookshelf": "bookshelves", "wall shelf": "wall shelves", "box": "boxes"}
    return irregular.get(label, label + "s")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
