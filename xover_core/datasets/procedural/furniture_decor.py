# SPDX-License-Identifier: Apache-2.0
"""Lamps, plants, screens, rugs, and things on walls and windows."""

from __future__ import annotations

import numpy as np

from xover_core.datasets.procedural import materials
from xover_core.datasets.procedural.furniture_model import (
    FurnitureModel,
    Surface,
    box,
    cylinder,
    ellipsoid,
    legs,
    model,
    rod,
)
from xover_core.datasets.procedural.scene import Material, ObjectClass

_LAMP_GLOW = 2.2


def floor_lamp(rng: np.random.Generator) -> FurnitureModel:
    """A standing lamp."""
    shade, steel, height = lamp_shade(rng), materials.metal(rng).material, float(rng.uniform(1.4, 1.7))
    parts = [
        cylinder((0, 0, 0), 0.14, 0.025, steel),
        cylinder((0, 0, 0.02), 0.014, height - 0.25, steel),
        cylinder((0, 0, height - 0.28), float(rng.uniform(0.14, 0.22)), 0.28, shade),
    ]
    return model(ObjectClass.FLOOR_LAMP, (0.4, 0.4, height), parts)


def table_lamp(rng: np.random.Generator) -> FurnitureModel:
    """A small lamp with a round foot."""
    foot = materials.lacquer(rng)
    parts = [
        ellipsoid((0, 0, 0), (0.16, 0.16, 0.2), foot.material),
        cylinder((0, 0, 0.18), 0.01, 0.06, foot.material),
        cylinder((0, 0, 0.22), 0.11, 0.16, lamp_shade(rng)),
    ]
    return model(ObjectClass.TABLE_LAMP, (0.22, 0.22, 0.38), parts, foot)


def ceiling_lamp(rng: np.random.Generator) -> FurnitureModel:
    """A lamp that hangs from z = 0 downwards."""
    shade, style = lamp_shade(rng), rng.random()
    if style < 0.4:
        parts = [cylinder((0, 0, -0.09), float(rng.uniform(0.16, 0.26)), 0.09, shade)]
        return model(ObjectClass.CEILING_LAMP, (0.5, 0.5, 0.09), parts)
    drop, radius = float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.13, 0.22))
    cord = cylinder((0, 0, -drop), 0.008, drop, materials.solid((0.1, 0.1, 0.1)))
    if style < 0.75:
        parts = [cord, ellipsoid((0, 0, -drop - radius), (2 * radius, 2 * radius, 1.4 * radius), shade)]
    else:
        parts = [cord, cylinder((0, 0, -drop - 0.2), radius, 0.24, shade)]
    return model(ObjectClass.CEILING_LAMP, (2 * radius, 2 * radius, drop + 0.2), parts)


def plant(rng: np.random.Generator, *, is_small: bool = False) -> FurnitureModel:
    """A pot with a spray of leaves; the large kind has a stem."""
    scale = float(rng.uniform(0.25, 0.35) if is_small else rng.uniform(0.75, 1.1))
    pot = materials.lacquer(rng, ("white", "brown", "orange", "dark grey", "blue", "beige"))
    green = materials.vary(rng, ((0.25, 0.45, 0.18), (0.18, 0.36, 0.16), (0.36, 0.5, 0.2))[int(rng.integers(3))], 0.1)
    leaf = materials.tinted("leaf", int(rng.integers(6)), green, None, gloss=0.2)
    pot_height = 0.32 * scale
    parts = [
        cylinder((0, 0, 0), 0.17 * scale, pot_height, pot.material),
        cylinder((0, 0, pot_height), 0.15 * scale, 0.01, materials.solid((0.18, 0.13, 0.1))),
    ]
    crown = pot_height + (0.0 if is_small else float(rng.uniform(0.05, 0.5)) * scale)
    if crown > pot_height + 0.1:
        parts.append(cylinder((0, 0, pot_height), 0.018, crown - pot_height, materials.wood(rng).material))
    for i in range(9 if is_small else int(rng.integers(18, 30))):
        azimuth, lift = 2.4 * i, float(rng.uniform(0.1, 1.25))
        length = scale * float(rng.uniform(0.35, 0.65))
        reach = (np.cos(lift) * np.cos(azimuth), np.cos(lift) * np.sin(azimuth), np.sin(lift))
        center = (float(reach[0]) * length / 2, float(reach[1]) * length / 2, crown + float(reach[2]) * length / 2)
        size = (length, length * float(rng.uniform(0.18, 0.32)), 0.012)
        parts.append(ellipsoid((center[0], center[1], center[2] - 0.006), size, leaf, (0.0, -lift, azimuth)))
    width = 0.8 * scale
    return model(ObjectClass.PLANT, (width, width, crown + 0.6 * scale), parts, pot)


