# SPDX-License-Identifier: Apache-2.0
"""Patterns that repeat without seams: floors, walls, wood, cloth, stone.

Each takes a random generator and at least one colour, and returns (S, S, 3) float32 in [0, 1], display-referred.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from xover_core.datasets.procedural.scene import Color
from xover_core.types import Float32Array

SIZE = 256
"""Side of every texture in texels."""

Colors = tuple[Color, ...]
Pattern = Callable[[np.random.Generator, Colors], Float32Array]


def fractal(rng: np.random.Generator, power: float, stretch: tuple[float, float] = (1.0, 1.0)) -> Float32Array:
    """(S, S) seamless Gaussian noise with amplitude 1 / f^power, zero mean, unit deviation.

    Args:
        rng: source of randomness.
        power: 0 is white; 1 looks like plaster, 2 like clouds.
        stretch: how much longer features are along (u, v).
    """
    phases = rng.standard_normal((2, SIZE, SIZE // 2 + 1), dtype=np.float32)
    noise = np.fft.irfft2((phases[0] + 1j * phases[1]) * _amplitude(power, stretch), s=(SIZE, SIZE))
    return np.asarray(noise / noise.std(), dtype=np.float32)


@lru_cache(maxsize=64)
def _amplitude(power: float, stretch: tuple[float, float]) -> Float32Array:
    """(S, S / 2 + 1) amplitude 1 / f^power of the spectrum, 0 for the mean."""
    fu = np.fft.rfftfreq(SIZE)[None, :] * SIZE * stretch[0]
    fv = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch[1]
    amplitude = np.maximum(np.hypot(fu, fv), 1.0) ** -power
    amplitude[0, 0] = 0
    return np.asarray(amplitude, dtype=np.float32)


def rgb(color: Color) -> Float32Array:
    """(3,) float32 of a colour."""
    return np.array(color, dtype=np.float32)


def paint(values: Float32Array, low: Color, high: Color) -> Float32Array:
    """(S, S) in [0, 1] to the mixture of two colours."""
    t = np.clip(values, 0, 1)[..., None]
    return np.asarray((1 - t) * rgb(low) + t * rgb(high), dtype=np.float32)


def shade(color: Color, factor: Float32Array) -> Float32Array:
    """A colour times an (S, S) factor."""
    return np.asarray(rgb(color) * factor[..., None], dtype=np.float32)


def second(colors: Colors, factor: float = 0.55) -> Color:
    """The second colour, or a darker first one."""
    r, g, b = colors[0]
    return colors[1] if len(colors) > 1 else (r * factor, g * factor, b * factor)


def grid_uv() -> tuple[Float32Array, Float32Array]:
    """Coordinates u and v of the texel centres in [0, 1), (S, S) each."""
    axis = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    return np.tile(axis, (SIZE, 1)), np.tile(axis[:, None], (1, SIZE))


def plain(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Paint or plastic with a hint of unevenness."""
    return shade(colors[0], 1 + 0.02 * fractal(rng, 1.0) + 0.012 * fractal(rng, 0.2))


