# SPDX-License-Identifier: Apache-2.0
"""Bringing a depth image to the view of the colour camera: another size, other intrinsics, another place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.geometry.camera import back_project, project, resize_intrinsics
from xover_core.geometry.transforms import transform_points
from xover_core.types import CameraIntrinsics, Float32Array, Mat4, as_pose

_SAME_PLACE = 1e-6  # m and radians: calibrations are written with six digits


class DepthRegistration:
    """Takes the depth images of one camera to the pixels of another.

    Cameras in one place with one orientation share their rays, so every colour pixel looks up the depth pixel on its
    ray; nothing else is exact. Otherwise the readings are moved as points, the nearest wins where several fall on one
    pixel, and what only the colour camera sees stays without depth.
    """

    def __init__(self, depth: CameraIntrinsics, color: CameraIntrinsics, T_color_depth: Mat4) -> None:
        """Prepare the tables of pixels.

        Args:
            depth: the camera that measures.
            color: the camera whose view is wanted.
            T_color_depth: (4, 4), from the depth camera's frame to the colour camera's, metres.

        Raises:
            GeometryError: the transform is not rigid.
        """
        self.color = color
        self._depth = depth
        self._T_color_depth = as_pose(T_color_depth, "T_color_depth")
        self._is_same_place = bool(np.abs(self._T_color_depth - np.eye(4)).max() < _SAME_PLACE)
        # Points are spread on a grid that is no finer than the depth image, else holes would be left between them.
        scale = min(1.0, depth.fx / color.fx)
        self._grid = resize_intrinsics(color, max(1, round(color.width * scale)), max(1, round(color.height * scale)))
        self._pixels = (
            np.stack(np.meshgrid(np.arange(depth.width), np.arange(depth.height)), axis=-1)
            .reshape(-1, 2)
            .astype(np.float32)
        )
        self._lookup = _PixelLookup(depth if self._is_same_place else self._grid, color)

    def apply(self, depth: Float32Array) -> Float32Array:
        """(H, W) float32 metres, 0 = no reading, as the colour camera would measure them: (H', W').

        Raises:
            SensorDataError: an image of another size than the depth camera's.
        """
        if depth.shape != (self._depth.height, self._depth.width):
            raise SensorDataError(
                f"depth image: its size is {depth.shape[1]}x{depth.shape[0]}, but its calibration says"
                f" {self._depth.width}x{self._depth.height}; do they belong to one recording?"
            )
        return self._lookup.apply(depth if self._is_same_place else self._move(depth))

    def _move(self, depth: Float32Array) -> Float32Array:
        """Readings as points, seen on the grid of the colour camera."""
        has_reading = depth.ravel() > 0
        points = back_project(self._pixels[has_reading], depth.ravel()[has_reading], self._depth)
        moved = transform_points(self._T_color_depth, points)
        moved = moved[moved[:, 2] > 0]
        corner = np.floor(project(moved, self._grid)).astype(np.intp)
        nearest = np.full((self._grid.height, self._grid.width), np.inf)
        # The four pixels around a point, so that rounding leaves no gaps in a surface.
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            u, v = corner[:, 0] + right, corner[:, 1] + down
            inside = (u >= 0) & (u < self._grid.width) & (v >= 0) & (v < self._grid.height)
            np.minimum.at(nearest, (v[inside], u[inside]), moved[inside, 2])
        return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


class _PixelLookup:
    """For each pixel of a target camera the nearest one of a source in the same place and orientation."""

    def __init__(self, source: CameraIntrinsics, target: CameraIntrinsics) -> None:
        self._columns, self._has_column = _nearest_on_axis(
            (np.arange(target.width) - target.cx) / target.fx * source.fx + source.cx, source.width
        )
        self._rows, self._has_row = _nearest_on_axis(
            (np.arange(target.height) - target.cy) / target.fy * source.fy + source.cy, source.height
        )

    def apply(self, depth: Float32Array) -> Float32Array:
        """Values of (H, W) at every target pixel, 0 outside."""
        values = depth[np.ix_(self._rows, self._columns)]
        return np.asarray(np.where(np.outer(self._has_row, self._has_column), values, 0), dtype=np.float32)


def _nearest_on_axis(position: NDArray[np.floating], size: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Nearest index to each position, and whether it lies in [0, size)."""
    index = np.rint(position).astype(np.intp)
    return np.clip(index, 0, size - 1), (index >= 0) & (index < size)