def tv_board(rng: np.random.Generator) -> FurnitureModel:
    """A television on a low board."""
    body = materials.wood(rng) if rng.random() < 0.6 else materials.lacquer(rng, ("white", "black", "grey"))
    width, tv = float(rng.uniform(1.2, 1.7)), float(rng.uniform(0.9, 1.25))
    black = materials.solid((0.04, 0.04, 0.05), gloss=0.6)
    parts = [
        box((0, 0, 0.05), (width, 0.42, 0.42), body.material),
        box(
            (0, -0.205, 0.08),
            (width - 0.04, 0.02, 0.36),
            materials.picture(rng, "front", color=materials.base_color(body.material)),
        ),
        box((0, 0.05, 0.47), (0.4, 0.2, 0.02), black),
        box((0, 0.06, 0.49), (0.08, 0.04, 0.1), black),
        box((0, 0.06, 0.56), (tv, 0.05, tv * 0.58), black),
        box((0, 0.033, 0.575), (tv - 0.03, 0.006, tv * 0.58 - 0.03), display(rng)),
    ]
    parts += legs(width - 0.1, 0.36, 0.05, 0.05, body.material)
    surface = Surface(z=0.47, width=(width - 0.5) / 2, depth=0.25, x=-width / 4 - 0.1, y=-0.05, headroom=0.1)
    return model(ObjectClass.TV, (width, 0.44, 0.56 + tv * 0.58), parts, body, surfaces=(surface,))


def display(rng: np.random.Generator) -> Material:
    """A screen that is on, or dark."""
    if rng.random() < 0.6:
        return materials.picture(rng, "screen", emission=float(rng.uniform(0.25, 0.5)))
    return materials.solid((0.05, 0.05, 0.06), gloss=0.9)


def rug(rng: np.random.Generator) -> FurnitureModel:
    """A flat rug, rectangular or round."""
    width, depth = float(rng.uniform(1.2, 2.2)), float(rng.uniform(0.9, 1.6))
    if rng.random() < 0.6:
        name, color = materials.draw_color(rng, ())
        named = materials.NamedMaterial(material=materials.picture(rng, "rug", color=color), color_name=name)
    else:
        named = materials.fabric(rng)
    if rng.random() < 0.2:
        return model(
            ObjectClass.RUG, (depth, depth, 0.012), [cylinder((0, 0, 0), depth / 2, 0.012, named.material)], named
        )
    return model(ObjectClass.RUG, (width, depth, 0.012), [box((0, 0, 0), (width, depth, 0.012), named.material)], named)


def picture(rng: np.random.Generator) -> FurnitureModel:
    """A framed picture; its back is at +y, its frame's origin at the lower edge."""
    width, height = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.3, 0.8))
    frame = materials.wood(rng) if rng.random() < 0.5 else materials.lacquer(rng, ("black", "white", "dark grey"))
    image = materials.picture(rng, str(rng.choice(["painting", "photo", "photo", "poster"])))
    parts = [
        box((0, 0, 0), (width, 0.03, height), frame.material),
        box((0, -0.0165, 0.03), (width - 0.06, 0.004, height - 0.06), image),
    ]
    if rng.random() < 0.4:
        parts[1] = box((0, -0.0165, 0.03), (width - 0.06, 0.004, height - 0.06), materials.solid((0.92, 0.92, 0.9)))
        parts.append(box((0, -0.0195, 0.09), (width - 0.18, 0.003, height - 0.18), image))
    return model(ObjectClass.PICTURE, (width, 0.03, height), parts)


def poster(rng: np.random.Generator) -> FurnitureModel:
    """A poster or a pinboard without a frame."""
    width = float(rng.uniform(0.45, 0.9))
    height = width * float(rng.uniform(0.9, 1.45))
    kind = str(rng.choice(["poster", "photo", "painting", "page"], p=[0.45, 0.25, 0.15, 0.15]))
    parts = [box((0, 0, 0), (width, 0.006, height), materials.picture(rng, kind))]
    return model(ObjectClass.POSTER, (width, 0.006, height), parts)


def wall_clock(rng: np.random.Generator) -> FurnitureModel:
    """A square clock."""
    size, frame = float(rng.uniform(0.22, 0.36)), materials.lacquer(rng)
    parts = [
        box((0, 0, 0), (size, 0.03, size), frame.material),
        box((0, -0.017, 0.02), (size - 0.04, 0.004, size - 0.04), materials.picture(rng, "clock")),
    ]
    return model(ObjectClass.CLOCK, (size, 0.03, size), parts, frame)


