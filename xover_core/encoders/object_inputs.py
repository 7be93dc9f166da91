# SPDX-License-Identifier: Apache-2.0
"""Objects -> points, sizes and small pictures, as the light object networks take them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

NUM_POINTS = 128
POINT_DIM = 6
CROP_SIZE = 32


def object_points(points: Float32Array, colors: NDArray[np.uint8] | None, rng: np.random.Generator) -> Float32Array:
    """(128, 6) float32: random points, centred and in the unit sphere, and their colour around the middle; 0 without.

    Args:
        points: (N, 3) metres, N >= 1; with fewer than 128, some are drawn twice.
        colors: (N, 3) RGB or None.
        rng: draws.
    """
    chosen = rng.choice(len(points), NUM_POINTS, replace=len(points) < NUM_POINTS)
    centred = points[chosen] - points.mean(axis=0)
    radius = max(float(np.linalg.norm(centred, axis=1).max()), 1e-3)
    tints = np.zeros((NUM_POINTS, 3), np.float32)
    if colors is not None:
        tints = colors[chosen].astype(np.float32) / np.float32(255) - np.float32(0.5)
    return np.concatenate([(centred / radius).astype(np.float32), tints], axis=1)


def object_crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(32, 32, 3) uint8: a crop of any size, stretched."""
    return np.asarray(cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
