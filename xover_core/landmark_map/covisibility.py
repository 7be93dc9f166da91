# SPDX-License-Identifier: Apache-2.0
"""Which keyframes see the same surfaces: coarse depth grids, projected into each other with an occlusion test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.camera import back_project, resize_intrinsics
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import transform_points
from xover_core.types import CameraIntrinsics, Float32Array, Keyframe, Mat4

# Every view becomes a depth grid of this size, so that views of all cameras can be compared in one array operation.
GRID_SHAPE = (24, 32)
# Every second row and column of the grid is projected: 192 points give a share to about 3 %.
_POINT_STRIDE = 2
# Only the nearest keyframes are compared, which bounds the cost at any size of map.
_MAX_CANDIDATES = 32
# Two depths agree within this distance or this share of the depth: a cell of the grid is 10 px wide, and a floor seen
# at a slant changes its depth by up to a tenth from one cell to the next.
_DEPTH_TOLERANCE = 0.1
_DEPTH_TOLERANCE_RELATIVE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera pose with a coarse depth image.

    Attributes:
        T_map_camera: (4, 4).
        grid_camera: (4,) float32 fx, fy, cx, cy in cells of the grid.
        depth: (rows, cols) = GRID_SHAPE float32 metres, 0 without reading.
        points_map: (P, 3) float32 sample of what it sees, without NaN; P may be 0.
    """

    T_map_camera: Mat4
    grid_camera: Float32Array
    depth: Float32Array
    points_map: Float32Array


def view_of_depth(depth: Float32Array, intrinsics: CameraIntrinsics, T_map_camera: Mat4, max_depth: float) -> View:
    """View of an (H, W) depth image in metres; readings beyond `max_depth` (m) do not count."""
    readings = sample_depth(depth, _cell_centres(intrinsics), max_depth=max_depth)
    return _make_view(readings, intrinsics, T_map_camera)


def view_of_keyframe(keyframe: Keyframe) -> View:
    """View of a keyframe, its depth taken from the nearest patch of each cell."""
    rows, cols = keyframe.grid_shape
    first, last = keyframe.keypoints_px[0], keyframe.keypoints_px[-1]
    step = (last - first) / np.maximum((cols - 1, rows - 1), 1)
    patches = (_cell_centres(keyframe.intrinsics) - first) / np.where(step > 0, step, 1.0)
    depth = np.nan_to_num(keyframe.points_camera[:, 2]).reshape(rows, cols)
    return _make_view(sample_depth(depth, patches), keyframe.intrinsics, keyframe.T_map_camera)


def _cell_centres(intrinsics: CameraIntrinsics) -> Float32Array:
    """(cells, 2) pixels at the centres of the grid's cells."""
    rows, cols = GRID_SHAPE
    u = (np.arange(cols) + 0.5) * (intrinsics.width / cols) - 0.5
    v = (np.arange(rows) + 0.5) * (intrinsics.height / rows) - 0.5
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2).astype(np.float32)


def _make_view(depth: Float32Array, intrinsics: CameraIntrinsics, T_map_camera: Mat4) -> View:
    """View from the depth at the cell centres."""
    points = back_project(_cell_centres(intrinsics), depth, intrinsics).reshape(*GRID_SHAPE, 3)
    sample = points[::_POINT_STRIDE, ::_POINT_STRIDE].reshape(-1, 3)
    sample = sample[np.isfinite(sample[:, 2])]
    grid = resize_intrinsics(intrinsics, GRID_SHAPE[1], GRID_SHAPE[0])
    return View(
        T_map_camera=T_map_camera,
        grid_camera=np.array([grid.fx, grid.fy, grid.cx, grid.cy], np.float32),
        depth=depth.reshape(GRID_SHAPE),
        points_map=transform_points(T_map_camera, sample).astype(np.float32),
    )


