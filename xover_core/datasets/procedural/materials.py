# SPDX-License-Identifier: Apache-2.0
"""Which materials things are made of: named colours and the materials that furniture and surfaces draw from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.scene import Color, Material, Texture

COLORS: dict[str, Color] = {
    "red": (0.68, 0.13, 0.12),
    "orange": (0.85, 0.45, 0.12),
    "yellow": (0.88, 0.74, 0.25),
    "green": (0.25, 0.5, 0.24),
    "turquoise": (0.2, 0.58, 0.58),
    "blue": (0.16, 0.3, 0.62),
    "light blue": (0.52, 0.68, 0.82),
    "purple": (0.42, 0.25, 0.52),
    "pink": (0.84, 0.55, 0.6),
    "brown": (0.42, 0.27, 0.16),
    "beige": (0.78, 0.69, 0.55),
    "white": (0.9, 0.9, 0.88),
    "grey": (0.52, 0.52, 0.52),
    "dark grey": (0.27, 0.28, 0.3),
    "black": (0.1, 0.1, 0.11),
}

_WOODS: tuple[tuple[str, Color], ...] = (
    ("light wooden", (0.86, 0.7, 0.48)),
    ("wooden", (0.68, 0.47, 0.28)),
    ("wooden", (0.58, 0.36, 0.2)),
    ("dark wooden", (0.36, 0.23, 0.15)),
    ("reddish wooden", (0.55, 0.26, 0.15)),
    ("grey wooden", (0.55, 0.51, 0.46)),
)

WALL_COLORS: tuple[Color, ...] = (
    (0.9, 0.89, 0.86), (0.86, 0.83, 0.76), (0.72, 0.74, 0.75), (0.78, 0.82, 0.74), (0.66, 0.75, 0.8),
    (0.84, 0.74, 0.64), (0.82, 0.78, 0.6), (0.52, 0.56, 0.6), (0.72, 0.52, 0.45), (0.42, 0.5, 0.46),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMaterial:
    """A material with the words for it."""

    material: Material
    color_name: str = ""


_GREY = 0.8
_NUM_WOODS = 24


def draw_seed(rng: np.random.Generator) -> int:
    """A fresh texture seed."""
    return int(rng.integers(1, 2**31))


def vary(rng: np.random.Generator, color: Color, spread: float = 0.05) -> Color:
    """A colour close to the given one."""
    r, g, b = np.clip(np.asarray(color) * (1 + rng.normal(0, spread)) + rng.normal(0, spread * 0.4, 3), 0.03, 0.97)
    return float(r), float(g), float(b)


def tinted(
    kind: str, seed: int, color: Color, tile: tuple[float, float] | None, *, gloss: float = 0.0, mottle: float = 0.15,
    emission: float = 0.0, name: str = "",
) -> Material:  # fmt: skip
    """A one-coloured pattern: the texture is grey and shared, the colour is in the tint."""
    texture = Texture(kind=kind, seed=seed, colors=((_GREY, _GREY, _GREY),))
    tint = (color[0] / _GREY, color[1] / _GREY, color[2] / _GREY)
    return Material(texture=texture, tile=tile, tint=tint, gloss=gloss, mottle=mottle, emission=emission, name=name)


def base_color(material: Material) -> Color:
    """The main colour of a material."""
    (r, g, b), tint = material.texture.colors[0], material.tint
    return min(r * tint[0], 1.0), min(g * tint[1], 1.0), min(b * tint[2], 1.0)


def wood(rng: np.random.Generator) -> NamedMaterial:
    """Furniture wood."""
    name, color = _WOODS[int(rng.integers(len(_WOODS)))]
    size = float(rng.uniform(0.6, 1.2))
    tile = (1.6 * size, 0.7 * size)
    seed = int(rng.integers(_NUM_WOODS))
    return NamedMaterial(material=tinted("wood", seed, vary(rng, color), tile, gloss=0.15, name=name))


def lacquer(rng: np.random.Generator, names: tuple[str, ...] = ()) -> NamedMaterial:
    """Painted wood or plastic in a named colour."""
    name, color = draw_color(rng, names)
    return NamedMaterial(material=tinted("plain", int(rng.integers(4)), color, (1.0, 1.0), gloss=0.25), color_name=name)


def fabric(rng: np.random.Generator, names: tuple[str, ...] = ()) -> NamedMaterial:
    """Upholstery or bed linen in a named colour, plain, striped or printed."""
    name, color = draw_color(rng, names)
    kind = str(rng.choice(["weave", "carpet", "stripes", "motif", "tiles"], p=[0.5, 0.14, 0.16, 0.16, 0.04]))
    size = float(rng.uniform(0.35, 0.6) if kind in ("weave", "carpet") else rng.uniform(0.5, 1.1))
    if kind in ("weave", "carpet"):
        material = tinted(kind, int(rng.integers(_NUM_WOODS)), color, (size, size))
        return NamedMaterial(material=material, color_name=name)
    texture = Texture(kind=kind, seed=draw_seed(rng), colors=(color, vary(rng, draw_color(rng, ())[1])))
    adjective = {"stripes": "striped", "motif": "patterned", "tiles": "checked"}.get(kind, "")
    return NamedMaterial(material=Material(texture=texture, tile=(size, size), name=adjective), color_name=name)


def metal(rng: np.random.Generator) -> NamedMaterial:
    """Steel, brass or black legs and frames."""
    color: Color = ((0.7, 0.7, 0.72), (0.62, 0.52, 0.3), (0.12, 0.12, 0.13))[int(rng.integers(3))]
    return NamedMaterial(material=tinted("metal", int(rng.integers(3)), color, (0.5, 0.5), gloss=0.6, name="metal"))


def ceramic(rng: np.random.Generator) -> NamedMaterial:
    """White sanitary ware."""
    material = tinted("plain", int(rng.integers(4)), (0.93, 0.93, 0.92), (1.0, 1.0), gloss=0.7, mottle=0.05)
    return NamedMaterial(material=material, color_name="white")


def stone(rng: np.random.Generator) -> NamedMaterial:
    """Counter tops: granite, marble or wood."""
    if rng.random() < 0.3:
        return wood(rng)
    kind = str(rng.choice(["granite", "marble"]))
    color: Color = ((0.85, 0.84, 0.82), (0.3, 0.3, 0.32), (0.6, 0.5, 0.42), (0.18, 0.18, 0.2))[int(rng.integers(4))]
    texture = Texture(kind=kind, seed=draw_seed(rng), colors=(color,))
    return NamedMaterial(material=Material(texture=texture, tile=(0.7, 0.7), gloss=0.5, name=kind))


def picture(rng: np.random.Generator, kind: str, *, emission: float = 0.0, color: Color | None = None) -> Material:
    """An image stretched over each face."""
    colors = (color or draw_color(rng, ())[1],)
    texture = Texture(kind=kind, seed=draw_seed(rng), colors=colors)
    return Material(texture=texture, tile=None, emission=emission, mottle=0.03, gloss=0.2 if emission else 0.0)


def solid(color: Color, *, gloss: float = 0.1, emission: float = 0.0) -> Material:
    """One colour, hardly textured; for small parts."""
    return tinted("plain", 0, color, (1.0, 1.0), gloss=gloss, emission=emission)


def draw_color(rng: np.random.Generator, names: tuple[str, ...]) -> tuple[str, Color]:
    """A named colour among `names`, or among all when empty; its RGB varies a little."""
    choice = names or tuple(COLORS)
    name = choice[int(rng.integers(len(choice)))]
    return name, vary(rng, COLORS[name])


def floor_material(rng: np.random.Generator, kinds: tuple[str, ...]) -> Material:
    """A floor covering of one of the given kinds."""
    kind = str(rng.choice(kinds))
    if kind in ("planks", "parquet"):
        name, color = _WOODS[int(rng.integers(len(_WOODS)))]
        texture = Texture(kind=kind, seed=draw_seed(rng), colors=(vary(rng, color, 0.08),))
        tile = (float(rng.uniform(1.8, 2.8)), float(rng.uniform(0.8, 1.2))) if kind == "planks" else (1.2, 1.2)
        return Material(texture=texture, tile=tile, gloss=0.25, mottle=0.3, name=name)
    names = ("blue", "grey", "beige", "green", "red", "dark grey", "brown") if kind == "carpet" else ()
    first = draw_color(rng, names or ("white", "grey", "beige", "brown", "dark grey"))[1]
    second = draw_color(rng, ("dark grey", "black", "brown", "blue", "green"))[1]
    colors = (first,) if kind in ("carpet", "marble") else (first, second)
    size = {"carpet": 0.6, "marble": 2.0}.get(kind, float(rng.uniform(1.2, 2.2)))
    texture = Texture(kind=kind, seed=draw_seed(rng), colors=colors)
    return Material(texture=texture, tile=(size, size), gloss=0.0 if kind == "carpet" else 0.35, mottle=0.3)


def wall_material(rng: np.random.Generator, kinds: tuple[str, ...]) -> Material:
    """A wall finish of one of the given kinds."""
    kind = str(rng.choice(kinds))
    color = vary(rng, WALL_COLORS[int(rng.integers(len(WALL_COLORS)))], 0.04)
    second = vary(rng, WALL_COLORS[int(rng.integers(len(WALL_COLORS)))], 0.1)
    if kind == "wood":
        return wood(rng).material
    if kind == "brick":
        color = vary(rng, ((0.6, 0.32, 0.24), (0.75, 0.7, 0.64), (0.5, 0.4, 0.34))[int(rng.integers(3))])
    size = {"plaster": 1.6, "brick": 1.0, "stripes": 0.9, "motif": 0.8}.get(kind, 1.0)
    texture = Texture(kind=kind, seed=draw_seed(rng), colors=(color, second))
    return Material(texture=texture, tile=(size, size), mottle=0.3 if kind == "plaster" else 0.2)
