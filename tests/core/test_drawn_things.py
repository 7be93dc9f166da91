# SPDX-License-Identifier: Apache-2.0
"""Tests of what is said to be seen in a floorplan: things, where they are, and what others hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xover_core.datasets.procedural.apartment import make_apartment
from xover_core.datasets.procedural.drawn_things import find_drawn_things
from xover_core.datasets.procedural.floorplan import draw_floorplan, furniture_outlines
from xover_core.datasets.procedural.layout import WALL_THICKNESS
from xover_core.datasets.procedural.room_facts import read_room_facts
from xover_core.datasets.procedural.scene import ObjectClass

# 0.5 px of rounding at 40 px/m, and outlines that are not symmetric around their middles
PLACE_TOLERANCE_PX = 1.0


@pytest.fixture(scope="module")
def apartment():
    return make_apartment(3, num_rooms=4)


def _seen(apartment, room_id: int):
    plan = draw_floorplan(apartment, room_id=room_id)
    return find_drawn_things(plan, apartment, read_room_facts(apartment, room_id)), plan


def test_things_stand_where_they_are_drawn(apartment):
    room_id = apartment.rooms[1].room_id
    beds = [o for o in apartment.furniture if o.object_class is ObjectClass.BED]
    room_id = beds[0].room_id if beds else room_id
    things, plan = _seen(apartment, room_id)
    objects = [o for o in apartment.furniture if o.room_id == room_id]
    big = [o for o in objects if o.object_class in (ObjectClass.BED, ObjectClass.WARDROBE, ObjectClass.DESK)]
    assert big
    for one in big:
        outlines = [outline for owner, outline in furniture_outlines(objects) if owner is one]
        points = plan.pixels_of(np.concatenate(outlines))
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        own = [t for t in things if one.object_class.name.lower() in t.traits]
        assert min(np.abs(np.array(t.center_px) - middle).max() for t in own) < PLACE_TOLERANCE_PX


def test_openings_are_seen_in_the_walls(apartment):
    for room in apartment.rooms:
        things, plan = _seen(apartment, room.room_id)
        openings = [o for o in apartment.openings if room.room_id in o.room_ids]
        found = [t for t in things if t.traits in (frozenset({"window"}), frozenset({"door"}))]
        assert len(found) == len(openings)
        half = WALL_THICKNESS / 2
        corners = plan.pixels_of(np.add([room.lower, room.upper], [[-half], [half]]))
        for thing in found:
            gaps = np.abs(np.array(thing.center_px) - corners)
            assert gaps.min() < PLACE_TOLERANCE_PX


def test_what_hangs_is_not_seen(apartment):
    names = {"ceiling_lamp", "picture", "poster", "clock"}
    assert any(o.object_class.name.lower() in names for o in apartment.furniture)
    for room in apartment.rooms:
        assert not any(thing.traits & names for thing in _seen(apartment, room.room_id)[0])


def test_what_is_covered_is_not_seen(apartment):
    room_id = next(o.room_id for o in apartment.furniture if o.object_class is ObjectClass.RUG)
    rug = next(o for o in apartment.furniture if o.object_class is ObjectClass.RUG and o.room_id == room_id)
    above = replace(rug, object_id=9999, object_class=ObjectClass.TABLE, position=(*rug.position[:2], 0.5))
    covered = replace(apartment, objects=(*apartment.objects, above))
    before, after = (_seen(one, room_id)[0] for one in (apartment, covered))
    count = [sum("rug" in thing.traits for thing in things) for things in (before, after)]
    assert count[1] == count[0] - 1
    assert sum("table" in thing.traits for thing in after) == sum("table" in thing.traits for thing in before) + 1
