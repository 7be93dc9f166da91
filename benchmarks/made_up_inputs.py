# SPDX-License-Identifier: Apache-2.0
"""Frames and clouds for benchmarks whose cost does not depend on what is seen."""

from __future__ import annotations

import numpy as np

from xover_core.encoders.scene_encoder import ColoredPoints
from xover_core.types import CameraIntrinsics, RgbdFrame

WIDTH, HEIGHT = 320, 240
# walls, floor and ceiling of a room, a table, a bed, a wardrobe: low and high corner, metres
BOXES = (
    ((0.0, 0.0, 0.0), (4.5, 3.8, 2.6)),
    ((1.8, 1.2, 0.0), (3.2, 2.0, 0.75)),
    ((0.0, 2.3, 0.0), (2.0, 3.8, 0.5)),
    ((3.9, 0.3, 0.0), (4.5, 2.1, 2.0)),
)


def make_frame() -> RgbdFrame:
    """Noise on a slope: the cost does not depend on what is seen."""
    random = np.random.default_rng(0)
    depth = np.linspace(1.0, 4.0, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, axis=0)
    camera = CameraIntrinsics(fx=280.0, fy=280.0, cx=159.5, cy=119.5, width=WIDTH, height=HEIGHT)
    rgb = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=depth, intrinsics=camera)


def make_cloud(num_points: int) -> ColoredPoints:
    """Points on the faces of boxes that fill a room, as many on each square metre, 1 cm of noise, colours at random."""
    rng = np.random.default_rng(0)
    faces = [(np.array(low), np.array(high), axis) for low, high in BOXES for axis in (0, 1, 2)]
    areas = np.array([np.prod(np.delete(high - low, axis)) for low, high, axis in faces])
    counts = rng.multinomial(num_points, areas / areas.sum())
    parts = []
    for (low, high, axis), count in zip(faces, counts, strict=True):
        points = rng.uniform(low, high, (count, 3))
        points[:, axis] = np.where(rng.random(count) < 0.5, low[axis], high[axis])
        parts.append(points)
    points = np.concatenate(parts) + rng.normal(0, 0.01, (num_points, 3))
    return ColoredPoints(points=points.astype(np.float32), colors=rng.integers(0, 256, (num_points, 3), np.uint8))
