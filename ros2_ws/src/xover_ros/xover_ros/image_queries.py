# SPDX-License-Identifier: Apache-2.0
"""Pictures that come by service: checked and decoded to frames."""

from __future__ import annotations

from sensor_msgs.msg import Image
from xover_msgs.srv import LocalizeImage

from xover_core.errors import SensorDataError
from xover_core.sensors.camera_info import Undistorter
from xover_core.sensors.image_decoding import decode_color, decode_depth, resize_depth_to_color
from xover_core.types import Float32Array, RgbdFrame
from xover_ros.sensor_conversions import raw_camera_info, raw_image


def frame_of_localize_image(request: LocalizeImage.Request, *, depth_scale: float) -> RgbdFrame:
    """The frame of a request of `localize_image`, with depth if there is some.

    Raises:
        SensorDataError: no image, no calibration, an encoding that cannot be read, sizes that do not fit.
    """
    _check_filled(request.image, "image")
    undistorter = Undistorter(raw_camera_info(request.camera_info))
    image = raw_image(request.image)
    return RgbdFrame(
        stamp_ns=image.stamp_ns,
        rgb=undistorter.undistort_color(decode_color(image)),
        depth=_depth(request.depth, undistorter, depth_scale) if len(request.depth.data) else None,
        intrinsics=undistorter.intrinsics,
        camera_frame_id=image.frame_id or "camera",
    )


def _depth(message: Image, undistorter: Undistorter, depth_scale: float) -> Float32Array:
    """Depth in the size of colour."""
    depth = decode_depth(raw_image(message), depth_scale=depth_scale)
    width, height = undistorter.intrinsics.width, undistorter.intrinsics.height
    return undistorter.undistort_depth(resize_depth_to_color(depth, width=width, height=height))


def _check_filled(message: Image, name: str) -> None:
    if not message.data:
        raise SensorDataError(f"{name}: expected a picture, got an empty message; fill in size, encoding and data.")
