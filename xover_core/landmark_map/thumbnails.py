# SPDX-License-Identifier: Apache-2.0
"""The colour image of a keyframe as a small JPEG: for people, and to encode the keyframe again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.patch_grid import PATCH_STRIDE
from xover_core.errors import MapFormatError, SensorDataError


def encode_thumbnail(rgb: NDArray[np.uint8], grid_shape: tuple[int, int], *, quality: int) -> bytes:
    """JPEG of an (H, W, 3) image, reduced to the size at which the encoder works, but never enlarged.

    Args:
        rgb: uint8 image.
        grid_shape: (rows, cols) of its patches, which are PATCH_STRIDE px apart at the encoder's working size.
        quality: of the JPEG, 1 to 100.
    """
    height, width = grid_shape[0] * PATCH_STRIDE, grid_shape[1] * PATCH_STRIDE
    if rgb.shape[0] > height:
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    is_done, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_done:
        raise SensorDataError(f"keyframe image of {rgb.shape[1]}x{rgb.shape[0]} px: cannot be encoded as JPEG.")
    return jpeg.tobytes()


def decode_thumbnail(jpeg: bytes) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB.

    Raises:
        MapFormatError: not a JPEG.
    """
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if bgr is None:
        raise MapFormatError(f"keyframe image: expected a JPEG, got {len(jpeg)} bytes of something else.")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)
