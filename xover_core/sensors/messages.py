# SPDX-License-Identifier: Apache-2.0
"""Sensor messages as plain data: what the ROS node and the bag reader both convert theirs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from array import array

# Anything with the buffer protocol; `array` is what rclpy hands out.
ByteData: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """sensor_msgs/Image: rows of pixels, `step` bytes apart."""

    stamp_ns: int
    frame_id: str
    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: bool
    data: ByteData


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCompressedImage:
    """sensor_msgs/CompressedImage: an image file, or what compressed_depth_image_transport makes of depth."""

    stamp_ns: int
    frame_id: str
    format: str
    data: ByteData


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCameraInfo:
    """sensor_msgs/CameraInfo.

    Attributes:
        K: row-major (3, 3) camera matrix of the distorted image.
        D: distortion coefficients of `distortion_model`; empty or zeros for none.
        P: row-major (3, 4) projection matrix of the rectified image.
        is_rectified: whether the images are rectified already, so that P holds and D is done with. ROS does not say
            so in the message; it is known by the topic's name (`image_rect...`).
    """

    stamp_ns: int
    frame_id: str
    width: int
    height: int
    K: tuple[float, ...]
    D: tuple[float, ...] = ()
    distortion_model: str = ""
    P: tuple[float, ...] = ()
    is_rectified: bool = False


ImageMessage: TypeAlias = RawImage | RawCompressedImage
