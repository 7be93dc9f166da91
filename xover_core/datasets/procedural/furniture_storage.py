# SPDX-License-Identifier: Apache-2.0
"""Shelves, wardrobes, drawers, and everything that is fixed in kitchens and bathrooms."""

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
)
from xover_core.datasets.procedural.materials import NamedMaterial
from xover_core.datasets.procedural.scene import ObjectClass, Primitive


def bookshelf(rng: np.random.Generator) -> FurnitureModel:
    """Shelves with books, boxes and gaps."""
    body = _cabinet_material(rng)
    width, depth, height = float(rng.uniform(0.7, 1.3)), float(rng.uniform(0.26, 0.36)), float(rng.uniform(1.1, 2.1))
    count = max(2, round(height / 0.37))
    step = (height - 0.04) / count
    parts = [
        box((-width / 2 + 0.012, 0, 0), (0.024, depth, height), body.material),
        box((width / 2 - 0.012, 0, 0), (0.024, depth, height), body.material),
        box((0, depth / 2 - 0.008, 0), (width, 0.016, height), body.material),
    ]
    parts += [box((0, 0, 0.02 + i * step), (width - 0.04, depth, 0.022), body.material) for i in range(count + 1)]
    for i in range(count):
        parts += _shelf_content(rng, width - 0.07, depth, 0.045 + i * step, step - 0.06)
    surface = Surface(z=height, width=width - 0.1, depth=depth - 0.08, headroom=0.4)
    return model(ObjectClass.BOOKSHELF, (width, depth, height), parts, body, surfaces=(surface,))


def _shelf_content(rng: np.random.Generator, width: float, depth: float, z: float, height: float) -> list[Primitive]:
    """A row of books over a part of the shelf, and perhaps a box or vase in the rest."""
    if rng.random() < 0.08:
        return []
    share = float(rng.uniform(0.35, 1.0))
    side = -1 if rng.random() < 0.5 else 1
    length = width * share
    x = side * (width - length) / 2
    parts = [
        box(
            (x, 0.02, z),
            (length, depth - 0.09, height * float(rng.uniform(0.75, 1.0))),
            materials.picture(rng, "books"),
        )
    ]
    rest = width - length
    if rest > 0.16:
        x = -side * (width - rest) / 2
        if rng.random() < 0.5:
            parts.append(box((x, 0.0, z), (rest * 0.7, depth * 0.6, height * 0.6), materials.fabric(rng).material))
        else:
            radius = min(rest, depth) * 0.3
            parts.append(
                ellipsoid((x, -0.02, z), (2 * radius, 2 * radius, height * 0.8), materials.lacquer(rng).material)
            )
    return parts


def wardrobe(rng: np.random.Generator) -> FurnitureModel:
    """A tall wardrobe with doors."""
    body = _cabinet_material(rng)
    width, depth, height = float(rng.uniform(1.0, 1.8)), 0.58, float(rng.uniform(1.85, 2.15))
    doors = materials.picture(rng, "front", color=materials.base_color(body.material))
    parts = [
        box((0, 0.01, 0.06), (width, depth - 0.02, height - 0.06), body.material),
        box((0, -depth / 2 + 0.012, 0.08), (width - 0.02, 0.024, height - 0.1), doors),
        box((0, 0.02, 0), (width - 0.04, depth - 0.08, 0.06), body.material),
        box((0, 0, height), (width + 0.04, depth + 0.02, 0.03), body.material),
    ]
    surface = Surface(z=height + 0.03, width=width - 0.2, depth=depth - 0.2, headroom=0.3)
    return model(ObjectClass.WARDROBE, (width + 0.04, depth + 0.02, height + 0.03), parts, body, surfaces=(surface,))