def visible_points(points_map: Float32Array, views: Sequence[View]) -> NDArray[np.bool_]:
    """Which of (P, 3) points each of B views sees: (B, P), true where it projects inside and the depths agree."""
    if not views:
        return np.zeros((0, len(points_map)), np.bool_)
    poses = np.stack([view.T_map_camera for view in views])
    # p_camera = R^T (p_map - t), about the first point, so that float32 is enough far from the origin of the map
    origin = points_map[0] if len(points_map) else np.zeros(3)
    offsets = (poses[:, :3, 3] - origin).astype(np.float32)
    rotations = poses[:, :3, :3].astype(np.float32)
    points = ((points_map - origin).astype(np.float32) - offsets[:, None]) @ rotations
    fx, fy, cx, cy = np.stack([view.grid_camera for view in views]).T[:, :, None]
    z = np.maximum(points[..., 2], 1e-6)
    u = np.rint(points[..., 0] / z * fx + cx)
    v = np.rint(points[..., 1] / z * fy + cy)
    rows, cols = GRID_SHAPE
    inside = (points[..., 2] > 0) & (u >= 0) & (u < cols) & (v >= 0) & (v < rows)
    cells = np.where(inside, v * cols + u, 0).astype(np.intp)
    depth = np.take_along_axis(np.stack([view.depth.ravel() for view in views]), cells, axis=1)
    tolerance = np.maximum(_DEPTH_TOLERANCE, _DEPTH_TOLERANCE_RELATIVE * z)
    return np.asarray(inside & (depth > 0) & (np.abs(depth - z) <= tolerance), np.bool_)


class CovisibilityGraph:
    """All keyframes' views and which of their points are seen from which other keyframes nearby."""

    def __init__(self) -> None:
        self._views: dict[int, View] = {}
        self._positions = np.zeros((0, 3))
        self._ids = np.zeros(0, np.int64)
        self._seen: dict[int, dict[int, NDArray[np.bool_]]] = {}
        self._num_seen_by: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self._views)

    def overlaps(self, view: View) -> dict[int, float]:
        """Share of the view's points that each nearby keyframe sees, by keyframe id; only keyframes that see any."""
        ids = self._nearest(view)
        masks = visible_points(view.points_map, [self._views[i] for i in ids])
        return {i: float(mask.mean()) for i, mask in zip(ids, masks, strict=True) if mask.any()}

    def covisible(self, keyframe_id: int) -> dict[int, float]:
        """As `overlaps`, for a keyframe of the graph and the others."""
        return {other: float(seen.mean()) for other, seen in self._seen[keyframe_id].items() if seen.any()}

    def add(self, keyframe_id: int, view: View) -> None:
        """Add a keyframe and compare it, both ways, with those nearby."""
        ids = self._nearest(view)
        others = [self._views[i] for i in ids]
        masks = visible_points(view.points_map, others)
        self._seen[keyframe_id] = dict(zip(ids, masks, strict=True))
        self._num_seen_by[keyframe_id] = masks.sum(axis=0)
        if others:
            points = np.concatenate([other.points_map for other in others])
            ends = np.cumsum([len(other.points_map) for other in others])
            for i, seen in zip(ids, np.split(visible_points(points, [view])[0], ends[:-1]), strict=True):
                self._seen[i][keyframe_id] = seen
                self._num_seen_by[i] += seen
        self._views[keyframe_id] = view
        self._positions = np.vstack([self._positions, view.T_map_camera[:3, 3]])
        self._ids = np.append(self._ids, keyframe_id)

    def remove(self, keyframe_id: int) -> None:
        """Forget a keyframe."""
        del self._views[keyframe_id], self._num_seen_by[keyframe_id]
        for other in self._seen.pop(keyframe_id):
            self._num_seen_by[other] -= self._seen[other].pop(keyframe_id)
        kept = self._ids != keyframe_id
        self._ids, self._positions = self._ids[kept], self._positions[kept]

    def usefulness(self, keyframe_id: int) -> float:
        """How much only this keyframe knows, in [0, 1].

        The mean over its points of 1 / (1 + number of other keyframes that see the point): 1 for a view of something
        that no other keyframe sees, near 0 where many do; so removing the smallest first keeps the space covered.
        """
        counts = self._num_seen_by[keyframe_id]
        return float((1 / (1 + counts)).mean()) if len(counts) else 0.0

    def least_useful(self) -> int:
        """Id of the keyframe with the smallest usefulness; the oldest of equal ones."""
        return min(self._views, key=lambda i: (self.usefulness(i), i))

    def _nearest(self, view: View) -> list[int]:
        """Ids of the keyframes whose cameras are nearest, in order of id."""
        distances = np.linalg.norm(self._positions - view.T_map_camera[:3, 3], axis=1)
        if len(distances) <= _MAX_CANDIDATES:
            return [int(i) for i in self._ids]
        nearest = np.argpartition(distances, _MAX_CANDIDATES)[:_MAX_CANDIDATES]
        return [int(i) for i in np.sort(self._ids[nearest])]
