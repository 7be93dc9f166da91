# SPDX-License-Identifier: Apache-2.0
"""All patches of all keyframes that have a 3D point, as one cloud cut into blocks of space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xover_core.geometry.transforms import transform_points
from xover_core.types import Float32Array, Keyframe

# Edge of a block, m. Larger ones waste products of patches that are too far apart, smaller ones have a larger rim.
_BLOCK_SIZE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCloud:
    """P patches in order of keyframe, then of patch.

    Attributes:
        points: (P, 3) float32 metres, relative to `origin_map`, so that float32 is enough.
        origin_map: (3,) float64.
        descriptors: (P, D) float16 of the finest scale, of L2 norm at most 1.
        keyframe_ids: (P,) int64.
        patch_indices: (P,) int64.
    """

    points: Float32Array
    origin_map: NDArray[np.float64]
    descriptors: NDArray[np.float16]
    keyframe_ids: NDArray[np.int64]
    patch_indices: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of patches P."""
        return len(self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A cube of space.

    Attributes:
        core: (C,) int64 rows of the cloud inside the cube.
        surroundings: (S,) int64 rows inside or within the radius of it, ascending; contains `core`.
    """

    core: NDArray[np.int64]
    surroundings: NDArray[np.int64]


def make_patch_cloud(keyframes: Sequence[Keyframe]) -> PatchCloud:
    """Collect the patches that have a point and a descriptor (no row of zeros); needs at least one keyframe."""
    origin = keyframes[0].T_map_camera[:3, 3].copy()
    points, descriptors, ids, indices = [], [], [], []
    for keyframe in keyframes:
        has_point = np.isfinite(keyframe.points_camera).all(axis=1)
        rows = np.flatnonzero(has_point & (keyframe.descriptors[0] != 0).any(axis=1))
        in_map = transform_points(keyframe.T_map_camera, keyframe.points_camera[rows])
        points.append((in_map - origin).astype(np.float32))
        descriptors.append(keyframe.descriptors[0][rows])
        ids.append(np.full(len(rows), keyframe.keyframe_id, np.int64))
        indices.append(rows.astype(np.int64))
    return PatchCloud(
        points=np.concatenate(points),
        origin_map=origin,
        descriptors=np.concatenate(descriptors),
        keyframe_ids=np.concatenate(ids),
        patch_indices=np.concatenate(indices),
    )


def group_rows(keys: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of (N, K) integer keys grouped by equal key, groups in order of key, rows ascending."""
    if not len(keys):
        return []
    order = np.lexsort(keys.T[::-1])
    changes = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
    return np.split(order, changes)


def blocks_of(cloud: PatchCloud, radius: float) -> Iterator[Block]:
    """Cut the cloud into blocks with a rim of `radius` (m), in order of position."""
    if not len(cloud):
        return
    tree = cKDTree(cloud.points)
    cells = np.floor(cloud.points / _BLOCK_SIZE).astype(np.int64)
    for core in group_rows(cells):
        centre = (cells[core[0]] + 0.5) * _BLOCK_SIZE
        reach = _BLOCK_SIZE / 2 + radius
        # the cube with its rim is a ball in the maximum norm
        near = tree.query_ball_point(centre, reach, p=np.inf, return_sorted=True)
        yield Block(core=core, surroundings=np.asarray(near, np.int64))
