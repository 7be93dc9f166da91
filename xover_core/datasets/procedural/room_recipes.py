# SPDX-License-Identifier: Apache-2.0
"""What each kind of room contains, and in which order it is placed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from xover_core.datasets.procedural import furniture_decor as decor
from xover_core.datasets.procedural import furniture_seats as seats
from xover_core.datasets.procedural import furniture_small as small
from xover_core.datasets.procedural import furniture_storage as storage
from xover_core.datasets.procedural.free_space import Spot
from xover_core.datasets.procedural.furniture_model import FurnitureModel
from xover_core.datasets.procedural.room_furnisher import Builder, RoomFurnisher
from xover_core.datasets.procedural.scene import ObjectClass, RoomType, SceneObject


def furnish_room(furnisher: RoomFurnisher) -> list[SceneObject]:
    """Place large things first, then what goes to windows, walls and ceiling."""
    _RECIPES[furnisher.room.room_type](furnisher)
    furnisher.dress_windows()
    _fill_up(furnisher)
    furnisher.hang_decor()
    furnisher.hang_ceiling_lamps()
    return furnisher.objects


def _fill_up(f: RoomFurnisher) -> None:
    """Along walls that are still bare: low furniture, plants, boxes."""
    length = sum(s.end - s.start for s in f.space.sides)
    choice: tuple[tuple[Builder, str], ...] = (
        (small.floor_box, ""), (small.floor_box, ""), (decor.plant, ""), (_nightstand, "living"),
        (storage.shoe_rack, "high"), (seats.stool, ""), (_cupboard, "living"), (decor.floor_lamp, ""),
    )  # fmt: skip
    for _ in range(int(f.rng.poisson(0.3 * length * f.clutter))):
        build, things = choice[int(f.rng.integers(len(choice)))]
        f.against_wall(build, things)


def _nightstand(rng: np.random.Generator) -> FurnitureModel:
    return storage.chest(rng, ObjectClass.NIGHTSTAND)


def _dresser(rng: np.random.Generator) -> FurnitureModel:
    return storage.chest(rng, ObjectClass.DRESSER)


def _cupboard(rng: np.random.Generator) -> FurnitureModel:
    return storage.chest(rng, ObjectClass.CUPBOARD)


def _armchair(rng: np.random.Generator) -> FurnitureModel:
    return seats.sofa(rng, is_armchair=True)


def _single_bed(rng: np.random.Generator) -> FurnitureModel:
    return seats.bed(rng, is_single=True)


def _dining_group(f: RoomFurnisher, chance: float = 1.0) -> None:
    """A table with equal chairs around it, not all pushed in."""
    table = f.in_center(seats.table, "living", chance=chance, gap=0.45)
    if table is None:
        return
    design = seats.chair(f.rng)
    half_width = max(abs(p.center[0]) + p.half_size[0] for p in table.primitives)
    half_depth = max(abs(p.center[1]) + p.half_size[1] for p in table.primitives)
    offsets = [(x, -half_depth, math.pi) for x in ((-0.3, 0.3) if half_width > 0.6 else (0.0,))]
    offsets += [(x, half_depth, 0.0) for x in ((-0.3, 0.3) if half_width > 0.6 else (0.0,))]
    offsets += [(-half_width, 0.0, math.pi / 2), (half_width, 0.0, -math.pi / 2)]
    for x, y, turn in offsets:
        if f.rng.random() < 0.85:
            away = float(f.rng.uniform(0.02, 0.3)) + 0.24
            length = math.hypot(x if y == 0 else 0.0, y)
            scale = (length + away) / length
            place = (x * scale, 0.0) if y == 0 else (x, y * scale)
            f.beside(table, lambda _: design, place, turn + float(f.rng.normal(0, 0.1)))


def _desk_group(f: RoomFurnisher, chance: float = 1.0) -> None:
    desk = f.against_wall(seats.desk, "desk", chance=chance)
    build = seats.office_chair if f.rng.random() < 0.7 else seats.chair
    f.beside(desk, build, (float(f.rng.uniform(-0.2, 0.2)), -0.62), math.pi + float(f.rng.normal(0, 0.2)))


def _furnish_living_room(f: RoomFurnisher) -> None:
    sofa = f.against_wall(seats.sofa)
    f.beside(sofa, seats.coffee_table, (0.0, -1.1), 0.0, "living")
    f.against_wall(decor.tv_board, "high", chance=0.85)
    f.against_wall(storage.bookshelf, "high")
    f.against_wall(seats.bench_piano, "living", chance=0.15)
    f.against_wall(_cupboard, "living", chance=0.6)
    f.against_wall(_armchair, chance=0.6, is_in_corner=True)
    f.against_wall(decor.plant, chance=0.85, is_in_corner=True)
    f.against_wall(storage.bookshelf, "high", chance=0.4)
    f.against_wall(decor.floor_lamp, chance=0.6, is_in_corner=True)
    _dining_group(f, 0.35)
    f.in_center(seats.stool, chance=0.4)
    f.lay_rug(sofa, 1.15)
    f.against_wall(small.floor_box, chance=0.5)


def _furnish_kitchen(f: RoomFurnisher) -> None:
    width = float(f.rng.uniform(1.8, 3.0))
    f.against_wall(lambda rng: storage.kitchen_counter(rng, width), "kitchen", is_in_corner=True)
    f.against_wall(storage.fridge, "high")
    f.against_wall(lambda rng: storage.kitchen_counter(rng, 1.2, is_tall=False), "kitchen", chance=0.5)
    _dining_group(f)
    f.against_wall(_cupboard, "kitchen", chance=0.6)
    f.against_wall(decor.plant, chance=0.4, is_in_corner=True)
    f.against_wall(small.floor_box, chance=0.8)
    f.against_wall(small.floor_box, chance=0.4)


def _furnish_bedroom(f: RoomFurnisher) -> None:
    bed = f.against_wall(seats.bed)
    side = 0.0 if bed is None else max(p.half_size[0] for p in bed.primitives) + 0.32
    f.beside(bed, _nightstand, (side, 0.78), 0.0, "night")
    f.beside(bed, _nightstand, (-side, 0.78), 0.0, "night")
    f.against_wall(storage.wardrobe, "high")
    f.against_wall(_dresser, "living", chance=0.7)
    f.against_wall(_armchair, chance=0.35, is_in_corner=True)
    _desk_group(f, 0.3)
    f.against_wall(decor.plant, chance=0.5, is_in_corner=True)
    f.against_wall(decor.floor_lamp, chance=0.3, is_in_corner=True)
    f.lay_rug(bed, 1.3)
    f.against_wall(small.floor_box, chance=0.5)


def _furnish_bathroom(f: RoomFurnisher) -> None:
    tub = storage.bathtub if f.rng.random() < 0.6 else storage.shower
    f.against_wall(tub, is_in_corner=True)
    basin = f.against_wall(storage.washbasin, "bath")
    if basin is not None:
        mirror = decor.mirror_cabinet(f.rng)
        c, s = math.cos(basin.yaw), math.sin(basin.yaw)
        f.put(mirror, Spot(basin.position[0] - s * 0.16, basin.position[1] + c * 0.16, basin.yaw), z=1.25)
    f.against_wall(storage.toilet, "bath")
    f.against_wall(storage.washing_machine, "bath", chance=0.6)
    f.against_wall(small.floor_box, chance=0.7)
    f.against_wall(_nightstand, "bath", chance=0.5)
    f.lay_rug(basin, 0.9)
    f.hang(decor.towel_rail(f.rng), (0.75, 1.0))


def _furnish_office(f: RoomFurnisher) -> None:
    _desk_group(f)
    _desk_group(f, 0.5)
    f.against_wall(storage.bookshelf, "high")
    f.against_wall(storage.bookshelf, "high", chance=0.7)
    f.against_wall(_dresser, "desk", chance=0.5)
    f.against_wall(seats.sofa, chance=0.3)
    f.against_wall(decor.plant, chance=0.7, is_in_corner=True)
    f.against_wall(decor.floor_lamp, chance=0.4, is_in_corner=True)
    f.lay_rug(None, 0.0)
    f.against_wall(small.floor_box, chance=0.8)
    f.against_wall(small.floor_box, chance=0.5)


def _furnish_dining_room(f: RoomFurnisher) -> None:
    _dining_group(f)
    f.against_wall(_cupboard, "living")
    f.against_wall(storage.bookshelf, "high", chance=0.6)
    f.against_wall(_dresser, "kitchen", chance=0.5)
    f.against_wall(seats.bench_piano, "living", chance=0.3)
    f.against_wall(decor.plant, is_in_corner=True)
    f.against_wall(_armchair, chance=0.4, is_in_corner=True)
    f.lay_rug(None, 0.0)


def _furnish_childrens_room(f: RoomFurnisher) -> None:
    bed = f.against_wall(_single_bed, is_in_corner=True)
    f.against_wall(storage.wardrobe, "high", chance=0.8)
    _desk_group(f, 0.8)
    f.against_wall(storage.bookshelf, "high", chance=0.8)
    f.against_wall(_dresser, "night", chance=0.6)
    for _ in range(int(f.rng.integers(2, 6))):
        f.in_center(small.toy, gap=0.02)
    f.lay_rug(bed, 1.3)
    f.against_wall(small.floor_box, chance=0.8)


def _furnish_storage(f: RoomFurnisher) -> None:
    for _ in range(3):
        f.against_wall(storage.bookshelf, "high")
    f.against_wall(storage.washing_machine, "bath", chance=0.5)
    for _ in range(int(f.rng.integers(3, 8))):
        f.against_wall(small.floor_box)


def _furnish_corridor(f: RoomFurnisher) -> None:
    f.against_wall(storage.shoe_rack, "high", chance=0.9)
    f.against_wall(storage.bookshelf, "high", chance=0.5)
    f.against_wall(decor.plant, chance=0.5, is_in_corner=True)
    f.against_wall(small.floor_box, chance=0.6)
    if f.rng.random() < 0.8:
        f.hang(decor.coat_rack(f.rng), (0.85, 0.95))
    f.lay_rug(None, 0.0)


_RECIPES: dict[RoomType, Callable[[RoomFurnisher], None]] = {
    RoomType.LIVING_ROOM: _furnish_living_room,
    RoomType.KITCHEN: _furnish_kitchen,
    RoomType.BEDROOM: _furnish_bedroom,
    RoomType.BATHROOM: _furnish_bathroom,
    RoomType.OFFICE: _furnish_office,
    RoomType.DINING_ROOM: _furnish_dining_room,
    RoomType.CHILDRENS_ROOM: _furnish_childrens_room,
    RoomType.STORAGE: _furnish_storage,
    RoomType.CORRIDOR: _furnish_corridor,
}