def chest(rng: np.random.Generator, object_class: ObjectClass) -> FurnitureModel:
    """A dresser, cupboard or nightstand: a body with a front and a top."""
    sizes = {
        ObjectClass.DRESSER: ((0.8, 1.3), 0.45, (0.75, 1.0)),
        ObjectClass.CUPBOARD: ((0.9, 1.6), 0.42, (0.55, 0.9)),
        ObjectClass.NIGHTSTAND: ((0.4, 0.55), 0.4, (0.45, 0.6)),
    }
    (low, high), depth, heights = sizes[object_class]
    width, height = float(rng.uniform(low, high)), float(rng.uniform(*heights))
    body = _cabinet_material(rng)
    drawers = materials.picture(rng, "front", color=materials.base_color(body.material))
    foot = float(rng.uniform(0.05, 0.15))
    parts = [
        box((0, 0.01, foot), (width, depth - 0.02, height - foot - 0.03), body.material),
        box((0, -depth / 2 + 0.01, foot + 0.02), (width - 0.03, 0.02, height - foot - 0.06), drawers),
        box((0, 0, height - 0.03), (width + 0.03, depth + 0.02, 0.03), body.material),
        *legs(width - 0.04, depth - 0.06, foot, 0.05, materials.wood(rng).material),
    ]
    surface = Surface(z=height, width=width - 0.1, depth=depth - 0.1)
    return model(object_class, (width + 0.03, depth + 0.02, height), parts, body, surfaces=(surface,))


def kitchen_counter(rng: np.random.Generator, width: float, *, is_tall: bool = True) -> FurnitureModel:
    """A run of base cabinets with sink, hob, oven, splashback and wall cabinets above."""
    fronts, top = _cabinet_material(rng), materials.stone(rng)
    depth, count = 0.6, max(2, round(width / 0.6))
    unit = width / count
    parts = [
        box((0, 0.02, 0.1), (width, depth - 0.04, 0.76), fronts.material),
        box((0, 0.05, 0), (width, depth - 0.12, 0.1), materials.solid((0.15, 0.15, 0.15))),
        box((0, 0, 0.86), (width + 0.02, depth + 0.02, 0.04), top.material),
    ]
    steel = materials.metal(rng).material
    oven, sink = (int(k) for k in rng.choice(count, 2, replace=False))
    for i in range(count):
        x = (i + 0.5) * unit - width / 2
        color = (0.12, 0.12, 0.13) if i == oven else materials.base_color(fronts.material)
        parts.append(
            box((x, -depth / 2 + 0.01, 0.12), (unit - 0.012, 0.02, 0.72), materials.picture(rng, "front", color=color))
        )
    x_oven, x_sink = ((i + 0.5) * unit - width / 2 for i in (oven, sink))
    parts.append(box((x_oven, 0, 0.9), (0.52, 0.48, 0.008), materials.solid((0.06, 0.06, 0.07), gloss=0.8)))
    parts += [
        cylinder((x_oven + dx, dy, 0.908), 0.08, 0.003, materials.solid((0.3, 0.12, 0.1)))
        for dx in (-0.12, 0.12)
        for dy in (-0.1, 0.12)
    ]
    parts.append(box((x_sink, -0.02, 0.895), (0.45, 0.38, 0.012), steel))
    parts.append(box((x_sink, 0.0, 0.9), (0.36, 0.3, 0.009), materials.solid((0.25, 0.25, 0.26), gloss=0.5)))
    parts += [cylinder((x_sink, 0.2, 0.9), 0.015, 0.24, steel), box((x_sink, 0.13, 1.13), (0.025, 0.16, 0.02), steel)]
    if is_tall:
        parts += _wall_cabinets(rng, fronts, width, unit, depth)
    surface = Surface(z=0.9, width=width - 0.2, depth=0.3, y=0.1, headroom=0.45)
    return model(
        ObjectClass.KITCHEN_COUNTER,
        (width + 0.02, depth + 0.02, 2.1 if is_tall else 1.14),
        parts,
        fronts,
        surfaces=(surface,),
    )


