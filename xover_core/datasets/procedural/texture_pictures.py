# SPDX-License-Identifier: Apache-2.0
"""Images that are seen once: posters, paintings, photographs, book spines, screens, fronts of furniture, the outside.

Same contract as the patterns, without the need to repeat. Pictures carry structure at all scales, with edges and
corners, because that is what tells places apart.
"""

from __future__ import annotations

import cv2
import numpy as np

from xover_core.datasets.procedural.texture_patterns import SIZE, Colors, Pattern, fractal, grid_uv, rgb, second, shade
from xover_core.types import Float32Array


def photo(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A dead-leaves image: overlapping shapes with a power law of sizes, shaded and textured, as in nature."""
    palette = _palette(rng, colors, 7)
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = palette[0] * 0.7
    _scatter_shapes(rng, canvas, palette, count=220, largest=90.0)
    light = 1 + 0.16 * fractal(rng, 1.5) + 0.07 * fractal(rng, 0.7)
    return np.asarray(canvas * light[..., None], dtype=np.float32)


def painting(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A landscape of hills under a sky, in brush strokes, or an abstract of large shapes."""
    palette = _palette(rng, colors, 6)
    _, v = grid_uv()
    canvas = np.asarray(palette[0] * (1.2 - 0.6 * v[..., None]), dtype=np.float32)
    if rng.random() < 0.6:
        for layer in range(int(rng.integers(2, 5))):
            ridge = 0.35 + 0.15 * layer + 0.08 * fractal(rng, 2.0)[0][None, :]
            canvas = np.where((v > ridge)[..., None], palette[1 + layer % 5] * (0.8 + 0.1 * layer), canvas)
    else:
        _scatter_shapes(rng, canvas, palette, count=14, largest=110.0)
    _scatter_strokes(rng, canvas)
    return np.asarray(canvas * (1 + 0.08 * fractal(rng, 0.8, (3.0, 1.0)))[..., None], dtype=np.float32)


def poster(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Print: a bold title, a picture, and columns of small text."""
    palette = _palette(rng, colors, 5)
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = palette[0] if rng.random() < 0.5 else 0.93
    ink = 0.08 if canvas.mean() > 0.4 else 0.95
    top = int(rng.integers(16, 40))
    _write_words(rng, canvas, (12, 12, SIZE - 12, 12 + top), top - 6, ink)
    picture = cv2.resize(photo(rng, colors), (SIZE - 24, int(rng.integers(80, 130))), interpolation=cv2.INTER_AREA)
    below = 24 + top
    canvas[below : below + len(picture), 12:-12] = picture
    _write_words(rng, canvas, (12, below + len(picture) + 8, SIZE - 12, SIZE - 10), int(rng.integers(6, 12)), ink)
    return canvas


def page(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Notes on a board: sheets with lines of writing over a plain ground."""
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = colors[0]
    for _ in range(int(rng.integers(3, 8))):
        x, y = rng.integers(0, SIZE - 70, 2)
        width, height = rng.integers(45, 90, 2)
        paper = rng.uniform(0.75, 1.0, 3) if rng.random() < 0.4 else np.array((0.95, 0.95, 0.93))
        canvas[y : y + height, x : x + width] = paper
        _write_words(rng, canvas, (x + 4, y + 4, min(x + width, SIZE) - 4, min(y + height, SIZE) - 4), 6, 0.15)
    return canvas


def books(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A row of spines of different colour, height and title, with gaps and leaning ones."""
    canvas = np.full((SIZE, SIZE, 3), 0.06, np.float32)
    x = 0
    while x < SIZE:
        width = int(rng.integers(7, 24))
        top = int(rng.integers(8, 90))
        base = (rng.random(3) ** 1.4 * 0.85 + 0.05).astype(np.float32) if rng.random() < 0.8 else rgb(colors[0])
        profile = 1 - 0.45 * np.abs(np.linspace(-1, 1, width, dtype=np.float32)) ** 3
        canvas[top:, x : x + width] = (base * profile[:, None])[: SIZE - x]
        ink = 0.95 if base.mean() < 0.5 else 0.1
        band = top + int(rng.integers(8, 40))
        canvas[band : band + int(rng.integers(2, 8)), x : x + width] = ink if rng.random() < 0.5 else base * 0.5
        for y in range(band + 14, min(band + int(rng.integers(40, 100)), SIZE - 8), 4):
            canvas[y : y + 2, x + width // 3 : x + width // 3 + int(rng.integers(2, max(3, width // 2)))] = ink
        x += width + (int(rng.integers(6, 26)) if rng.random() < 0.08 else 1)
    return canvas


def screen(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A computer or television picture: windows with text and an image."""
    canvas = photo(rng, colors) * 0.8
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(0, 130, 2)
        width, height = rng.integers(80, 130, 2)
        is_dark = rng.random() < 0.5
        canvas[y : y + height, x : x + width] = 0.1 if is_dark else 0.92
        canvas[y : y + 8, x : x + width] = colors[0]
        _write_words(
            rng,
            canvas,
            (x + 4, y + 14, min(x + width, SIZE) - 4, min(y + height, SIZE) - 4),
            5,
            0.8 if is_dark else 0.2,
        )
    canvas[SIZE - 10 :] = 0.12
    return canvas


def front(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """The front of a cabinet: doors or drawers with grooves, handles and a little wood grain."""
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    body = shade(colors[0], 1 + 0.03 * fractal(rng, 0.8, (1.0, 8.0)))
    step_u, step_v = SIZE // columns, SIZE // rows
    style = rng.random()
    for i in range(columns):
        for j in range(rows):
            x0, y0, x1, y1 = i * step_u, j * step_v, (i + 1) * step_u - 1, (j + 1) * step_v - 1
            cv2.rectangle(body, (x0, y0), (x1, y1), [float(c) * 0.35 for c in colors[0]], 2)
            if style < 0.5:
                cv2.rectangle(body, (x0 + 12, y0 + 12), (x1 - 12, y1 - 12), [float(c) * 0.75 for c in colors[0]], 2)
            handle = (x1 - 14, (y0 + y1) // 2) if columns > 1 or rows == 1 else ((x0 + x1) // 2, y0 + 10)
            size = (2, 14) if handle[1] > y0 + 10 else (16, 2)
            cv2.rectangle(body, (handle[0] - size[0], handle[1] - size[1]), (handle[0] + size[0], handle[1] + size[1]),
                          [float(c) for c in second(colors, 0.2)], -1)  # fmt: skip
    return body


def rug(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A woven rug: borders around a field of mirrored ornaments."""
    palette = _palette(rng, colors, 5)
    quarter = np.empty((SIZE // 2, SIZE // 2, 3), np.float32)
    quarter[:] = palette[0]
    _scatter_shapes(rng, quarter, palette, count=26, largest=40.0)
    for k, inset in enumerate((0, 8, 14, 30)):
        cv2.rectangle(quarter, (inset, inset), (SIZE, SIZE), [float(c) for c in palette[k % 5]], 6 if k % 2 else 3)
    half = np.hstack([quarter, quarter[:, ::-1]])
    return np.asarray(np.vstack([half, half[::-1]]) * (1 + 0.1 * fractal(rng, 0.3))[..., None], dtype=np.float32)


def clock(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """A dial with ticks and hands."""
    canvas = np.full((SIZE, SIZE, 3), 0.93, np.float32)
    ink = [float(c) * 0.4 for c in colors[0]]
    for hour in range(12):
        direction = np.array([np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)])
        inner, outer = 128 + 92 * direction, 128 + 112 * direction
        cv2.line(canvas, tuple(inner.astype(int).tolist()), tuple(outer.astype(int).tolist()), ink, 8)
    for length, thickness in ((60, 9), (90, 5)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (int(128 + length * np.sin(angle)), int(128 - length * np.cos(angle)))
        cv2.line(canvas, (128, 128), tip, ink, thickness)
    return canvas


def keyboard(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Rows of keys."""
    u, v = grid_uv()
    row = np.floor(v * 6)
    key = np.abs(((u + 0.02 * row) * 15) % 1 - 0.5) < 0.38
    body = np.where(((np.abs(v * 6 % 1 - 0.5) < 0.38) & key)[..., None], rgb(colors[0]), rgb(second(colors, 0.4)))
    return np.asarray(body * (1 + 0.04 * fractal(rng, 0.5))[..., None], dtype=np.float32)


def parcel(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """Cardboard with tape, a label and a print."""
    canvas = shade(colors[0], 1 + 0.03 * fractal(rng, 0.5, (1.0, 20.0)) + 0.04 * fractal(rng, 1.5))
    canvas[:, 112:144] *= 0.82
    x, y = rng.integers(10, 150, 2)
    canvas[y : y + 60, x : x + 80] = 0.93
    _write_words(rng, canvas, (x + 5, y + 5, x + 75, y + 55), 8, 0.15)
    _write_words(rng, canvas, (12, 200, 120, 246), 18, 0.25)
    return canvas


def outside(rng: np.random.Generator, colors: Colors) -> Float32Array:
    """What a window shows: a sky over roofs or trees, horizon in the middle."""
    _, v = grid_uv()
    canvas = np.asarray((1 - 0.5 * v[..., None]) * rgb(colors[0]) + 0.5 * v[..., None], dtype=np.float32)
    canvas += (0.08 * np.clip(fractal(rng, 1.6, (2.0, 1.0)), 0, 2))[..., None]
    for k in range(int(rng.integers(5, 11))):
        x, width, top = int(rng.integers(-20, SIZE)), int(rng.integers(20, 70)), int(rng.integers(70, 125))
        wall = rng.uniform(0.25, 0.75, 3) * 0.5 + 0.2
        canvas[top:, max(x, 0) : max(x + width, 0)] = wall
        for y in range(top + 6, SIZE // 2 + 30, 12):
            for window in range(max(x, 0) + 4, min(x + width, SIZE) - 6, 10):
                canvas[y : y + 7, window : window + 5] = wall * (0.35 if (k + y + window) % 3 else 1.6)
    trees = v > 0.5 + 0.05 * fractal(rng, 1.3)[0][None, :]
    foliage = shade((0.22, 0.33, 0.15), 1 + 0.35 * fractal(rng, 0.8))
    return np.where(trees[..., None], foliage, canvas)


def _palette(rng: np.random.Generator, colors: Colors, count: int) -> Float32Array:
    """(count, 3): the given colours first, then random ones around a common hue, some bright, some dark."""
    hue = rng.random()
    hsv = np.stack(
        [(hue + rng.normal(0, 0.18, count)) % 1 * 360, 0.85 * rng.random(count), 0.1 + 0.9 * rng.random(count)], axis=1
    )
    palette = cv2.cvtColor(hsv[None].astype(np.float32), cv2.COLOR_HSV2RGB)[0]
    palette[: min(len(colors), count)] = np.array(colors[:count], dtype=np.float32).reshape(-1, 3)
    return np.asarray(palette, dtype=np.float32)


def _scatter_shapes(
    rng: np.random.Generator, canvas: Float32Array, palette: Float32Array, *, count: int, largest: float
) -> None:
    """Draw ellipses, polygons and bars, the large ones first."""
    sizes = np.sort(largest * rng.random(count) ** 2.2 + 2)[::-1]
    for size in sizes:
        color = [float(c) for c in np.clip(palette[rng.integers(len(palette))] * rng.uniform(0.7, 1.2), 0, 1)]
        x, y = (float(c) for c in rng.uniform(0, len(canvas), 2))
        kind = rng.random()
        if kind < 0.4:
            axes = (int(size), int(size * rng.uniform(0.3, 1)))
            cv2.ellipse(canvas, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
            continue
        corners = int(rng.integers(3, 6)) if kind < 0.75 else 4
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = size * (1.0 if kind < 0.75 else rng.uniform(0.15, 1.0))
        points = np.stack([x + size * np.cos(angles), y + radius * np.sin(angles)], axis=1)
        cv2.fillPoly(canvas, [points.astype(np.int32)], color, cv2.LINE_AA)


def _scatter_strokes(rng: np.random.Generator, canvas: Float32Array) -> None:
    """Smear the canvas with short strokes of its own colours."""
    for x, y in rng.integers(0, SIZE, (160, 2)):
        color = [float(c) for c in np.clip(canvas[y, x] * rng.uniform(0.7, 1.35), 0, 1)]
        dx, dy = rng.normal(0, 9, 2).astype(int)
        cv2.line(canvas, (int(x), int(y)), (int(x + dx), int(y + dy)), color, int(rng.integers(1, 6)), cv2.LINE_AA)


def _write_words(
    rng: np.random.Generator, canvas: Float32Array, area: tuple[int, int, int, int], height: int, ink: float
) -> None:
    """Fill (x0, y0, x1, y1) with lines of glyphs: strokes on a letter grid, grouped into words."""
    x0, y0, x1, y1 = (int(a) for a in area)
    width = max(3, int(height * 0.7))
    for y in range(y0, y1 - height + 1, int(height * 1.6)):
        x = x0
        end = x1 if rng.random() < 0.7 else int(rng.integers(x0 + (x1 - x0) // 2, x1 + 1)) if x1 > x0 else x1
        while x + width < end:
            if rng.random() < 0.83:
                _draw_glyph(rng, canvas, (x, y), (width - max(1, width // 4), height), ink)
            x += width


def _draw_glyph(
    rng: np.random.Generator, canvas: Float32Array, corner: tuple[int, int], size: tuple[int, int], ink: float
) -> None:
    """One letter-like figure: a stem, and up to three strokes between the corners of its cell."""
    (x, y), (width, height) = corner, size
    stroke = max(1, height // 6)
    color = (ink, ink, ink)
    bits = int(rng.integers(1, 64))
    lines = (
        ((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 0.5), (1, 0.5)), ((0, 0), (1, 1)),
    )  # fmt: skip
    for k, ((ax, ay), (bx, by)) in enumerate(lines):
        if bits >> k & 1:
            start = (int(x + ax * width), int(y + ay * height))
            cv2.line(canvas, start, (int(x + bx * width), int(y + by * height)), color, stroke)


PICTURES: dict[str, Pattern] = {
    f.__name__: f for f in (photo, painting, poster, page, books, screen, front, rug, clock, keyboard, parcel, outside)
}
