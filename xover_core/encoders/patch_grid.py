# SPDX-License-Identifier: Apache-2.0
"""The patch grid that all encoders share: resize to the working height, stride 8, centres back in image pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.camera import scale_pixels
from xover_core.types import Float32Array

PATCH_STRIDE = 8
# Sizes of images whose grids are kept; a robot has one or two, but anybody may ask about a picture.
MAX_SIZES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """Where the patches of an image of a given size lie.

    Attributes:
        working_size: (width, height) to which the image is resized, multiples of the stride.
        grid_shape: (rows, cols).
        centers_px: (N, 2) float32 patch centres in the resized image, row by row.
        keypoints_px: (N, 2) float32 the same in the original image.
    """

    working_size: tuple[int, int]
    grid_shape: tuple[int, int]
    centers_px: Float32Array
    keypoints_px: Float32Array


@lru_cache(maxsize=MAX_SIZES)
def make_patch_grid(width: int, height: int, working_height: int) -> PatchGrid:
    """Lay the grid over an image of (width, height); the aspect ratio is kept to within half a patch.

    The same size gives the same grid, which nobody writes to.
    """
    rows = max(1, round(working_height / PATCH_STRIDE))
    cols = max(1, round(width * rows / height))
    size = (cols * PATCH_STRIDE, rows * PATCH_STRIDE)
    v, u = np.mgrid[0:rows, 0:cols].astype(np.float32) * PATCH_STRIDE + (PATCH_STRIDE - 1) / 2
    centers = np.stack([u.ravel(), v.ravel()], axis=1)
    return PatchGrid(
        working_size=size,
        grid_shape=(rows, cols),
        centers_px=centers,
        keypoints_px=scale_pixels(centers, width / size[0], height / size[1]),
    )


def resize_to_grid(rgb: NDArray[np.uint8], grid: PatchGrid) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to the grid's working size, by area when shrinking."""
    if (rgb.shape[1], rgb.shape[0]) == grid.working_size:
        return rgb
    shrinks = grid.working_size[1] < rgb.shape[0]
    resized = cv2.resize(rgb, grid.working_size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
