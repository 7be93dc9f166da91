# SPDX-License-Identifier: Apache-2.0
"""Image and camera messages -> the plain data of `xover_core.sensors`; nothing is decoded or copied here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from xover_core.sensors.messages import RawCameraInfo, RawCompressedImage, RawImage
from xover_ros.message_conversions import byte_array, header, stamp_to_ns


def raw_image(message: Image) -> RawImage:
    """An uncompressed image."""
    return RawImage(
        stamp_ns=stamp_to_ns(message.header.stamp),
        frame_id=message.header.frame_id,
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
        data=message.data,
    )


def raw_compressed_image(message: CompressedImage) -> RawCompressedImage:
    """A compressed image."""
    return RawCompressedImage(
        stamp_ns=stamp_to_ns(message.header.stamp),
        frame_id=message.header.frame_id,
        format=message.format,
        data=message.data,
    )


def raw_camera_info(message: CameraInfo, *, is_rectified: bool = False) -> RawCameraInfo:
    """A camera's calibration."""
    return RawCameraInfo(
        stamp_ns=stamp_to_ns(message.header.stamp),
        frame_id=message.header.frame_id,
        width=message.width,
        height=message.height,
        K=tuple(float(value) for value in message.k),
        D=tuple(float(value) for value in message.d),
        distortion_model=message.distortion_model,
        P=tuple(float(value) for value in message.p),
        is_rectified=is_rectified,
    )


def color_message(rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """(H, W, 3) RGB uint8 as an rgb8 message."""
    height, width = rgb.shape[:2]
    return Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=byte_array(rgb),
    )