def _wall_cabinets(
    rng: np.random.Generator, fronts: NamedMaterial, width: float, unit: float, depth: float
) -> list[Primitive]:
    """Splashback and a row of cabinets above, with a unit or two left out for a hood."""
    back = materials.wall_material(rng, ("tiles", "tiles", "brick", "marble"))
    parts = [box((0, depth / 2 - 0.006, 0.9), (width, 0.012, 0.5), back)]
    count = max(2, round(width / unit))
    gap = int(rng.integers(count))
    for i in range(count):
        x = (i + 0.5) * unit - width / 2
        if i == gap:
            parts.append(box((x, depth / 2 - 0.16, 1.5), (unit * 0.8, 0.3, 0.12), materials.metal(rng).material))
            parts.append(box((x, depth / 2 - 0.12, 1.62), (0.22, 0.22, 0.48), materials.metal(rng).material))
            continue
        parts.append(box((x, depth / 2 - 0.17, 1.42), (unit - 0.01, 0.34, 0.68), fronts.material))
        front = materials.picture(rng, "front", color=materials.base_color(fronts.material))
        parts.append(box((x, depth / 2 - 0.345, 1.43), (unit - 0.02, 0.018, 0.66), front))
    return parts


def fridge(rng: np.random.Generator) -> FurnitureModel:
    """A fridge with two doors and notes held by magnets."""
    body = materials.lacquer(rng, ("white", "white", "grey", "black", "red", "turquoise"))
    height = float(rng.uniform(1.5, 1.95))
    split = height * float(rng.uniform(0.3, 0.45))
    steel = materials.metal(rng).material
    parts = [
        box((0, 0.02, 0.02), (0.6, 0.6, height - 0.02), body.material),
        box((0, -0.3, 0.04), (0.59, 0.05, split - 0.05), body.material),
        box((0, -0.3, split), (0.59, 0.05, height - split - 0.01), body.material),
        box((0.24, -0.335, split + 0.1), (0.025, 0.025, 0.35), steel),
        box((0.24, -0.335, split - 0.35), (0.025, 0.025, 0.25), steel),
    ]
    for _ in range(int(rng.integers(0, 5))):
        x, z = float(rng.uniform(-0.2, 0.15)), float(rng.uniform(split + 0.1, height - 0.3))
        parts.append(
            box(
                (x, -0.327, z),
                (0.12, 0.006, 0.15),
                materials.picture(rng, str(rng.choice(["photo", "poster", "page"]))),
            )
        )
    return model(
        ObjectClass.FRIDGE,
        (0.6, 0.68, height),
        parts,
        body,
        surfaces=(Surface(z=height, width=0.4, depth=0.4, headroom=0.4),),
    )


def toilet(rng: np.random.Generator) -> FurnitureModel:
    """A toilet with cistern."""
    white = materials.ceramic(rng)
    lid = white if rng.random() < 0.6 else materials.lacquer(rng)
    parts = [
        cylinder((0, -0.08, 0), 0.13, 0.36, white.material),
        ellipsoid((0, -0.1, 0.2), (0.38, 0.5, 0.36), white.material),
        box((0, -0.06, 0.36), (0.36, 0.42, 0.05), lid.material),
        box((0, 0.24, 0.36), (0.4, 0.16, 0.4), white.material),
        box((0, 0.26, 0), (0.24, 0.12, 0.36), white.material),
    ]
    return model(
        ObjectClass.TOILET, (0.42, 0.7, 0.78), parts, white, surfaces=(Surface(z=0.76, width=0.3, depth=0.12, y=0.24),)
    )


def bathtub(rng: np.random.Generator) -> FurnitureModel:
    """A built-in tub: a bottom, four walls with a rim, a skirt in front, a tap."""
    white, length, width, rim = materials.ceramic(rng), float(rng.uniform(1.5, 1.75)), 0.72, 0.07
    skirt = materials.wall_material(rng, ("tiles", "marble"))
    x, y = (length - rim) / 2, (width - rim) / 2
    parts = [
        box((0, 0, 0), (length - 0.02, width - 0.02, 0.16), white.material),
        box((0, -y, 0), (length, rim, 0.53), skirt),
        box((0, y, 0.1), (length, rim, 0.43), white.material),
        cylinder((length / 2 - 0.12, y - 0.1, 0.16), 0.02, 0.55, materials.metal(rng).material),
    ]
    parts += [box((0, sign * y, 0.53), (length + 0.01, rim + 0.01, 0.03), white.material) for sign in (-1, 1)]
    parts += [box((sign * x, 0, 0.1), (rim, width - 0.01, 0.46), white.material) for sign in (-1, 1)]
    return model(ObjectClass.BATHTUB, (length + 0.01, width + 0.01, 0.71), parts, white)


