# SPDX-License-Identifier: Apache-2.0
"""A stored keyframe as a frame again: what an encoder needs to describe it once more, or a training to learn from."""

from __future__ import annotations

import cv2
import numpy as np

from xover_core.encoders.patch_grid import PATCH_STRIDE
from xover_core.geometry.camera import resize_intrinsics
from xover_core.landmark_map.thumbnails import decode_thumbnail
from xover_core.types import Float32Array, Keyframe, RgbdFrame


def keyframe_frame(keyframe: Keyframe) -> RgbdFrame:
    """The frame that a keyframe was made of, as far as the map has kept it.

    Returns:
        The stored image, the camera at its size, and for every pixel the depth of the patch that it lies in; 0 in
        patches without a point. The map's pose is not odometry, so there is none.

    Raises:
        MapFormatError: the stored image is no JPEG.
    """
    rgb = decode_thumbnail(keyframe.thumbnail_jpeg)
    height, width = rgb.shape[:2]
    return RgbdFrame(
        stamp_ns=keyframe.stamp_ns,
        rgb=rgb,
        depth=_spread_depth(keyframe, width, height),
        intrinsics=resize_intrinsics(keyframe.intrinsics, width, height),
    )


def _spread_depth(keyframe: Keyframe, width: int, height: int) -> Float32Array:
    """(height, width) metres, constant over each patch."""
    rows, cols = keyframe.grid_shape
    patches = np.nan_to_num(keyframe.points_camera[:, 2]).reshape(rows, cols).astype(np.float32)
    spread = patches.repeat(PATCH_STRIDE, axis=0).repeat(PATCH_STRIDE, axis=1)
    # a stored image is smaller than the patches ask for where the original one was
    return np.asarray(cv2.resize(spread, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)
