# SPDX-License-Identifier: Apache-2.0
"""A drawing from above -> a raster of ink at one scale, as the light floorplan networks take it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.types import Float32Array, Float64Array

RASTER_SIZE = 112
RASTER_PIXELS_PER_M = 12.5
# Where the scale is unknown, the longer side of a room is taken for this long, m.
_USUAL_LENGTH_M = 4.5
_MIN_INK = 0.04


def rasterize(image: NDArray[np.uint8], pixels_per_m: float | None = None, *, fineness: int = 1) -> Float32Array:
    """Ink in [0, 1] with the drawing in the middle, at 12.5 px/m.

    Args:
        image: (H, W, 3) RGB, dark lines on light paper.
        pixels_per_m: scale of the drawing; None when unknown.
        fineness: so many times as many pixels for each metre.

    Returns:
        (112 * fineness, 112 * fineness) float32; what lies beyond 9 m is cut off.

    Raises:
        SensorDataError: no picture, a scale that is not positive, or empty paper.
    """
    ink, matrix = _ink(image), place_drawing(image, pixels_per_m, fineness=fineness)
    scale, size = matrix[0, 0], RASTER_SIZE * fineness
    if scale < 1:
        # an affine warp samples without averaging, so thin lines are widened first
        radius = 0.5 / scale
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.6 * radius), np.float32)
    raster = cv2.warpAffine(ink, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(raster, np.float32)


def place_drawing(image: NDArray[np.uint8], pixels_per_m: float | None = None, *, fineness: int = 1) -> Float64Array:
    """(2, 3) matrix from pixels of a drawing to those of its raster; see `rasterize`.

    Raises:
        SensorDataError: no picture, a scale that is not positive, or empty paper.
    """
    if pixels_per_m is not None and not 0 < pixels_per_m < np.inf:
        raise SensorDataError(f"floorplan: expected a finite pixels_per_m > 0, got {pixels_per_m}.")
    rows, columns = np.nonzero(_ink(image) > _MIN_INK)
    if not len(rows):
        raise SensorDataError("floorplan: expected dark lines on light paper, got an empty image.")
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    scale = RASTER_PIXELS_PER_M * fineness / (pixels_per_m or max(height, width) / _USUAL_LENGTH_M)
    middle = np.array([columns.min() + width / 2, rows.min() + height / 2])
    shift = RASTER_SIZE * fineness / 2 - scale * middle
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)


def _ink(image: NDArray[np.uint8]) -> Float32Array:
    """(H, W) darkness in [0, 1]."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SensorDataError(f"floorplan: expected an RGB image (H, W, 3) uint8, got {image.dtype} {image.shape}.")
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(np.float32(1) - gray / np.float32(255), np.float32)