def washbasin(rng: np.random.Generator) -> FurnitureModel:
    """A basin on a cabinet, with a mirror cabinet above."""
    white, body = materials.ceramic(rng), _cabinet_material(rng)
    width = float(rng.uniform(0.55, 1.0))
    steel = materials.metal(rng).material
    parts = [
        box(
            (0, 0.02, 0.15),
            (width - 0.04, 0.42, 0.6),
            materials.picture(rng, "front", color=materials.base_color(body.material)),
        ),
        box((0, 0.02, 0), (width - 0.12, 0.34, 0.15), materials.solid((0.2, 0.2, 0.2))),
        box((0, 0, 0.75), (width, 0.5, 0.1), white.material),
        ellipsoid((0, -0.04, 0.83), (width * 0.6, 0.34, 0.03), materials.solid((0.75, 0.76, 0.78), gloss=0.6)),
        cylinder((0, 0.17, 0.85), 0.016, 0.14, steel),
        box((0, 0.11, 0.98), (0.02, 0.12, 0.02), steel),
    ]
    surface = Surface(z=0.85, width=width - 0.1, depth=0.1, y=0.16, headroom=0.3)
    return model(ObjectClass.SINK, (width, 0.5, 1.0), parts, body, surfaces=(surface,))


def shower(rng: np.random.Generator) -> FurnitureModel:
    """A corner shower: tray, tiled back, pole with head, and a curtain on one side."""
    white, steel = materials.ceramic(rng), materials.metal(rng).material
    cloth = materials.fabric(rng)
    parts = [
        box((0, 0, 0), (0.85, 0.85, 0.12), white.material),
        cylinder((0, 0.37, 0.9), 0.015, 1.15, steel),
        cylinder((0, 0.28, 2.0), 0.1, 0.03, steel),
        box((0.415, 0.1, 0.14), (0.02, 0.6, 1.8), cloth.material),
    ]
    return model(ObjectClass.SHOWER, (0.87, 0.87, 2.06), parts, cloth)


def washing_machine(rng: np.random.Generator) -> FurnitureModel:
    """A front loader."""
    white = materials.ceramic(rng)
    dark, panel = materials.solid((0.1, 0.1, 0.12), gloss=0.7), materials.picture(rng, "screen")
    parts = [
        box((0, 0.01, 0), (0.6, 0.56, 0.85), white.material),
        ellipsoid((0, -0.28, 0.22), (0.4, 0.05, 0.4), materials.metal(rng).material),
        ellipsoid((0, -0.29, 0.27), (0.3, 0.07, 0.3), dark),
        box((0.1, -0.275, 0.72), (0.34, 0.012, 0.1), panel),
    ]
    surface = Surface(z=0.85, width=0.5, depth=0.45)
    return model(ObjectClass.WASHING_MACHINE, (0.6, 0.6, 0.85), parts, white, surfaces=(surface,))


def shoe_rack(rng: np.random.Generator) -> FurnitureModel:
    """A low rack with pairs of shoes."""
    named, width = materials.wood(rng), float(rng.uniform(0.6, 1.0))
    parts = [box((0, 0, z), (width, 0.28, 0.02), named.material) for z in (0.12, 0.32, 0.5)]
    parts += legs(width, 0.28, 0.52, 0.03, named.material)
    for z in (0.14, 0.34):
        for i in range(int(rng.integers(2, max(3, int(width / 0.22) + 1)))):
            shoe = materials.lacquer(rng).material
            x = -width / 2 + 0.12 + 0.22 * i
            if x < width / 2 - 0.1:
                parts += [ellipsoid((x + dx, 0.0, z), (0.085, 0.26, 0.1), shoe) for dx in (-0.05, 0.05)]
    surface = Surface(z=0.52, width=width - 0.1, depth=0.2)
    return model(ObjectClass.SHOE_RACK, (width, 0.3, 0.52), parts, named, surfaces=(surface,))


def _cabinet_material(rng: np.random.Generator) -> NamedMaterial:
    """Wood or paint."""
    if rng.random() < 0.5:
        return materials.wood(rng)
    return materials.lacquer(
        rng, ("white", "white", "grey", "dark grey", "black", "beige", "blue", "green", "light blue", "red")
    )
