# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera: projection, back-projection, and what resizing and cropping do to it.

A pixel's centre has integer coordinates, so resizing by s takes u to `(u + 0.5) * s - 0.5`, for keypoints and for
the principal point alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.types import CameraIntrinsics, Float32Array, Float64Array


def project(points_camera: NDArray[np.floating], intrinsics: CameraIntrinsics) -> Float64Array:
    """Project (N, 3) points to (N, 2) pixels (u, v); NaN for points at or behind the camera plane."""
    points = np.asarray(points_camera, dtype=np.float64)
    z = np.where(points[:, 2] > 1e-6, points[:, 2], np.nan)
    u = points[:, 0] / z * intrinsics.fx + intrinsics.cx
    v = points[:, 1] / z * intrinsics.fy + intrinsics.cy
    return np.stack([u, v], axis=1)


def back_project(
    pixels: NDArray[np.floating], depth: NDArray[np.floating], intrinsics: CameraIntrinsics
) -> Float32Array:
    """(N, 2) pixels and (N,) depths along the optical axis to (N, 3) points in the camera frame.

    Depths that are not positive give NaN rows.
    """
    z = np.where(np.asarray(depth) > 0, depth, np.nan).astype(np.float64)
    x = (pixels[:, 0] - intrinsics.cx) / intrinsics.fx * z
    y = (pixels[:, 1] - intrinsics.cy) / intrinsics.fy * z
    return np.stack([x, y, z], axis=1).astype(np.float32)


def is_inside(pixels: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
    """(N,) whether (N, 2) pixels fall into the image; NaN is outside."""
    with np.errstate(invalid="ignore"):
        u, v = pixels[:, 0], pixels[:, 1]
        return (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)


def scale_pixels(pixels: NDArray[np.floating], scale_u: float, scale_v: float) -> Float32Array:
    """Where (N, 2) pixels lie after the image is resized by the two factors."""
    return ((np.asarray(pixels) + 0.5) * (scale_u, scale_v) - 0.5).astype(np.float32)


def resize_intrinsics(intrinsics: CameraIntrinsics, width: int, height: int) -> CameraIntrinsics:
    """Intrinsics after the image is resized to (width, height)."""
    scale_u, scale_v = width / intrinsics.width, height / intrinsics.height
    return CameraIntrinsics(
        fx=intrinsics.fx * scale_u,
        fy=intrinsics.fy * scale_v,
        cx=(intrinsics.cx + 0.5) * scale_u - 0.5,
        cy=(intrinsics.cy + 0.5) * scale_v - 0.5,
        width=width,
        height=height,
    )


def viewing_rays(pixels: NDArray[np.floating], intrinsics: CameraIntrinsics) -> Float64Array:
    """(N, 3) directions through (N, 2) pixels, with z = 1."""
    x = (pixels[:, 0] - intrinsics.cx) / intrinsics.fx
    y = (pixels[:, 1] - intrinsics.cy) / intrinsics.fy
    return np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float64)