def wall_shelf(rng: np.random.Generator) -> FurnitureModel:
    """A board on the wall with books and a few things."""
    width, board = float(rng.uniform(0.6, 1.1)), materials.wood(rng)
    length = width * float(rng.uniform(0.3, 0.7))
    books = materials.picture(rng, "books")
    parts = [
        box((0, 0, 0), (width, 0.22, 0.025), board.material),
        box((-(width - length) / 2 + 0.03, 0.02, 0.025), (length, 0.15, float(rng.uniform(0.18, 0.27))), books),
        cylinder((width / 2 - 0.1, 0.0, 0.025), 0.045, float(rng.uniform(0.08, 0.2)), materials.lacquer(rng).material),
    ]
    return model(ObjectClass.WALL_SHELF, (width, 0.22, 0.3), parts, board)


def mirror_cabinet(rng: np.random.Generator) -> FurnitureModel:
    """A cabinet with a pale glossy front."""
    width = float(rng.uniform(0.5, 0.9))
    front = materials.solid((0.6, 0.66, 0.68), gloss=0.9)
    parts = [
        box((0, 0.01, 0), (width, 0.13, 0.65), materials.ceramic(rng).material),
        box((0, -0.06, 0.015), (width - 0.02, 0.01, 0.62), front),
        box((0, -0.04, 0.67), (width * 0.8, 0.06, 0.04), materials.solid((0.95, 0.93, 0.88), emission=1.2)),
    ]
    return model(ObjectClass.MIRROR_CABINET, (width, 0.15, 0.71), parts)


def towel_rail(rng: np.random.Generator) -> FurnitureModel:
    """A rail with towels."""
    steel, cloth = materials.metal(rng).material, materials.fabric(rng)
    parts = [
        rod((0, -0.04, 0.62), 0.012, 0.7, steel, (0.0, float(np.pi / 2), 0.0)),
        box((-0.15, -0.04, 0), (0.34, 0.035, 0.635), cloth.material),
        box((0.2, -0.04, 0.15), (0.25, 0.035, 0.485), materials.fabric(rng).material),
    ]
    return model(ObjectClass.TOWEL, (0.7, 0.08, 0.65), parts, cloth)


def coat_rack(rng: np.random.Generator) -> FurnitureModel:
    """A board with hooks and coats."""
    board = materials.wood(rng)
    parts = [box((0, 0.04, 0.85), (0.9, 0.02, 0.12), board.material)]
    for i in range(4):
        x = -0.33 + 0.22 * i
        parts.append(cylinder((x, 0.0, 0.87), 0.012, 0.04, materials.metal(rng).material))
        if rng.random() < 0.7:
            length = float(rng.uniform(0.5, 0.88))
            parts.append(ellipsoid((x, -0.03, 0.9 - length), (0.26, 0.16, length), materials.fabric(rng).material))
    return model(ObjectClass.COAT_RACK, (0.95, 0.2, 0.97), parts, board)


def curtain(rng: np.random.Generator, width: float, height: float) -> FurnitureModel:
    """One side of a pair of curtains."""
    name, color = materials.draw_color(rng, ())
    folds = materials.tinted("ribs", int(rng.integers(8)), color, (0.9, 1.0), mottle=0.1)
    named = materials.NamedMaterial(material=folds, color_name=name)
    parts = [box((0, 0, 0), (width, 0.07, height), named.material)]
    return model(ObjectClass.CURTAIN, (width, 0.07, height), parts, named)


def radiator(rng: np.random.Generator, width: float) -> FurnitureModel:
    """A ribbed radiator."""
    fins = materials.tinted("ribs", int(rng.integers(8)), (0.9, 0.9, 0.88), (0.5, 0.5), mottle=0.05)
    parts = [
        box((0, 0, 0.12), (width, 0.07, 0.5), fins),
        rod((width / 2 + 0.03, 0.0, 0.15), 0.02, 0.08, materials.metal(rng).material, (0.0, float(np.pi / 2), 0.0)),
    ]
    return model(ObjectClass.RADIATOR, (width + 0.1, 0.09, 0.62), parts)


def light_switch(rng: np.random.Generator) -> FurnitureModel:
    """A switch plate."""
    parts = [
        box((0, 0, 0), (0.085, 0.012, 0.085 * int(rng.integers(1, 3))), materials.solid((0.93, 0.93, 0.92))),
        box((0, -0.008, 0.02), (0.045, 0.006, 0.045), materials.solid((0.8, 0.8, 0.79))),
    ]
    return model(ObjectClass.SWITCH, (0.085, 0.012, 0.17), parts)


def lamp_shade(rng: np.random.Generator) -> Material:
    """Cloth or glass that glows."""
    color = ((0.98, 0.93, 0.82), (0.95, 0.85, 0.65), (0.9, 0.93, 0.96), (0.9, 0.6, 0.4))[int(rng.integers(4))]
    kind = "weave" if rng.random() < 0.5 else "plain"
    return materials.tinted(kind, int(rng.integers(6)), color, (0.3, 0.3), emission=_LAMP_GLOW)
