# SPDX-License-Identifier: Apache-2.0
"""Beds, sofas, chairs and tables."""

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
from xover_core.datasets.procedural.scene import ObjectClass, Primitive


def bed(rng: np.random.Generator, *, is_single: bool = False) -> FurnitureModel:
    """A bed with its head at the back."""
    width = float(rng.uniform(0.9, 1.05) if is_single else rng.uniform(1.4, 1.8))
    length, height = 2.05, float(rng.uniform(0.42, 0.55))
    frame = materials.wood(rng).material if rng.random() < 0.6 else materials.fabric(rng).material
    sheet, blanket = materials.fabric(rng, ("white", "beige", "grey", "light blue")), materials.fabric(rng)
    head = float(rng.uniform(0.8, 1.15))
    blanket_length = float(rng.uniform(1.0, 1.5))
    parts = [
        box((0, 0, 0.08), (width, length, height - 0.28), frame),
        box((0, length / 2 - 0.04, 0), (width + 0.04, 0.08, head), frame),
        box((0, -0.03, height - 0.2), (width - 0.06, length - 0.1, 0.18), sheet.material),
        box(
            (0, -length / 2 + blanket_length / 2, height - 0.17), (width + 0.04, blanket_length, 0.2), blanket.material
        ),
        *legs(width, length, 0.08, 0.08, frame),
    ]
    count = 1 if is_single else 2
    for i in range(count):
        x = 0.0 if is_single else (i - 0.5) * width / 2
        parts.append(ellipsoid((x, length / 2 - 0.35, height - 0.05), (0.58, 0.4, 0.18), sheet.material))
    return model(ObjectClass.BED, (width + 0.04, length, head), parts, blanket)


def sofa(rng: np.random.Generator, *, is_armchair: bool = False) -> FurnitureModel:
    """A sofa or armchair with arms, seat and back cushions."""
    width = float(rng.uniform(0.75, 0.95) if is_armchair else rng.uniform(1.5, 2.3))
    depth, seat, back, arm = (
        0.88,
        float(rng.uniform(0.38, 0.45)),
        float(rng.uniform(0.72, 0.92)),
        float(rng.uniform(0.1, 0.22)),
    )
    cloth = materials.fabric(rng)
    inner = width - 2 * arm
    parts = [
        box((0, 0, 0.06), (width - 0.02, depth - 0.02, seat - 0.2), cloth.material),
        box((0, depth / 2 - 0.1, 0.1), (width, 0.2, back - 0.1), cloth.material),
        box((-(width - arm) / 2, 0, 0.06), (arm, depth, seat + 0.1), cloth.material),
        box(((width - arm) / 2, 0, 0.06), (arm, depth, seat + 0.1), cloth.material),
        *legs(width - 0.1, depth - 0.1, 0.06, 0.06, materials.wood(rng).material),
    ]
    count = 1 if is_armchair else int(rng.integers(2, 4))
    for i in range(count):
        x = (i - (count - 1) / 2) * inner / count
        parts.append(box((x, -0.1, seat - 0.14), (inner / count - 0.015, depth - 0.22, 0.15), cloth.material))
        tilted = (float(rng.uniform(0.1, 0.2)), 0.0, 0.0)
        parts.append(
            box((x, depth / 2 - 0.26, seat), (inner / count - 0.03, 0.14, back - seat - 0.02), cloth.material, tilted)
        )
    if not is_armchair or rng.random() < 0.5:
        parts += _cushions(rng, inner, seat, depth)
    kind = ObjectClass.ARMCHAIR if is_armchair else ObjectClass.SOFA
    return model(kind, (width, depth, back), parts, cloth)


