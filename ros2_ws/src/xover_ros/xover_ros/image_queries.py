# SPDX-License-Identifier: Apache-2.0
"""Pictures that come by service: checked and decoded to frames."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image
from xover_msgs.srv import LocalizeImage, QueryScene

from xover_core.errors import SensorDataError
from xover_core.sensors.camera_info import Undistorter
from xover_core.sensors.image_decoding import decode_color, decode_depth, resize_depth_to_color
from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame
from xover_ros.sensor_conversions import raw_camera_info, raw_image

# A picture without camera info is taken to be a phone's or webcam's; ranking scenes hardly depends on it.
_ASSUMED_FIELD_OF_VIEW = np.radians(65.0)


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


def frame_of_query_image(message: Image) -> RgbdFrame:
    """The frame of a picture of which nothing else is known.

    Raises:
        SensorDataError: no image, or an encoding that cannot be read.
    """
    _check_filled(message, "image")
    image = raw_image(message)
    rgb = decode_color(image)
    height, width = rgb.shape[:2]
    focal_length = width / 2 / np.tan(_ASSUMED_FIELD_OF_VIEW / 2)
    intrinsics = CameraIntrinsics(
        fx=focal_length, fy=focal_length, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )
    return RgbdFrame(stamp_ns=image.stamp_ns, rgb=rgb, depth=None, intrinsics=intrinsics)


def unavailable_modalities(request: QueryScene.Request) -> list[str]:
    """Which of the modalities that a request fills in no model here can read."""
    filled = {
        "text": bool(request.text),
        "floorplan": bool(request.floorplan.data),
        "point cloud": bool(request.point_cloud.data),
    }
    return [name for name, is_filled in filled.items() if is_filled]


def _depth(message: Image, undistorter: Undistorter, depth_scale: float) -> Float32Array:
    """Depth in the size of colour."""
    depth = decode_depth(raw_image(message), depth_scale=depth_scale)
    width, height = undistorter.intrinsics.width, undistorter.intrinsics.height
    return undistorter.undistort_depth(resize_depth_to_color(depth, width=width, height=height))


def _check_filled(message: Image, name: str) -> None:
    if not message.data:
        raise SensorDataError(f"{name}: expected a picture, got an empty message; fill in size, encoding and data.")
