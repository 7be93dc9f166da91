# SPDX-License-Identifier: Apache-2.0
"""What stands where in a room, seen from above, whatever way it is turned: the same for clouds and for drawings.

Places are turned so that the walls lie along the axes and the longer side lies along x; what is left, a half turn, is
averaged out. The lengths of the sides say most: few rooms have the same.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.cloud_voxels import FLOOR_QUANTILE
from xover_core.encoders.floorplan_raster import RASTER_PIXELS_PER_M
from xover_core.types import Float32Array, Float64Array

# Centres of soft bins of a side's length, m.
_LENGTHS = np.arange(1.0, 11.0, 0.15)
_LENGTH_WIDTH = 0.12
_GRID = (8, 12)
# Of a side's points, so many may be stray.
_STRAY = 0.004
_MIN_LENGTH = 0.5
LAYOUT_DIM = 2 * len(_LENGTHS) + 2 * _GRID[0] * _GRID[1]
"""Length of a signature."""

_MIN_INK = 0.05
_STANDING_M = (0.15, 2.0)
# Walls: lines of this width in steps of this angle, crowded from this share of the most crowded one on.
_LINE_WIDTH, _TURN_STEP_DEG, _CROWDED_SHARE = 0.1, 3.0, 0.4
# Higher than most furniture.
_HIGH_M = 0.6
# How far beyond the middle of its line a wall's points still lie, m.
_WALL_DEPTH = 0.15
# Cells of a grid from above, m: both kinds of input are counted once for each.
_CELL = 0.08


def layout_signature(places: Float32Array) -> Float32Array:
    """(LAYOUT_DIM,) float32 of norm 1 (0 for nothing): lengths of the sides, what stands where, how lopsided it is.

    Args:
        places: (N, 2) metres where something stands, walls among them; y is 90 degrees to the left of x.
    """
    if len(places) < 3:
        return np.zeros(LAYOUT_DIM, np.float32)
    cells = np.unique(np.floor(places / _CELL).astype(np.int64), axis=0)
    points = (cells + 0.5) * _CELL
    turned = _along_axes(points)
    low, high = np.quantile(turned, [_STRAY, 1 - _STRAY], axis=0)
    sides = np.maximum(high - low, _MIN_LENGTH)
    lengths = np.exp(-0.5 * ((_LENGTHS[None] - sides[:, None]) / _LENGTH_WIDTH) ** 2)
    lengths /= np.maximum(np.linalg.norm(lengths, axis=1, keepdims=True), 1e-6)
    grid = _occupancy((turned - low) / sides)
    other = grid[::-1, ::-1]
    parts = [grid + other, np.abs(grid - other)]
    filled = np.stack([part / max(float(np.linalg.norm(part)), 1e-6) for part in parts])
    signature = np.concatenate([lengths.ravel(), 0.6 * filled.ravel()])
    return np.asarray(signature / max(float(np.linalg.norm(signature)), 1e-6), np.float32)


def drawn_layout(raster: Float32Array) -> Float32Array:
    """Signature of the ink of a raster (H, W) of `floorplan_raster`."""
    rows, columns = np.nonzero(raster > _MIN_INK)
    places = np.stack([columns, len(raster) - 1 - rows], axis=1).astype(np.float32)
    return layout_signature(places / np.float32(RASTER_PIXELS_PER_M))


def cloud_layout(points: Float32Array) -> Float32Array:
    """Signature of the points (N, 3) of a cloud that are above the floor and below what hangs from the ceiling."""
    heights = points[:, 2] - np.quantile(points[:, 2], FLOOR_QUANTILE)
    standing = (heights > _STANDING_M[0]) & (heights < _STANDING_M[1])
    return layout_signature(np.asarray(points[standing, :2], np.float32))


def seen_layout(points: Float32Array, cameras: Float64Array) -> Float32Array:
    """Signature of a room from what cameras in it see, without what they see through its doors.

    A wall is the farthest line, beyond all cameras, on which many points lie.

    Args:
        points: (N, 3) metres, z up.
        cameras: (V, 2) where the cameras stood.
    """
    heights = points[:, 2] - np.quantile(points[:, 2], FLOOR_QUANTILE)
    is_standing = (heights > _STANDING_M[0]) & (heights < _STANDING_M[1])
    standing, is_high = points[is_standing, :2].astype(np.float64), heights[is_standing] > _HIGH_M
    if not is_high.any():
        return layout_signature(standing.astype(np.float32))
    rotation = _wall_rotation(standing[is_high])
    places, stands = standing @ rotation.T, cameras @ rotation.T
    is_inside = np.ones(len(places), bool)
    for axis in (0, 1):
        for side in (-1, 1):
            wall = _wall_distance(side * places[is_high, axis], float((side * stands[:, axis]).max()))
            is_inside &= side * places[:, axis] <= wall + _WALL_DEPTH
    return layout_signature(places[is_inside].astype(np.float32))


def _wall_rotation(places: Float64Array) -> Float64Array:
    """The (2, 2) rotation after which most (N, 2) points lie on few lines along the axes."""
    turns = np.deg2rad(np.arange(0, 90, _TURN_STEP_DEG))
    rotations = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in turns]
    crowded = []
    for rotation in rotations:
        bins = np.floor((places @ rotation.T) / _LINE_WIDTH).astype(np.int64)
        crowded.append(sum(float((np.bincount(row - row.min()) ** 2).sum()) for row in bins.T))
    return rotations[int(np.argmax(crowded))]


def _wall_distance(along: Float64Array, beyond: float) -> float:
    """Where the farthest crowded line lies beyond a point; infinitely far without any."""
    ahead = along[along > beyond]
    if not len(ahead):
        return float("inf")
    counts = np.convolve(np.bincount(((ahead - beyond) / _LINE_WIDTH).astype(np.int64)), np.ones(3), "same")
    crowded = np.flatnonzero(counts >= _CROWDED_SHARE * counts.max())
    return float(beyond + _LINE_WIDTH * crowded[-1])


def _along_axes(points: Float64Array) -> Float64Array:
    """(N, 2) turned so that the smallest rectangle around them lies along the axes, the longer side along x."""
    (_, _), (width, height), angle = cv2.minAreaRect(points.astype(np.float32))
    turn = -np.deg2rad(angle if width >= height else angle + 90.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ rotation.T)


def _occupancy(places: Float64Array) -> NDArray[np.float64]:
    """(8, 12) share of the cells in each part of the unit square, without its rim, where the walls are."""
    inside = places[((places > 0) & (places < 1)).all(axis=1)]
    rows = (inside[:, 1] * _GRID[0]).astype(np.int64)
    columns = (inside[:, 0] * _GRID[1]).astype(np.int64)
    counts = np.bincount(rows * _GRID[1] + columns, minlength=_GRID[0] * _GRID[1]).reshape(_GRID)
    return np.asarray(np.sqrt(counts / max(counts.sum(), 1)), np.float64)