def _cushions(rng: np.random.Generator, inner: float, seat: float, depth: float) -> list[Primitive]:
    """One to three scatter cushions that lean against the back."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        x = float(rng.uniform(-0.4, 0.4)) * inner
        rpy = (float(rng.uniform(0.2, 0.5)), float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.4, 0.4)))
        parts.append(ellipsoid((x, depth / 2 - 0.4, seat), (0.42, 0.18, 0.4), materials.fabric(rng).material, rpy))
    return parts


def chair(rng: np.random.Generator) -> FurnitureModel:
    """A dining or kitchen chair; its back is at +y."""
    width, depth, seat, back = 0.44, 0.46, 0.45, float(rng.uniform(0.82, 1.0))
    frame = materials.wood(rng) if rng.random() < 0.6 else materials.lacquer(rng)
    cover = materials.fabric(rng) if rng.random() < 0.5 else frame
    leg = materials.metal(rng).material if rng.random() < 0.3 else frame.material
    parts = [
        box((0, 0, seat - 0.04), (width, depth, 0.05), cover.material),
        *legs(width - 0.03, depth - 0.03, seat - 0.04, 0.035, leg),
    ]
    style = rng.random()
    if style < 0.4:
        parts.append(box((0, depth / 2 - 0.02, seat + 0.1), (width, 0.03, back - seat - 0.1), cover.material))
    else:
        slats = 2 if style < 0.7 else 4
        step = (back - seat) / slats
        parts += [
            box((0, depth / 2 - 0.02, seat + (i + 0.45) * step), (width - 0.06, 0.02, step * 0.5), frame.material)
            for i in range(slats)
        ]
    for sign in (-1, 1):
        parts.append(
            box((sign * (width / 2 - 0.02), depth / 2 - 0.02, seat), (0.035, 0.035, back - seat), frame.material)
        )
    return model(ObjectClass.CHAIR, (width, depth, back), parts, cover)


def office_chair(rng: np.random.Generator) -> FurnitureModel:
    """A swivel chair on a star foot."""
    cloth, leg = (
        materials.fabric(rng, ("black", "dark grey", "blue", "red", "green", "beige")),
        materials.metal(rng).material,
    )
    parts = [
        box((0, -0.02, 0.44), (0.5, 0.48, 0.08), cloth.material),
        box((0, 0.22, 0.6), (0.44, 0.06, 0.5), cloth.material, (-0.12, 0.0, 0.0)),
        cylinder((0, 0, 0.06), 0.03, 0.4, leg),
        box((0, 0.2, 0.45), (0.06, 0.03, 0.25), leg),
    ]
    for i in range(5):
        angle = 2 * np.pi * i / 5 + 0.3
        center = (0.14 * float(np.cos(angle)), 0.14 * float(np.sin(angle)), 0.05)
        parts.append(box((center[0], center[1], 0.035), (0.28, 0.04, 0.03), leg, (0.0, 0.0, angle)))
    return model(ObjectClass.CHAIR, (0.56, 0.56, 1.1), parts, cloth)


def stool(rng: np.random.Generator) -> FurnitureModel:
    """A round stool or pouf."""
    if rng.random() < 0.5:
        cloth = materials.fabric(rng)
        return model(ObjectClass.STOOL, (0.5, 0.5, 0.4), [cylinder((0, 0, 0), 0.25, 0.4, cloth.material)], cloth)
    named = materials.wood(rng)
    parts = [cylinder((0, 0, 0.42), 0.18, 0.04, named.material), *legs(0.26, 0.26, 0.42, 0.03, named.material)]
    return model(ObjectClass.STOOL, (0.36, 0.36, 0.46), parts, named)


def table(rng: np.random.Generator) -> FurnitureModel:
    """A dining table, rectangular or round."""
    top, leg = materials.wood(rng), materials.wood(rng).material
    if rng.random() < 0.3:
        top = materials.lacquer(rng, ("white", "black", "grey", "turquoise"))
    if rng.random() < 0.35:
        radius = float(rng.uniform(0.45, 0.65))
        parts = [
            cylinder((0, 0, 0.71), radius, 0.035, top.material),
            cylinder((0, 0, 0.02), 0.05, 0.69, leg),
            cylinder((0, 0, 0), radius * 0.55, 0.03, leg),
        ]
        side = radius * 1.3
        return model(
            ObjectClass.TABLE,
            (2 * radius, 2 * radius, 0.745),
            parts,
            top,
            surfaces=(Surface(z=0.745, width=side, depth=side),),
        )
    width, depth = float(rng.uniform(1.1, 1.9)), float(rng.uniform(0.75, 0.95))
    parts = [box((0, 0, 0.71), (width, depth, 0.04), top.material), *legs(width - 0.06, depth - 0.06, 0.71, 0.06, leg)]
    if rng.random() < 0.5:
        parts.append(box((0, 0, 0.62), (width - 0.16, depth - 0.16, 0.09), leg))
    surface = Surface(z=0.75, width=width - 0.15, depth=depth - 0.15)
    return model(ObjectClass.TABLE, (width, depth, 0.75), parts, top, surfaces=(surface,))


def coffee_table(rng: np.random.Generator) -> FurnitureModel:
    """A low table, some with a shelf under the top."""
    top = materials.wood(rng) if rng.random() < 0.7 else materials.lacquer(rng, ("white", "black", "grey"))
    width, depth, height = float(rng.uniform(0.7, 1.2)), float(rng.uniform(0.5, 0.7)), float(rng.uniform(0.36, 0.46))
    if rng.random() < 0.3:
        parts = [
            cylinder((0, 0, height - 0.03), width / 2, 0.03, top.material),
            cylinder((0, 0, 0), width / 3, height - 0.03, top.material),
        ]
        return model(
            ObjectClass.COFFEE_TABLE,
            (width, width, height),
            parts,
            top,
            surfaces=(Surface(z=height, width=width * 0.6, depth=width * 0.6),),
        )
    parts = [
        box((0, 0, height - 0.04), (width, depth, 0.04), top.material),
        *legs(width - 0.04, depth - 0.04, height - 0.04, 0.05, top.material),
    ]
    if rng.random() < 0.5:
        parts.append(box((0, 0, 0.14), (width - 0.1, depth - 0.1, 0.02), top.material))
    surface = Surface(z=height, width=width - 0.12, depth=depth - 0.12)
    return model(ObjectClass.COFFEE_TABLE, (width, depth, height), parts, top, surfaces=(surface,))


def desk(rng: np.random.Generator) -> FurnitureModel:
    """A writing desk with drawers on one side."""
    top = materials.wood(rng) if rng.random() < 0.65 else materials.lacquer(rng, ("white", "grey", "black"))
    width, depth = float(rng.uniform(1.1, 1.6)), float(rng.uniform(0.6, 0.75))
    side = -1 if rng.random() < 0.5 else 1
    drawers = materials.picture(rng, "front", color=materials.base_color(top.material))
    parts = [
        box((0, 0, 0.71), (width, depth, 0.035), top.material),
        box((side * (width / 2 - 0.22), 0.02, 0.08), (0.4, depth - 0.08, 0.63), drawers),
        box((-side * (width / 2 - 0.03), 0, 0), (0.05, depth - 0.06, 0.71), top.material),
        box((0, depth / 2 - 0.03, 0.4), (width - 0.1, 0.02, 0.31), top.material),
        box((side * (width / 2 - 0.22), 0.02, 0), (0.36, depth - 0.14, 0.08), materials.metal(rng).material),
    ]
    surface = Surface(z=0.745, width=width - 0.1, depth=depth - 0.1)
    return model(ObjectClass.DESK, (width, depth, 0.745), parts, top, surfaces=(surface,))


def bench_piano(rng: np.random.Generator) -> FurnitureModel:
    """An upright piano."""
    body = materials.lacquer(rng, ("black", "brown", "white"))
    keys = materials.picture(rng, "keyboard", color=(0.95, 0.95, 0.92))
    parts = [
        box((0, 0.12, 0), (1.45, 0.36, 1.2), body.material),
        box((0, -0.16, 0.6), (1.45, 0.28, 0.06), body.material),
        box((0, -0.17, 0.66), (1.25, 0.15, 0.02), keys),
        box((-0.66, -0.2, 0), (0.06, 0.06, 0.6), body.material),
        box((0.66, -0.2, 0), (0.06, 0.06, 0.6), body.material),
        rod((0.0, -0.12, 0.12), 0.012, 0.3, materials.metal(rng).material, (0.0, float(np.pi / 2), 0.0)),
    ]
    return model(
        ObjectClass.PIANO, (1.45, 0.62, 1.2), parts, body, surfaces=(Surface(z=1.2, width=1.3, depth=0.26, y=0.12),)
    )
