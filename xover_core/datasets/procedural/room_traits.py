# SPDX-License-Identifier: Apache-2.0
"""What is true of a room as a set of short names, and which of these a text says: the language of inventories.

`sofa`: there is one; `sofa:red`, `sofa:wooden`: one of this colour or material; `bed/double`, `table/round`: of this
kind, size or shape; `chair*4`: at least four; `room:kitchen`, `floor:parquet`, `mood:small`, `use:3`: of the room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from xover_core.datasets.procedural.room_facts import ObjectFacts, RoomFacts
from xover_core.datasets.procedural.scene import ObjectClass, RoomType

MAX_COUNT = 6
"""More things of a class than this are not told apart."""


def thing_name(object_class: ObjectClass, look: str) -> str:
    """What an object is, and its colour, or else its material, where it has one: `sofa:red`, `wall`."""
    return look_trait(object_class, look) if look else class_trait(object_class)


def class_trait(object_class: ObjectClass) -> str:
    """There is one."""
    return object_class.name.lower()


def look_trait(object_class: ObjectClass, look: str) -> str:
    """There is one of this colour or material."""
    return f"{class_trait(object_class)}:{look}"


def kind_trait(object_class: ObjectClass, kind: str) -> str:
    """There is one of this kind, size or shape."""
    return f"{class_trait(object_class)}/{kind}"


def count_traits(object_class: ObjectClass, count: int) -> set[str]:
    """There are at least so many: all smaller numbers from two up."""
    return {f"{class_trait(object_class)}*{number}" for number in range(2, min(count, MAX_COUNT) + 1)}


def room_trait(room_type: RoomType) -> str:
    """It is such a room."""
    return f"room:{room_type.name.lower()}"


def object_traits(subject: ObjectFacts) -> set[str]:
    """All of an object."""
    kind = subject.object_class
    found = {class_trait(kind)}
    found |= {look_trait(kind, look) for look in (subject.color, subject.material) if look}
    found |= {kind_trait(kind, name) for name in (subject.kind, subject.size, subject.shape) if name}
    return found | {class_trait(part) for part, _ in subject.parts}


def traits_of(facts: RoomFacts) -> set[str]:
    """All of a room."""
    found = {room_trait(facts.room.room_type), *(f"mood:{m}" for m in facts.moods), *(f"use:{u}" for u in facts.uses)}
    if facts.floor:
        found.add(f"floor:{facts.floor}")
    counts = Counter(subject.object_class for subject in facts.objects)
    for subject in facts.objects:
        found |= object_traits(subject)
        # "3 cushions" are said of one sofa or bed
        for part, count in subject.parts:
            counts[part] = max(counts[part], count)
    for kind, count in (*facts.openings, *counts.items()):
        if count:
            found |= {class_trait(kind), *count_traits(kind, count)}
    return found


def group_traits(group: Iterable[ObjectFacts], color: str = "") -> set[str]:
    """What is said by naming several of a class with their number, and their colour where one is given."""
    members = list(group)
    kind = members[0].object_class
    said = {class_trait(kind), *count_traits(kind, len(members))}
    return said | {look_trait(kind, color)} if color else said