def clouds(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Slow unevenness around half of the colour."""
    return shade(colors[0], np.clip(0.5 + 0.16 * fractal(rng, 1.6), 0, 1))


def grain(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Fine unevenness around half of the colour."""
    return shade(colors[0], np.clip(0.5 + 0.16 * fractal(rng, 0.7), 0, 1))


def plaster(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Rough painted wall with roller marks and a few specks."""
    rough = 0.03 * fractal(rng, 0.6) + 0.03 * fractal(rng, 1.4, (1.0, 0.4))
    specks = cv2.GaussianBlur((rng.random((SIZE, SIZE)) > 0.9994).astype(np.float32), (0, 0), 1.0)
    return shade(colors[0], 1 + rough - 1.5 * specks)


def wood(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A board with grain along u: rings bent by noise, pores, now and then a knot."""
    u, v = grid_uv()
    bend = fractal(rng, 1.8, (5.0, 1.0))
    rings = v * rng.integers(3, 9) + 0.5 * bend
    for _ in range(int(rng.integers(0, 3))):
        ku, kv = rng.random(2)
        distance = np.hypot((u - ku + 0.5) % 1 - 0.5, 2.5 * ((v - kv + 0.5) % 1 - 0.5))
        rings = rings + 1.8 * np.exp(-distance * 14)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * rings)
    pores = fractal(rng, 0.4, (14.0, 1.0))
    return paint(0.75 * grain + 0.14 * pores + 0.1 * bend, second(colors, 0.72), colors[0])


def planks(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Floor boards along u with ends at random places, each of its own shade and grain."""
    rows = int(rng.integers(5, 9))
    u, v = grid_uv()
    row = np.floor(v * rows).astype(np.intp)
    starts = rng.random(rows).astype(np.float32)
    per_row = int(rng.integers(1, 3))
    along = (u + starts[row]) * per_row
    board = row * per_row + np.floor(along).astype(np.intp) % per_row
    tone = rng.normal(0, 0.16, rows * per_row).astype(np.float32)[board]
    streaks = fractal(rng, 1.0, (12.0, 1.0)) + 0.6 * fractal(rng, 1.6, (4.0, 1.0))
    body = paint(0.55 + tone + 0.2 * streaks, second(colors, 0.5), colors[0])
    edge = np.minimum(np.abs(v * rows - np.rint(v * rows)) / rows, np.abs(along - np.rint(along)) / per_row)
    return np.asarray(body * (0.45 + 0.55 * np.clip(edge * SIZE / 1.6, 0, 1))[..., None], dtype=np.float32)


def parquet(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Basket-weave squares of four staves each."""
    count = int(rng.choice([4, 6]))
    u, v = grid_uv()
    cu, cv = np.floor(u * count).astype(np.intp), np.floor(v * count).astype(np.intp)
    is_turned = (cu + cv) % 2 == 1
    across = np.where(is_turned, u, v) * count * 4
    stave = (np.floor(across).astype(np.intp) + 4 * count * (cu * count + cv)) % 997
    tone = rng.normal(0, 0.18, 997).astype(np.float32)[stave]
    streaks = np.where(is_turned, fractal(rng, 1.0, (1.0, 8.0)), fractal(rng, 1.0, (8.0, 1.0)))
    body = paint(0.55 + tone + 0.16 * streaks, second(colors, 0.55), colors[0])
    cell = np.minimum(np.abs(u * count - np.rint(u * count)), np.abs(v * count - np.rint(v * count)))
    seam = np.minimum(np.abs(across - np.rint(across)) / 4, cell) / count
    return np.asarray(body * (0.55 + 0.45 * np.clip(seam * SIZE / 1.2, 0, 1))[..., None], dtype=np.float32)


def tiles(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Square tiles with light joints; every tile has its own tone, some sets have odd ones in the other colour."""
    count = int(rng.choice([3, 4, 6, 8]))
    u, v = grid_uv()
    cell = np.floor(u * count).astype(np.intp) * count + np.floor(v * count).astype(np.intp)
    tone = 1 + rng.normal(0, 0.05, count * count).astype(np.float32)[cell] + 0.04 * fractal(rng, 1.2)
    body = shade(colors[0], tone)
    if len(colors) > 1 and rng.random() < 0.6:
        is_odd = (rng.random(count * count) < rng.uniform(0.1, 0.5))[cell]
        body = np.where(is_odd[..., None], shade(colors[1], tone), body)
    edge = np.minimum(np.abs(u * count - np.rint(u * count)), np.abs(v * count - np.rint(v * count))) / count
    joint = np.clip(edge * SIZE / 1.8, 0, 1)[..., None]
    return np.asarray(body * joint + (1 - joint) * rng.uniform(0.35, 0.85), dtype=np.float32)


def checker(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Two-coloured squares of veined stone."""
    count = int(rng.choice([2, 4, 6]))
    u, v = grid_uv()
    is_dark = (np.floor(u * count) + np.floor(v * count)) % 2 == 1
    vein = 1 + 0.06 * fractal(rng, 1.5)
    return np.where(is_dark[..., None], shade(second(colors, 0.3), vein), shade(colors[0], vein))


def brick(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Running bond with light mortar."""
    rows, cols = 10, 4
    u, v = grid_uv()
    row = np.floor(v * rows).astype(np.intp)
    along = u * cols + 0.5 * (row % 2)
    stone = row * cols + np.floor(along).astype(np.intp) % cols
    tone = 1 + rng.normal(0, 0.14, rows * cols).astype(np.float32)[stone] + 0.1 * fractal(rng, 0.7)
    edge = np.minimum(np.abs(v * rows - np.rint(v * rows)) / rows, np.abs(along - np.rint(along)) / cols)
    joint = np.clip(edge * SIZE / 2.5, 0, 1)[..., None]
    mortar = shade((0.72, 0.7, 0.66), 1 + 0.05 * fractal(rng, 0.4))
    return np.asarray(shade(colors[0], tone) * joint + (1 - joint) * mortar, dtype=np.float32)


def carpet(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Short pile: fine noise of two tones over slow wear."""
    pile = 0.5 + 0.22 * fractal(rng, 0.25) + 0.2 * fractal(rng, 1.3)
    return paint(pile, second(colors, 0.6), colors[0])


def weave(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Cloth: crossing threads of uneven thickness."""
    u, v = grid_uv()
    count = int(rng.choice([32, 48, 64]))
    warp = np.sin(2 * np.pi * count * u) * (1 + 0.3 * fractal(rng, 0.8, (0.2, 8.0)))
    weft = np.sin(2 * np.pi * count * v) * (1 + 0.3 * fractal(rng, 0.8, (8.0, 0.2)))
    return paint(0.55 + 0.18 * warp * weft + 0.12 * fractal(rng, 1.1), second(colors, 0.62), colors[0])


def stripes(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Stripes of random widths along v."""
    edges = np.sort(rng.choice(np.arange(6, SIZE - 6, 6), int(rng.integers(3, 13)), replace=False))
    palette = np.array([*colors, second(colors), (0.92, 0.9, 0.86)], dtype=np.float32)
    choice = rng.integers(0, len(palette), len(edges) + 1)
    choice[1::2] = 0
    columns = palette[choice[np.searchsorted(edges, np.arange(SIZE))]]
    threads = 1 + 0.05 * fractal(rng, 0.4) + 0.03 * fractal(rng, 1.4)
    return np.asarray(columns[None] * threads[..., None], dtype=np.float32)


def motif(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Printed wallpaper or curtain: a random mirrored flourish on a staggered lattice."""
    cell = 64
    small = np.zeros((cell, cell), np.float32)
    for _ in range(int(rng.integers(3, 7))):
        center = tuple(int(c) for c in rng.integers(10, cell - 10, 2))
        axes = tuple(int(a) for a in rng.integers(2, 13, 2))
        cv2.ellipse(
            small, center, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, int(rng.choice([-1, 1, 2])), cv2.LINE_AA
        )
    small = np.maximum(small, small[:, ::-1])
    doubled = np.hstack([np.vstack([small, np.roll(small, cell // 2, 0) * 0]), np.vstack([small * 0, small])])
    pattern = np.tile(doubled, (SIZE // (2 * cell), SIZE // (2 * cell)))
    return (
        paint(pattern * float(rng.uniform(0.4, 1.0)), colors[0], second(colors, 0.6))
        * (1 + 0.03 * fractal(rng, 0.6))[..., None]
    )


def marble(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Veins where a slow noise crosses zero."""
    vein = np.exp(-np.abs(fractal(rng, 1.7)) * 9) + 0.5 * np.exp(-np.abs(fractal(rng, 1.4)) * 14)
    return paint(0.8 * vein + 0.1 * fractal(rng, 1.5), colors[0], second(colors, 0.45))


def granite(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Speckles of three tones."""
    grains = fractal(rng, 0.55)
    body = paint(0.5 + 0.3 * fractal(rng, 0.8), second(colors, 0.6), colors[0])
    body[grains > 1.5] = np.minimum(1.0, 1.5 * rgb(colors[0]))
    body[grains < -1.6] = 0.1
    return body


def metal(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Brushed along u."""
    return shade(colors[0], 1 + 0.05 * fractal(rng, 0.6, (30.0, 1.0)) + 0.04 * fractal(rng, 1.6))


def leaf(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A leaf with a light midrib along u and side veins."""
    u, v = grid_uv()
    side = np.abs(v - 0.5) * 2
    veins = np.sin(2 * np.pi * (u * 14 - side * 5)) > 0.85
    tone = 0.85 + 0.15 * fractal(rng, 1.2) + 0.25 * veins
    tone[side < 0.06] = 1.5
    return shade(colors[0], tone)


def wicker(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Basket weave with deep gaps."""
    u, v = grid_uv()
    count = int(rng.choice([12, 16]))
    row = np.floor(v * count)
    strand = np.abs(np.sin(np.pi * count * v)) * (0.55 + 0.45 * np.sin(2 * np.pi * (u * count / 2 + 0.5 * (row % 2))))
    return paint(0.15 + 0.85 * strand + 0.1 * fractal(rng, 0.7), second(colors, 0.3), colors[0])


def ribs(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Folds of a curtain, fins of a radiator, slats: light and shadow across u."""
    u, _ = grid_uv()
    count = int(rng.integers(6, 12))
    fold = np.sin(2 * np.pi * (u * count + 0.15 * np.sin(2 * np.pi * u * 3)))
    return shade(colors[0], 0.78 + 0.25 * fold + 0.03 * fractal(rng, 0.6))


PATTERNS: dict[str, Pattern] = {
    f.__name__: f
    for f in (
        plain, clouds, grain, plaster, wood, planks, parquet, tiles, checker, brick, carpet, weave, stripes, motif,
        marble, granite, metal, leaf, wicker, ribs,
    )
}  # fmt: skip
