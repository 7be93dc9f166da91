# SPDX-License-Identifier: Apache-2.0
"""A frame -> a small picture of colours and places: what things are recognised by in a view."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.camera import resize_intrinsics
from xover_core.geometry.depth import MAX_DEPTH_M, nearest_pixels
from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame

PICTURE_SIZE = (160, 120)
"""(width, height), whatever the size and the proportions of the image."""
PICTURE_PLANES = 7
"""RGB around the middle of its range; x, y, z in units of 3 m, 0 where there is no depth; and whether there is any."""
_UNIT_M, _MM_PER_M, _MAX_COLOR = 3.0, 1000.0, 255.0


def view_pixels(frame: RgbdFrame) -> Float32Array:
    """(7, 120, 160) float32."""
    rgb, depth_mm = small_picture(frame.rgb, frame.depth)
    return stack_planes(rgb, depth_mm, resize_intrinsics(frame.intrinsics, *PICTURE_SIZE))


def small_picture(rgb: NDArray[np.uint8], depth: Float32Array | None) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """(120, 160, 3) colours, and (120, 160) the nearest readings of depth in mm, 0 without."""
    width, height = PICTURE_SIZE
    # colours by area, depth not: an average across an edge is where there is nothing
    small = cv2.resize(rgb, PICTURE_SIZE, interpolation=cv2.INTER_AREA)
    if depth is None:
        return np.asarray(small, np.uint8), np.zeros((height, width), np.uint16)
    rows, columns = nearest_pixels(height, depth.shape[0]), nearest_pixels(width, depth.shape[1])
    nearest = depth[rows[:, None], columns[None]]
    # a comparison with NaN is false
    readings = np.where((nearest > 0) & (nearest <= MAX_DEPTH_M), nearest, np.float32(0))
    return np.asarray(small, np.uint8), np.rint(readings * _MM_PER_M).astype(np.uint16)


def stack_planes(rgb: NDArray[np.uint8], depth_mm: NDArray[np.uint16], camera: CameraIntrinsics) -> Float32Array:
    """(7, H, W) float32 of (H, W, 3) colours and (H, W) depth of a camera whose images have this size."""
    height, width = depth_mm.shape
    planes = np.empty((PICTURE_PLANES, height, width), np.float32)
    planes[:3] = rgb.transpose(2, 0, 1) * np.float32(1 / _MAX_COLOR) - np.float32(0.5)
    z = depth_mm * np.float32(1 / (_MM_PER_M * _UNIT_M))
    planes[3] = z * ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    planes[4] = z * ((np.arange(height) - camera.cy) / camera.fy).astype(np.float32)[:, None]
    planes[5] = z
    planes[6] = depth_mm > 0
    return planes
