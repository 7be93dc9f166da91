# SPDX-License-Identifier: Apache-2.0
"""Rooms of which nothing is rendered: what is true of them, what is said of them, and their floorplans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.room_facts import ObjectFacts, RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_sentences import write_object_text, write_room_text
from xover_core.datasets.procedural.room_traits import class_trait, count_traits, look_trait, room_trait, traits_of
from xover_core.datasets.procedural.sentences import Sentence, SentenceKind, describe_room
from xover_core.training.inventory_plans import MadeUpPlan, make_up_plan
from xover_core.training.room_scans import RoomScansSettings, apartment_of

_KINDS = ("template", "free", "object")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpRoom:
    """A room.

    Attributes:
        facts: what may be said.
        traits: what is true.
        templates: sentences that say everything, and what each says.
        plan: its floorplan.
    """

    facts: RoomFacts
    traits: frozenset[str]
    templates: tuple[tuple[str, frozenset[str]], ...]
    plan: MadeUpPlan


def make_up_rooms(seeds: Sequence[int]) -> list[MadeUpRoom]:
    """All rooms of the apartments of some seeds, which are those of `xover scenes --rooms`."""
    settings = RoomScansSettings()
    apartments = [apartment_of(seed, settings) for seed in seeds]
    return [_make_room(a, room.room_id) for a in apartments for room in a.rooms if _furniture(a, room.room_id)]


def draw_text(room: MadeUpRoom, rng: np.random.Generator, *, held_out: float = 0.0) -> tuple[str, frozenset[str]]:
    """A sentence, a free description or a text about an object, and what it says."""
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    if kind == "template":
        return room.templates[int(rng.integers(len(room.templates)))]
    if kind == "free":
        free = write_room_text(room.facts, rng, held_out=held_out)
    else:
        objects = room.facts.objects
        object_id = objects[int(rng.integers(len(objects)))].object_id
        free = write_object_text(room.facts, object_id, rng, held_out=held_out)
    return free.text, free.said


def _furniture(apartment: Apartment, room_id: int) -> bool:
    return any(o.room_id == room_id for o in apartment.furniture)


def _make_room(apartment: Apartment, room_id: int) -> MadeUpRoom:
    facts = read_room_facts(apartment, room_id)
    objects = {subject.object_id: subject for subject in facts.objects}
    sentences = describe_room(apartment, room_id, apartment.seed)
    return MadeUpRoom(
        facts=facts,
        traits=frozenset(traits_of(facts)),
        templates=tuple((sentence.text, frozenset(_said(sentence, facts, objects))) for sentence in sentences),
        plan=make_up_plan(apartment, facts),
    )


def _said(sentence: Sentence, facts: RoomFacts, objects: Mapping[int, ObjectFacts]) -> set[str]:
    """What a sentence of a template says: its objects, their colours and materials where it has the words, numbers."""
    named = [objects[object_id] for object_id in sentence.object_ids]
    words = f" {sentence.text.lower().rstrip('.')} "
    said = {class_trait(subject.object_class) for subject in named}
    if facts.room.room_type.label in words:
        said.add(room_trait(facts.room.room_type))
    if sentence.kind is SentenceKind.ROOM:
        counts = Counter(subject.object_class for subject in named)
        return said.union(*(count_traits(kind, number) for kind, number in counts.items()))
    looks = {(subject.object_class, look) for subject in named for look in (subject.color, subject.material)}
    return said | {look_trait(kind, look) for kind, look in looks if look and f" {look} " in words}
