# SPDX-License-Identifier: Apache-2.0
"""Descriptions of apartments: same seed same apartment, rooms that connect, things that don't overlap, variants."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.datasets.procedural import Apartment, ObjectClass, RoomType, make_apartment, make_lookalike_apartment
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.lighting_design import MAX_LIGHTS_PER_ROOM
from xover_core.datasets.procedural.path_planner import DrivableFloor
from xover_core.datasets.procedural.scene import SceneObject
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import invert

SEEDS = (0, 1, 2, 3)
WALL_TOLERANCE = 0.08  # m; furniture may lean over its footprint a little, leaves of plants more
OVERLAP_TOLERANCE = 0.06  # m; the same between two pieces
ROBOT_RADIUS = 0.24  # m; the planner's default with its margin
POSE_TOLERANCE = 1e-9


def standing(apartment: Apartment, room_id: int) -> list[SceneObject]:
    """Furniture that stands on the floor of a room; plants spread, and chairs are pushed under tables."""
    flexible = (ObjectClass.PLANT, ObjectClass.RUG, ObjectClass.CHAIR, ObjectClass.CURTAIN, ObjectClass.CEILING_LAMP)
    found = [o for o in apartment.furniture if o.room_id == room_id and not o.support_id]
    return [o for o in found if o.object_class not in flexible and object_boxes(o).lower_map[2] < 0.3]


@pytest.mark.parametrize("seed", SEEDS)
def test_rooms_tile_the_floor_and_connect(seed: int) -> None:
    apartment = make_apartment(seed, num_rooms=2 + seed)
    assert len(apartment.rooms) == 2 + seed + (seed >= 1)
    assert len({r.name for r in apartment.rooms}) == len(apartment.rooms)
    for room in apartment.rooms:
        assert apartment.room_at(*room.center) is room
        assert min(np.subtract(room.upper, room.lower)) > 1.1
    floor = DrivableFloor(apartment)
    points = floor.free_points((0.0, 0.0), apartment.layout.extent, ROBOT_RADIUS)
    labels = [sum(floor.reachable(points, tuple(p), ROBOT_RADIUS)) for p in points[:: len(points) // 10]]
    reached = points[floor.reachable(points, tuple(points[:: len(points) // 10][int(np.argmax(labels))]), ROBOT_RADIUS)]
    assert {r.room_id for x, y in reached if (r := apartment.room_at(x, y))} == {r.room_id for r in apartment.rooms}


@pytest.mark.parametrize("seed", SEEDS)
def test_furniture_is_in_its_room_and_apart(seed: int) -> None:
    apartment = make_apartment(seed)
    assert [o.object_id for o in apartment.objects] == list(range(1, len(apartment.objects) + 1))
    for room in apartment.rooms:
        boxes = [object_boxes(o) for o in standing(apartment, room.room_id)]
        for k, box in enumerate(boxes):
            assert (box.lower_map[:2] > np.subtract(room.lower, WALL_TOLERANCE)).all()
            assert (box.upper_map[:2] < np.add(room.upper, WALL_TOLERANCE)).all()
            for other in boxes[k + 1 :]:
                overlap = np.minimum(box.upper_map, other.upper_map) - np.maximum(box.lower_map, other.lower_map)
                assert overlap[:2].min() < OVERLAP_TOLERANCE


def test_small_things_rest_on_what_supports_them() -> None:
    apartment = make_apartment(1)
    resting = [o for o in apartment.furniture if o.support_id]
    assert len(resting) > 10
    for thing in resting:
        support = apartment.objects[thing.support_id - 1]
        below, box = object_boxes(support), object_boxes(thing)
        assert support.room_id == thing.room_id
        assert support.object_class not in (ObjectClass.FLOOR, ObjectClass.WALL)
        assert (below.lower_map[:2] < np.asarray(thing.position[:2])).all()
        assert (np.asarray(thing.position[:2]) < below.upper_map[:2]).all()
        tops = [p.center[2] + p.half_size[2] + support.position[2] for p in support.primitives]
        assert min(abs(thing.position[2] - top) for top in tops) < 0.02
        assert box.lower_map[2] > 0.1


def test_same_seed_same_apartment() -> None:
    assert make_apartment(5) == make_apartment(5)
    assert make_apartment(5) != make_apartment(6)
    assert make_apartment(5, clutter=0.0) != make_apartment(5)
    assert len(make_apartment(5, clutter=0.0).furniture) < len(make_apartment(5).furniture)


def test_every_room_is_lit() -> None:
    for seed in SEEDS:
        apartment = make_apartment(seed)
        per_room = [sum(light.room_id == r.room_id for light in apartment.lighting.lights) for r in apartment.rooms]
        assert min(per_room) >= 1
        assert max(per_room) <= MAX_LIGHTS_PER_ROOM
        assert {i for i, _ in apartment.lighting.ambient} == {r.room_id for r in apartment.rooms}
        assert min(min(color) for _, color in apartment.lighting.ambient) > 0.03


def test_rearranged_moves_furniture_and_nothing_else() -> None:
    apartment = make_apartment(2)
    changed, moves = apartment.rearranged(1)
    assert changed == apartment.rearranged(1)[0]
    assert changed.layout == apartment.layout
    assert changed.lighting == apartment.lighting
    moved = {m.object_id: m for m in moves}
    assert sum(not m.is_carried for m in moves) > 10
    for before, after in zip(apartment.objects, changed.objects, strict=True):
        assert (before.object_id, before.primitives, before.room_id) == (
            after.object_id,
            after.primitives,
            after.room_id,
        )
        if before.object_id not in moved:
            assert before == after
            continue
        assert not before.is_structure
        np.testing.assert_allclose(moved[before.object_id].T_map_before, before.T_map_object, atol=POSE_TOLERANCE)
        np.testing.assert_allclose(moved[before.object_id].T_map_after, after.T_map_object, atol=POSE_TOLERANCE)
        if moved[before.object_id].is_carried:
            support = apartment.objects[before.support_id - 1], changed.objects[before.support_id - 1]
            relative = [invert(s.T_map_object) @ o.T_map_object for s, o in zip(support, (before, after), strict=True)]
            np.testing.assert_allclose(relative[0][:3, 3], relative[1][:3, 3], atol=POSE_TOLERANCE)
    assert apartment.rearranged(1, share=0.0) == (apartment, ())


def test_relit_changes_light_only() -> None:
    apartment = make_apartment(2)
    relit = apartment.relit(1)
    assert relit.objects == apartment.objects
    assert relit.lighting != apartment.lighting
    assert relit == apartment.relit(1)


def test_lookalike_rooms_share_furniture_but_not_decoration() -> None:
    apartment = make_lookalike_apartment(4, num_rooms=5, num_lookalikes=3)
    twins = apartment.rooms[:3]
    assert len({r.room_type for r in twins}) == 1
    sizes = np.array([np.subtract(r.upper, r.lower) for r in twins])
    np.testing.assert_allclose(sizes, sizes[:1].repeat(3, axis=0), atol=POSE_TOLERANCE)
    fixed = (ObjectClass.SOFA, ObjectClass.BED, ObjectClass.DESK, ObjectClass.WARDROBE, ObjectClass.BOOKSHELF)
    layouts = []
    for room in twins:
        inside = [o for o in apartment.furniture if o.room_id == room.room_id and o.object_class in fixed]
        layouts.append(sorted((int(o.object_class), *np.subtract(o.position[:2], room.lower).round(6)) for o in inside))
    assert layouts[0]
    assert layouts[0] == layouts[1] == layouts[2]
    decor = [
        {o.primitives for o in apartment.furniture if o.room_id == r.room_id and o.object_class is ObjectClass.PICTURE}
        for r in twins
    ]
    assert decor[0] != decor[1]


@pytest.mark.parametrize(
    "arguments", [{"num_rooms": 0}, {"num_rooms": 13}, {"clutter": -1.0}, {"num_lookalikes": 1}, {"num_lookalikes": 6}]
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="make_apartment: expected"):
        make_apartment(0, **arguments)  # type: ignore[arg-type]


def test_unknown_room_and_bad_share_are_refused() -> None:
    apartment = make_apartment(0, num_rooms=1)
    assert apartment.rooms[0].room_type is not RoomType.CORRIDOR
    with pytest.raises(DatasetError, match="room id from 1 to 1, got 2"):
        apartment.room(2)
    with pytest.raises(DatasetError, match="share from 0 to 1"):
        apartment.rearranged(0, share=1.5)
    with pytest.raises(DatasetError, match="seed >= 0"):
        make_apartment(-1)
