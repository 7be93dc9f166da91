# SPDX-License-Identifier: Apache-2.0
"""The map's keyframes made ready for matching: float32 descriptors, points and surface normals in the map frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.transforms import transform_points
from xover_core.landmark_map.bounded_cache import BoundedCache
from xover_core.landmark_map.keyframe_table import KeyframeTable
from xover_core.landmark_map.lazy_keyframes import LazyKeyframes, find_table
from xover_core.types import Float32Array, Float64Array, Keyframe, Mat4

# Grid neighbours farther apart than this share of their depth lie on different surfaces, so there is no normal.
MAX_RELATIVE_STEP = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredView:
    """A keyframe with what the localizer needs of it at once.

    Attributes:
        keyframe: as it stands in the map.
        descriptors: (N, D) float32 of the finest scale.
        points_map: (N, 3), NaN where there is no depth.
        normals_map: (N, 3) unit, towards the camera, NaN at edges and without depth.
        has_point: (N,) bool.
    """

    keyframe: Keyframe
    descriptors: Float32Array
    points_map: Float64Array
    normals_map: Float64Array
    has_point: NDArray[np.bool_]


class ViewStore:
    """All keyframes of a map, by row; of a large map they are read and prepared when they are needed.

    Not thread-safe; one worker owns it.
    """

    def __init__(self, keyframes: Sequence[Keyframe], max_bytes: float) -> None:
        """Prepare the keyframes that are in memory already.

        Args:
            keyframes: of the map.
            max_bytes: that the views of a map whose keyframes lie in a file may take together.
        """
        is_resident = not isinstance(keyframes, LazyKeyframes)
        self._table = find_table(keyframes)
        self._views: BoundedCache[int, StoredView] = BoundedCache(
            lambda row: make_stored_view(keyframes[row]), view_bytes, np.inf if is_resident else max_bytes
        )
        if is_resident:
            self.at(range(len(keyframes)))

    @property
    def table(self) -> KeyframeTable:
        """Ids, scenes and poses of all keyframes."""
        return self._table

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, row: int) -> StoredView:
        return self._views[row]

    def at(self, rows: Iterable[int]) -> list[StoredView]:
        """The views of some rows."""
        return [self._views[int(row)] for row in rows]

    def towards(self, T_map_camera: Mat4, *, max_distance: float, max_angle: float, max_views: int) -> list[StoredView]:
        """Keyframes near a pose that look the same way, nearest first; their points are what the pose should see."""
        limits = {"max_distance": max_distance, "max_angle": max_angle}
        return self.at(self._table.rows_towards(T_map_camera, **limits, max_views=max_views))


def make_stored_view(keyframe: Keyframe) -> StoredView:
    """Prepare one keyframe."""
    normals = grid_normals(keyframe.points_camera, keyframe.grid_shape)
    return StoredView(
        keyframe=keyframe,
        descriptors=keyframe.descriptors[0].astype(np.float32),
        points_map=transform_points(keyframe.T_map_camera, keyframe.points_camera),
        normals_map=normals @ keyframe.T_map_camera[:3, :3].T,
        has_point=np.isfinite(keyframe.points_camera[:, 2]),
    )


def view_bytes(view: StoredView) -> int:
    """Memory that a view takes."""
    keyframe = view.keyframe
    own = view.descriptors.nbytes + view.points_map.nbytes + view.normals_map.nbytes + view.has_point.nbytes
    stored = keyframe.points_camera.nbytes + keyframe.keypoints_px.nbytes + len(keyframe.thumbnail_jpeg)
    return own + stored + sum(scale.nbytes for scale in keyframe.descriptors)


def grid_normals(points_camera: NDArray[np.floating], grid_shape: tuple[int, int]) -> Float64Array:
    """Unit normals, towards the camera, of (N, 3) points on a grid.

    From central differences; NaN at the border, where a neighbour is missing, and across depth edges.
    """
    grid = np.asarray(points_camera, dtype=np.float64).reshape(*grid_shape, 3)
    normals = np.full_like(grid, np.nan)
    if min(grid_shape) >= 3:
        across = grid[1:-1, 2:] - grid[1:-1, :-2]
        down = grid[2:, 1:-1] - grid[:-2, 1:-1]
        depth = grid[1:-1, 1:-1, 2:]
        is_edge = np.maximum(np.abs(across[..., 2:]), np.abs(down[..., 2:])) > MAX_RELATIVE_STEP * depth
        inner = np.where(np.isfinite(depth), np.cross(down, across), np.nan)
        length = np.linalg.norm(inner, axis=2, keepdims=True)
        normals[1:-1, 1:-1] = np.where(is_edge | (length < 1e-12), np.nan, inner / np.maximum(length, 1e-12))
    flat = normals.reshape(-1, 3)
    faces_away = np.einsum("ni,ni->n", flat, grid.reshape(-1, 3)) > 0
    return np.where(faces_away[:, None], -flat, flat)
