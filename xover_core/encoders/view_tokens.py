# SPDX-License-Identifier: Apache-2.0
"""A frame -> a few tokens of LoCUS features, colour and depth: what the light scene encoder sees of a view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.compact_encoder import resize_depth
from xover_core.encoders.patch_grid import PATCH_STRIDE, PatchGrid, make_patch_grid, resize_to_grid
from xover_core.geometry.camera import back_project, resize_intrinsics
from xover_core.inference.compact_session import CompactSession
from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame

NO_PLACE = -1000.0
"""Coordinates of points that there are none of: descriptions of views are kept in half precision, without NaN."""
TOKEN_GRID = (6, 8)
"""(rows, cols) of tokens, whatever the size of the image."""
# The coarse question "which scene" needs no fine patches: half the height is a quarter of the work.
_IMAGE_HEIGHT = 120
VIEW_RADII = (0.2, 2.0)
"""Metres, of the features that tokens are made of."""
_COLOR_DIM, _GEOMETRY_DIM = 6, 5


class ViewTokenizer:
    """Describes the cells of a coarse grid over an image."""

    def __init__(self, session: CompactSession) -> None:
        """Use a LoCUS network.

        Args:
            session: runs it; must have the radii 0.2 and 2 m, or the nearest ones are taken.
        """
        self._session = session
        self._scales = tuple(
            min(range(len(session.radii)), key=lambda i: abs(session.radii[i] - r)) for r in VIEW_RADII
        )

    @property
    def token_dim(self) -> int:
        """C: features of the two radii, mean and spread of RGB, mean and share of points, their spread in depth."""
        return self.patch_dim + _COLOR_DIM + _GEOMETRY_DIM

    @property
    def patch_dim(self) -> int:
        """D, of the features of a patch."""
        return len(VIEW_RADII) * self._session.descriptor_dim

    @property
    def num_tokens(self) -> int:
        """T, of one view."""
        return TOKEN_GRID[0] * TOKEN_GRID[1]

    def places(self, frame: RgbdFrame) -> Float32Array:
        """(P, 3) float32 points in the camera's frame, one for each patch; `NO_PLACE` where there is no depth."""
        grid = self._grid(frame.intrinsics)
        camera = resize_intrinsics(frame.intrinsics, *grid.working_size)
        pixels = np.rint(grid.centers_px).astype(np.int64)
        depth = resize_depth(frame.depth, grid)[pixels[:, 1], pixels[:, 0]]
        points = back_project(pixels.astype(np.float32), depth, camera)
        return np.where(depth[:, None] > 0, points, np.float32(NO_PLACE)).astype(np.float32)

    def tokens(self, frame: RgbdFrame) -> Float32Array:
        """(48, C) float32, row by row; the last five are zero where there is no depth."""
        return self.pool(frame, self.patches(frame))

    def patches(self, frame: RgbdFrame) -> Float32Array:
        """(rows, columns, D) float32: LoCUS features of all patches, of the two radii."""
        grid = self._grid(frame.intrinsics)
        camera = resize_intrinsics(frame.intrinsics, *grid.working_size)
        image = resize_to_grid(frame.rgb, grid).astype(np.float32) / np.float32(255)
        features = self._session.run(
            np.ascontiguousarray(image.transpose(2, 0, 1)[None]),
            resize_depth(frame.depth, grid)[None],
            np.array([[camera.fx, camera.fy, camera.cx, camera.cy]], np.float32),
        )
        return np.concatenate([features[scale].reshape(*grid.grid_shape, -1) for scale in self._scales], axis=2)

    def pool(self, frame: RgbdFrame, patches: Float32Array) -> Float32Array:
        """(48, C) tokens from what `patches` gave for the same frame."""
        grid = self._grid(frame.intrinsics)
        camera = resize_intrinsics(frame.intrinsics, *grid.working_size)
        image = resize_to_grid(frame.rgb, grid).astype(np.float32) / np.float32(255)
        geometry = _geometry_of(resize_depth(frame.depth, grid), camera)
        pooled = _pool(np.concatenate([patches, _colors_of(image), geometry], axis=2))
        # sums over the readings of a cell become means; the share of readings stays
        share = np.maximum(pooled[:, -2:-1], 1e-6)
        pooled[:, -5:-2] /= share
        second = pooled[:, -1:] / share - pooled[:, -3:-2] ** 2
        pooled[:, -1:] = np.sqrt(np.maximum(second, 0))
        return pooled

    def _grid(self, camera: CameraIntrinsics) -> PatchGrid:
        """The grid for images of this size."""
        return make_patch_grid(camera.width, camera.height, _IMAGE_HEIGHT)


def _by_patch(image: Float32Array) -> Float32Array:
    """(H, W, C) -> (rows, cols, pixels of a patch, C)."""
    rows, cols = image.shape[0] // PATCH_STRIDE, image.shape[1] // PATCH_STRIDE
    split = image.reshape(rows, PATCH_STRIDE, cols, PATCH_STRIDE, -1).transpose(0, 2, 1, 3, 4)
    return np.asarray(split.reshape(rows, cols, PATCH_STRIDE**2, -1), np.float32)


def _colors_of(image: Float32Array) -> Float32Array:
    """(rows, cols, 6) mean and standard deviation of RGB around the middle of the range."""
    pixels = _by_patch(image) - np.float32(0.5)
    return np.asarray(np.concatenate([pixels.mean(axis=2), pixels.std(axis=2)], axis=2), np.float32)


def _geometry_of(depth: Float32Array, camera: CameraIntrinsics) -> Float32Array:
    """(rows, cols, 5) sums over a patch, divided by its pixels: x, y, z in units of 3 m, readings, z squared."""
    rows, columns = np.indices(depth.shape)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    points = back_project(pixels, depth.ravel(), camera).reshape(*depth.shape, 3) / np.float32(3)
    is_measured = depth[..., None] > 0
    points = np.where(is_measured, points, np.float32(0))
    values = np.concatenate([points, is_measured.astype(np.float32), points[..., 2:] ** 2], axis=2)
    return np.asarray(_by_patch(values.astype(np.float32)).mean(axis=2), np.float32)


def _pool(patches: NDArray[np.float32]) -> Float32Array:
    """(rows, cols, C) -> (48, C) means over the cells, whose borders may cut through patches."""
    over_rows, over_cols = (
        _area_weights(patches.shape[0], TOKEN_GRID[0]),
        _area_weights(patches.shape[1], TOKEN_GRID[1]),
    )
    pooled = np.tensordot(over_rows, patches, axes=(1, 0))
    pooled = np.tensordot(over_cols, pooled, axes=(1, 1))
    return np.ascontiguousarray(pooled.transpose(1, 0, 2).reshape(-1, patches.shape[2]), np.float32)


def _area_weights(length: int, cells: int) -> Float32Array:
    """(cells, length) rows that sum to 1: which share of a cell each of `length` equal parts covers."""
    edges = np.linspace(0, length, cells + 1)
    low, high = np.arange(length), np.arange(1, length + 1)
    overlap = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    weights = np.maximum(overlap, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
