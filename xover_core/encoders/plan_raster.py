# SPDX-License-Identifier: Apache-2.0
"""A drawing from above -> a fine raster of it alone, its longer side lying, to tell pieces of furniture apart.

Paper around a drawing is cut off, so that no time is spent on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.floorplan_raster import RASTER_SIZE, place_drawing, rasterize
from xover_core.types import Float32Array, Float64Array

PLAN_FINENESS = 2
"""So many times as many pixels for each metre as `floorplan_raster.RASTER_PIXELS_PER_M`."""
PLAN_SIZE = RASTER_SIZE * PLAN_FINENESS
PLAN_MULTIPLE = 16
"""Sides of a raster are multiples of this, px."""
# Paper that is kept around, px; darkness that is no paper.
_MARGIN, _MIN_INK = 8, 0.04


def plan_raster(image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:
    """(H, W) float32 ink in [0, 1] at 25 px/m, H and W multiples of 16 up to 224.

    Args:
        image: (H, W, 3) RGB, dark lines on light paper.
        pixels_per_m: scale of the drawing; None when unknown.

    Raises:
        SensorDataError: no picture, a scale that is not positive, or empty paper.
    """
    raster = rasterize(image, pixels_per_m, fineness=PLAN_FINENESS)
    lying = raster.T if is_upright(raster) else raster
    rows, columns = window(lying[None])
    return np.ascontiguousarray(lying[rows, columns])


def place_plan(image: NDArray[np.uint8], pixels_per_m: float, points_px: Float64Array) -> Float32Array:
    """(M, 2) pixels (u, v) of a drawing to those of its fine raster, before it is laid down and cut."""
    matrix = place_drawing(image, pixels_per_m, fineness=PLAN_FINENESS)
    return np.asarray(points_px @ matrix[:, :2].T + matrix[:, 2], np.float32)


def is_upright(raster: NDArray[np.uint8] | Float32Array) -> bool:
    """Whether the ink of a raster (H, W) is higher than wide."""
    rows, columns = np.nonzero(raster > 0)
    return bool(np.ptp(rows) > np.ptp(columns)) if len(rows) else False


def window(rasters: Float32Array) -> tuple[slice, slice]:
    """Rows and columns of (B, S, S) rasters, around their middle, that hold all ink."""
    ink = rasters.max(axis=0)
    return _span(ink.max(axis=1) > _MIN_INK), _span(ink.max(axis=0) > _MIN_INK)


def _span(is_used: NDArray[np.bool_]) -> slice:
    """The same number of multiples of 8 on both sides of the middle."""
    middle, used = len(is_used) // 2, np.nonzero(is_used)[0]
    reach = max(middle - used[0], used[-1] + 1 - middle) if len(used) else 0
    half = min(middle, -(-(reach + _MARGIN) // (PLAN_MULTIPLE // 2)) * (PLAN_MULTIPLE // 2))
    return slice(int(middle - half), int(middle + half))
