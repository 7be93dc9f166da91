# SPDX-License-Identifier: Apache-2.0
"""Small things: what stands on furniture, lies on the floor, fills shelves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xover_core.datasets.procedural import materials
from xover_core.datasets.procedural.furniture_decor import display, plant, table_lamp
from xover_core.datasets.procedural.furniture_model import FurnitureModel, box, cylinder, ellipsoid, model
from xover_core.datasets.procedural.scene import ObjectClass, Primitive, Vector


def floor_box(rng: np.random.Generator) -> FurnitureModel:
    """A cardboard box, basket or bin on the floor."""
    choice = rng.random()
    width, depth, height = (float(s) for s in rng.uniform(0.28, 0.5, 3))
    if choice < 0.4:
        cardboard = materials.picture(rng, "parcel", color=materials.vary(rng, (0.68, 0.5, 0.32)))
        return model(ObjectClass.BOX, (width, depth, height), [box((0, 0, 0), (width, depth, height), cardboard)])
    if choice < 0.75:
        cane = materials.tinted(
            "wicker", int(rng.integers(8)), materials.vary(rng, (0.66, 0.48, 0.28), 0.1), (0.4, 0.4)
        )
        parts = [cylinder((0, 0, 0), width / 2, height, cane)]
        parts.append(ellipsoid((0, 0, height - 0.08), (width * 0.9, width * 0.9, 0.16), materials.fabric(rng).material))
        return model(ObjectClass.BASKET, (width, width, height + 0.08), parts)
    named = materials.lacquer(rng)
    return model(ObjectClass.BIN, (0.3, 0.3, height), [cylinder((0, 0, 0), 0.14, height, named.material)], named)


def toy(rng: np.random.Generator) -> FurnitureModel:
    """A ball, a stack of blocks, or a bear."""
    kind = int(rng.integers(3))
    if kind == 0:
        named, size = materials.fabric(rng), float(rng.uniform(0.18, 0.35))
        return model(
            ObjectClass.TOY, (size, size, size), [ellipsoid((0, 0, 0), (size, size, size), named.material)], named
        )
    if kind == 1:
        spots = ((0.0, 0.0, 0.0), (0.13, 0.05, 0.0), (0.05, -0.12, 0.0), (0.05, 0.0, 0.12), (0.04, 0.01, 0.24))
        parts = [
            box(at, (0.12, 0.12, 0.12), materials.lacquer(rng).material, (0.0, 0.0, float(rng.uniform(0, 1))))
            for at in spots
        ]
        return model(ObjectClass.TOY, (0.4, 0.4, 0.36), parts)
    fur = materials.fabric(rng, ("brown", "beige", "pink", "grey", "light blue"))
    blobs: tuple[tuple[Vector, Vector], ...] = (
        ((0, 0, 0), (0.26, 0.22, 0.3)),
        ((0, -0.02, 0.26), (0.2, 0.19, 0.2)),
        ((-0.08, 0, 0.42), (0.07, 0.04, 0.07)),
        ((0.08, 0, 0.42), (0.07, 0.04, 0.07)),
        ((-0.1, -0.14, 0), (0.1, 0.24, 0.1)),
        ((0.1, -0.14, 0), (0.1, 0.24, 0.1)),
    )
    return model(ObjectClass.TOY, (0.36, 0.4, 0.5), [ellipsoid(at, size, fur.material) for at, size in blobs], fur)


def vase(rng: np.random.Generator) -> FurnitureModel:
    """A vase with or without flowers."""
    named, height = materials.lacquer(rng), float(rng.uniform(0.15, 0.3))
    parts: list[Primitive] = [
        ellipsoid((0, 0, 0), (0.14, 0.14, height), named.material),
        cylinder((0, 0, height * 0.8), 0.03, height * 0.3, named.material),
    ]
    if rng.random() < 0.6:
        for i in range(5):
            x, y = 0.06 * float(np.cos(1.3 * i)), 0.06 * float(np.sin(1.3 * i))
            parts.append(cylinder((x * 0.5, y * 0.5, height), 0.006, 0.15, materials.solid((0.2, 0.4, 0.15))))
            parts.append(ellipsoid((x, y, height + 0.12), (0.07, 0.07, 0.06), materials.lacquer(rng).material))
    return model(ObjectClass.VASE, (0.16, 0.16, height + 0.18), parts, named)


def book_pile(rng: np.random.Generator) -> FurnitureModel:
    """A pile of books and magazines."""
    parts = []
    z = 0.0
    for _ in range(int(rng.integers(1, 6))):
        thickness = float(rng.uniform(0.012, 0.045))
        cover = materials.picture(rng, str(rng.choice(["poster", "photo", "page", "painting"])))
        size = (float(rng.uniform(0.14, 0.24)), float(rng.uniform(0.18, 0.3)), thickness)
        parts.append(box((0, 0, z), size, cover, (0.0, 0.0, float(rng.uniform(-0.4, 0.4)))))
        z += thickness
    return model(ObjectClass.BOOKS, (0.28, 0.32, z), parts)


def laptop(rng: np.random.Generator) -> FurnitureModel:
    """An open laptop."""
    grey = materials.lacquer(rng, ("grey", "black", "white"))
    parts = [
        box((0, -0.02, 0), (0.34, 0.24, 0.018), grey.material),
        box((0, -0.02, 0.018), (0.3, 0.13, 0.002), materials.picture(rng, "keyboard", color=(0.15, 0.15, 0.16))),
        box((0, 0.13, 0.01), (0.34, 0.012, 0.23), grey.material, (-0.25, 0.0, 0.0)),
        box((0, 0.122, 0.02), (0.32, 0.006, 0.2), display(rng), (-0.25, 0.0, 0.0)),
    ]
    return model(ObjectClass.LAPTOP, (0.34, 0.32, 0.24), parts, grey)


def monitor(rng: np.random.Generator) -> FurnitureModel:
    """A monitor with a keyboard before it."""
    black, width = materials.solid((0.07, 0.07, 0.08), gloss=0.4), float(rng.uniform(0.5, 0.7))
    parts = [
        box((0, 0.1, 0), (0.24, 0.16, 0.015), black),
        box((0, 0.12, 0.01), (0.05, 0.04, 0.14), black),
        box((0, 0.1, 0.12), (width, 0.04, width * 0.58), black),
        box((0, 0.078, 0.135), (width - 0.03, 0.006, width * 0.58 - 0.03), display(rng)),
        box((0, -0.13, 0), (0.42, 0.14, 0.018), materials.picture(rng, "keyboard", color=(0.75, 0.75, 0.74))),
    ]
    return model(ObjectClass.MONITOR, (width, 0.42, 0.12 + width * 0.58), parts)


def cup(rng: np.random.Generator) -> FurnitureModel:
    """A mug."""
    named = materials.lacquer(rng)
    return model(ObjectClass.CUP, (0.1, 0.1, 0.1), [cylinder((0, 0, 0), 0.04, 0.1, named.material)], named)


def bottle(rng: np.random.Generator) -> FurnitureModel:
    """A bottle with a label."""
    named, label = (
        materials.lacquer(rng, ("green", "brown", "black", "white", "blue")),
        materials.picture(rng, "poster"),
    )
    parts = [
        cylinder((0, 0, 0), 0.036, 0.2, named.material),
        cylinder((0, 0, 0.05), 0.0375, 0.1, label),
        cylinder((0, 0, 0.2), 0.014, 0.09, named.material),
    ]
    return model(ObjectClass.BOTTLE, (0.08, 0.08, 0.29), parts, named)


def bowl(rng: np.random.Generator) -> FurnitureModel:
    """A bowl of fruit."""
    named = materials.lacquer(rng) if rng.random() < 0.5 else materials.wood(rng)
    parts = [cylinder((0, 0, 0), 0.13, 0.05, named.material)]
    for i in range(6):
        radius = 0.0 if i == 5 else 0.075
        fruit = materials.lacquer(rng, ("red", "yellow", "green", "orange"))
        at = (radius * float(np.cos(1.26 * i)), radius * float(np.sin(1.26 * i)), 0.07 if i == 5 else 0.03)
        parts.append(ellipsoid(at, (0.08, 0.08, 0.075), fruit.material))
    return model(ObjectClass.BOWL, (0.26, 0.26, 0.15), parts, named)


def microwave(rng: np.random.Generator) -> FurnitureModel:
    """A microwave oven."""
    body = materials.lacquer(rng, ("white", "grey", "black", "red"))
    parts = [
        box((0, 0, 0), (0.46, 0.34, 0.27), body.material),
        box((-0.06, -0.172, 0.03), (0.3, 0.006, 0.21), materials.solid((0.07, 0.07, 0.08), gloss=0.7)),
        box((0.17, -0.172, 0.03), (0.08, 0.006, 0.21), materials.picture(rng, "page")),
    ]
    return model(ObjectClass.MICROWAVE, (0.46, 0.35, 0.27), parts, body)


def _small_plant(rng: np.random.Generator) -> FurnitureModel:
    return plant(rng, is_small=True)


def _small_box(rng: np.random.Generator) -> FurnitureModel:
    """A packet with a print."""
    size = tuple(float(s) for s in rng.uniform(0.08, 0.22, 3))
    parts = [
        box(
            (0, 0, 0),
            (size[0], size[1], size[2]),
            materials.picture(rng, str(rng.choice(["poster", "parcel", "photo"]))),
        )
    ]
    return model(ObjectClass.BOX, (size[0], size[1], size[2]), parts)


SMALL_THINGS: dict[str, tuple[Callable[[np.random.Generator], FurnitureModel], ...]] = {
    "living": (vase, book_pile, _small_plant, table_lamp, bowl, cup, _small_box, laptop),
    "kitchen": (bottle, cup, bowl, _small_box, microwave, _small_plant, bottle, vase),
    "desk": (monitor, laptop, book_pile, cup, table_lamp, _small_box, _small_plant),
    "night": (table_lamp, book_pile, cup, _small_plant, vase),
    "bath": (bottle, bottle, cup, _small_box, _small_plant),
    "high": (_small_box, vase, _small_plant, book_pile),
}
