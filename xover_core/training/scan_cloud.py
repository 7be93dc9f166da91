# SPDX-License-Identifier: Apache-2.0
"""Point clouds of rooms, put together from depth images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanView
from xover_core.geometry.camera import back_project
from xover_core.geometry.transforms import transform_points
from xover_core.types import Float32Array, Float64Array

# One point is kept in each cube of this size, m.
_VOXEL = 0.04
_MAX_POINTS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCloud:
    """N points in the scan's frame.

    Attributes:
        points: (N, 3) float32 metres.
        colors: (N, 3) uint8 RGB.
        instance: (N,) int32 object ids, 0 = none.
    """

    points: Float32Array
    colors: NDArray[np.uint8]
    instance: NDArray[np.int32]


def fuse_cloud(
    views: Sequence[ScanView], lower: Float64Array, upper: Float64Array, rng: np.random.Generator
) -> ScanCloud:
    """Join the points that views with depth and instances see, thin them out evenly, and keep those inside a box.

    Args:
        views: at least one.
        lower: (3,) corner of the box in the scan's frame, m.
        upper: (3,) the opposite corner.
        rng: decides which point of a voxel is kept.
    """
    parts = [_points_of(view) for view in views]
    points = np.concatenate([part.points for part in parts])
    colors = np.concatenate([part.colors for part in parts])
    instance = np.concatenate([part.instance for part in parts])
    inside = np.flatnonzero(((points >= lower) & (points <= upper)).all(axis=1))
    chosen = inside[rng.permutation(len(inside))]
    voxels = np.floor(points[chosen] / _VOXEL).astype(np.int64) - np.floor(lower / _VOXEL).astype(np.int64)
    extent = voxels.max(axis=0, initial=0) + 1
    keys = (voxels[:, 0] * extent[1] + voxels[:, 1]) * extent[2] + voxels[:, 2]
    _, first = np.unique(keys, return_index=True)
    kept = chosen[np.sort(first)][:_MAX_POINTS]
    return ScanCloud(points=points[kept], colors=colors[kept], instance=instance[kept])


def _points_of(view: ScanView) -> ScanCloud:
    """Every reading of a view in the scan's frame."""
    assert view.depth is not None, "scanning renders depth"
    assert view.instance is not None, "scanning renders instances"
    rows, columns = np.nonzero(view.depth)
    pixels = np.stack([columns, rows], axis=1).astype(np.float32)
    points = back_project(pixels, view.depth[rows, columns], view.intrinsics)
    placed = transform_points(view.T_scan_camera, points.astype(np.float64))
    return ScanCloud(
        points=placed.astype(np.float32), colors=view.rgb[rows, columns], instance=view.instance[rows, columns]
    )
