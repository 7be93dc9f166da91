# SPDX-License-Identifier: Apache-2.0
"""A point cloud of a room -> voxels with features, as the light cloud network takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

VOXEL_M = 0.1
VOXEL_DIM = 7
"""Mean RGB around the middle of its range, height above the floor in m, mean position within the voxel."""
# The floor is the height below which only so many points lie, by noise.
FLOOR_QUANTILE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudVoxels:
    """Occupied voxels.

    Attributes:
        coordinates: (M, 3) int32, from 0 up.
        features: (M, 7) float32.
    """

    coordinates: NDArray[np.int32]
    features: Float32Array


def voxelize(points: Float32Array, colors: NDArray[np.uint8] | Float32Array) -> CloudVoxels:
    """Average the points of each voxel.

    Args:
        points: (N, 3) metres, z up, N >= 1.
        colors: (N, 3) RGB, 0 to 255.
    """
    floor = np.quantile(points[:, 2], FLOOR_QUANTILE)
    lower = points.min(axis=0)
    scaled = (points - lower) / np.float32(VOXEL_M)
    voxels = np.floor(scaled).astype(np.int64)
    extent = voxels.max(axis=0) + 1
    keys = (voxels[:, 0] * extent[1] + voxels[:, 1]) * extent[2] + voxels[:, 2]
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    values = np.concatenate(
        [
            colors.astype(np.float32) / np.float32(255) - np.float32(0.5),
            (points[:, 2:] - floor).astype(np.float32),
            (scaled - voxels - 0.5).astype(np.float32),
        ],
        axis=1,
    )
    means = np.add.reduceat(values[order], starts, axis=0) / counts[:, None]
    return CloudVoxels(coordinates=voxels[order[starts]].astype(np.int32), features=np.asarray(means, np.float32))
