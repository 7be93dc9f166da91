# SPDX-License-Identifier: Apache-2.0
"""A point cloud of a room -> horizontal slices seen from above, in which things are recognised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.cloud_voxels import FLOOR_QUANTILE
from xover_core.types import Float32Array

SLICE_GRID = 96
"""Cells along a side of a slice."""
NUM_SLICES = 8
SLICE_PLANES = 4
"""How full a cell is, and its mean RGB around the middle of the range."""

_CELL_M, _SLICE_M = 0.1, 0.3
# So many points and more fill a cell.
_FULL = 4


def cloud_slices(points: Float32Array, colors: NDArray[np.uint8] | Float32Array) -> Float32Array:
    """(4, 8, 96, 96) float32: planes, slices of 0.3 m from the floor up (the last one: all above), cells of 0.1 m.

    The middle of the cloud's bounding rectangle is in the middle; what lies beyond 4.8 m of it is cut off.

    Args:
        points: (N, 3) metres, z up, N >= 1.
        colors: (N, 3) RGB, 0 to 255.
    """
    places = slice_places(points)
    is_inside = places[:, 0] >= 0
    keys = np.ravel_multi_index(tuple(places[is_inside].T), (NUM_SLICES, SLICE_GRID, SLICE_GRID))
    length = NUM_SLICES * SLICE_GRID**2
    counts = np.bincount(keys, minlength=length)
    values = colors[is_inside].astype(np.float32) / np.float32(255) - np.float32(0.5)
    sums = [np.bincount(keys, weights=channel, minlength=length) for channel in values.T]
    planes = [np.minimum(counts / _FULL, 1), *(total / np.maximum(counts, 1) for total in sums)]
    return np.asarray(np.stack(planes).reshape(SLICE_PLANES, NUM_SLICES, SLICE_GRID, SLICE_GRID), np.float32)


def slice_places(points: Float32Array) -> NDArray[np.int64]:
    """(N, 3) int64 slice, row and column of (N, 3) points; -1 for those that are cut off."""
    cells = np.floor((points[:, :2] - np.median(points[:, :2], axis=0)) / _CELL_M).astype(np.int64)
    cells += SLICE_GRID // 2 - (cells.min(axis=0) + cells.max(axis=0)) // 2
    heights = points[:, 2] - np.quantile(points[:, 2], FLOOR_QUANTILE)
    slices = np.clip(heights / _SLICE_M, 0, NUM_SLICES - 1).astype(np.int64)
    is_inside = np.all((cells >= 0) & (cells < SLICE_GRID), axis=1)
    places = np.column_stack([slices, cells[:, 1], cells[:, 0]])
    places[~is_inside] = -1
    return np.asarray(places, np.int64)
