# SPDX-License-Identifier: Apache-2.0
"""How much of a view other views of a recording see: points of a coarse grid, projected, with an occlusion test.

Not `training.overlap`: that one serves labels, so a pixel without depth sees nothing and depth must agree closely.
Here views of any size, with holes and noisy poses, are chosen, and the numbers of protocols hang on the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.camera import back_project, resize_intrinsics
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import invert, transform_points
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4, RgbdFrame

MIN_DEPTH = 0.2
# Rows of points that stand for a view; their columns have the same pitch.
_POINT_ROWS = 10
# Depth is kept at this height at most: 2 px of an image of height 240, fine enough for an occlusion test.
_DEPTH_HEIGHT = 120
# Readings agree within this distance or this share of the depth.
_TOLERANCE = 0.1
_TOLERANCE_RELATIVE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseView:
    """What is kept of every frame of a recording to choose frames by.

    Attributes:
        T_world_camera: (4, 4).
        intrinsics: of the reduced depth image.
        depth: (h, w) float32 metres, reduced by nearest sample, 0 without reading.
        points_world: (P, 3) sample of what is seen; P may be 0.
    """

    T_world_camera: Mat4
    intrinsics: CameraIntrinsics
    depth: Float32Array
    points_world: Float64Array


def make_coarse_view(frame: RgbdFrame, depth: Float32Array, T_world_camera: Mat4, max_depth: float) -> CoarseView:
    """Reduce a frame with its (H, W) depth; readings nearer than 0.2 m or beyond `max_depth` are no points."""
    camera = frame.intrinsics
    scale = min(1.0, _DEPTH_HEIGHT / camera.height)
    size = (max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
    pitch = camera.height / _POINT_ROWS
    v, u = np.mgrid[pitch / 2 : camera.height : pitch, pitch / 2 : camera.width : pitch] - 0.5
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    readings = sample_depth(depth, pixels, max_depth=max_depth)
    points = back_project(pixels, np.where(readings > MIN_DEPTH, readings, 0), camera)
    return CoarseView(
        T_world_camera=T_world_camera,
        intrinsics=resize_intrinsics(camera, *size),
        depth=np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32),
        points_world=transform_points(T_world_camera, points[np.isfinite(points[:, 2])]),
    )


def overlap_matrix(views: Sequence[CoarseView]) -> Float32Array:
    """(N, N) share of the points of view i (row) that view j sees; 0 in the rows of views without points.

    A point without a depth reading in j at its place counts as seen, since the image does show that direction.
    """
    overlap = np.zeros((len(views), len(views)), np.float32)
    counts = np.array([len(view.points_world) for view in views])
    if not counts.sum():
        return overlap
    points = np.concatenate([view.points_world for view in views])
    owner = np.repeat(np.arange(len(views)), counts)
    for column, view in enumerate(views):
        seen = np.bincount(owner[is_seen(points, view)], minlength=len(views))
        overlap[:, column] = seen / np.maximum(counts, 1)
    return overlap


def mutual_overlap(views: Sequence[CoarseView]) -> Float32Array:
    """(N, N) the smaller of the two directions of `overlap_matrix`."""
    overlap = overlap_matrix(views)
    return np.asarray(np.minimum(overlap, overlap.T), np.float32)


def is_seen(points_world: Float64Array, view: CoarseView) -> NDArray[np.bool_]:
    """(P,) whether a view sees (P, 3) points: inside its image and not behind something nearer."""
    camera = view.intrinsics
    points = transform_points(invert(view.T_world_camera), points_world)
    z = points[:, 2]
    safe_z = np.where(z > MIN_DEPTH / 2, z, np.inf)
    u = np.rint(points[:, 0] / safe_z * camera.fx + camera.cx)
    v = np.rint(points[:, 1] / safe_z * camera.fy + camera.cy)
    inside = (z > MIN_DEPTH / 2) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    rows, columns = np.where(inside, v, 0).astype(np.intp), np.where(inside, u, 0).astype(np.intp)
    reading = view.depth[rows, columns]
    agrees = np.abs(reading - z) < np.maximum(_TOLERANCE, _TOLERANCE_RELATIVE * z)
    return np.asarray(inside & ((reading <= 0) | agrees), np.bool_)
