# SPDX-License-Identifier: Apache-2.0
"""Any image message, raw or compressed, to the project's conventions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.sensors.compressed_images import decode_compressed_color, decode_compressed_depth
from xover_core.sensors.messages import ImageMessage, RawImage
from xover_core.sensors.raw_images import decode_raw_color, decode_raw_depth
from xover_core.types import Float32Array

MAX_ASPECT_DIFFERENCE = 0.01  # 640x480 against 320x240 differs by nothing, against 640x360 by a third


def decode_color(image: ImageMessage) -> NDArray[np.uint8]:
    """Colour as (H, W, 3) RGB uint8; SensorDataError when it cannot be decoded."""
    return decode_raw_color(image) if isinstance(image, RawImage) else decode_compressed_color(image)


def decode_depth(image: ImageMessage, *, depth_scale: float) -> Float32Array:
    """Depth as (H, W) float32 metres, 0 for no reading; SensorDataError when it cannot be decoded.

    Args:
        image: raw or compressed message.
        depth_scale: units per metre of 16-bit images; floating-point ones are in metres.
    """
    if isinstance(image, RawImage):
        return decode_raw_depth(image, depth_scale=depth_scale)
    return decode_compressed_depth(image, depth_scale=depth_scale)


def resize_depth_to_color(depth: Float32Array, *, width: int, height: int) -> Float32Array:
    """Bring registered depth to the size of the colour image by nearest sample.

    Depth that was registered to colour and then taken at another resolution shows the same view, so its aspect ratio is
    the same. Another aspect ratio means another camera, and no resizing would make that right.

    Raises:
        SensorDataError: another aspect ratio.
    """
    if depth.shape == (height, width):
        return depth
    depth_height, depth_width = depth.shape
    if abs(depth_width * height / (depth_height * width) - 1) > MAX_ASPECT_DIFFERENCE:
        raise SensorDataError(
            f"depth image: {depth_width}x{depth_height} is not registered to the colour image of {width}x{height}, the"
            " aspect ratios differ; use the depth topic that the driver aligns to colour."
        )
    resized = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.float32)
