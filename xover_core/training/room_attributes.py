# SPDX-License-Identifier: Apache-2.0
"""A room as a vector of what is in it: what a text about it can at best be compared with."""

from __future__ import annotations

import numpy as np

from xover_core.datasets.procedural.room_facts import RoomFacts
from xover_core.datasets.procedural.room_wording import COLORS, FLOORS, MATERIALS, MOODS
from xover_core.datasets.procedural.scene import ObjectClass, RoomType
from xover_core.types import Float32Array

NUM_CLASSES = len(ObjectClass)
NUM_COLORS = len(COLORS)
NUM_ATTRIBUTES = NUM_CLASSES * (1 + NUM_COLORS + len(MATERIALS)) + len(RoomType) + len(MOODS) + len(FLOORS)
_COLORS, _MATERIALS = list(COLORS), list(MATERIALS)


def room_attributes(facts: RoomFacts) -> Float32Array:
    """(`NUM_ATTRIBUTES`,): log counts of classes, of their colours and materials; kind of room, moods, floor."""
    classes = np.zeros(NUM_CLASSES)
    colors = np.zeros((NUM_CLASSES, NUM_COLORS))
    materials = np.zeros((NUM_CLASSES, len(MATERIALS)))
    for subject in facts.objects:
        classes[subject.object_class] += 1
        if subject.color:
            colors[subject.object_class, _COLORS.index(subject.color)] += 1
        if subject.material:
            materials[subject.object_class, _MATERIALS.index(subject.material)] += 1
    counts = np.log1p(np.concatenate([classes, colors.ravel(), materials.ravel()]))
    flags = [kind is facts.room.room_type for kind in RoomType]
    flags += [mood in facts.moods for mood in MOODS] + [floor == facts.floor for floor in FLOORS]
    return np.concatenate([counts, flags]).astype(np.float32)
