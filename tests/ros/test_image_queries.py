# SPDX-License-Identifier: Apache-2.0
"""Pictures that come by service."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from xover_msgs.srv import LocalizeImage
from xover_ros.image_queries import frame_of_localize_image
from xover_ros.message_conversions import byte_array
from xover_ros.sensor_conversions import color_message

from xover_core.errors import SensorDataError

WIDTH, HEIGHT = 64, 48


def _color() -> Image:
    return color_message(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 5, "phone")


def _depth(width: int = WIDTH) -> Image:
    data = byte_array(np.full((HEIGHT, width), 1500, np.uint16))
    return Image(height=HEIGHT, width=width, encoding="16UC1", step=2 * width, data=data)


def _info() -> CameraInfo:
    k = np.array([60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1])
    return CameraInfo(width=WIDTH, height=HEIGHT, k=k, distortion_model="plumb_bob")


def test_with_and_without_depth() -> None:
    request = LocalizeImage.Request(image=_color(), camera_info=_info())
    assert frame_of_localize_image(request, depth_scale=1000.0).depth is None
    request.depth = _depth()
    frame = frame_of_localize_image(request, depth_scale=1000.0)
    assert frame.depth is not None
    assert frame.depth[0, 0] == np.float32(1.5)
    assert (frame.stamp_ns, frame.camera_frame_id, frame.intrinsics.fx) == (5, "phone", 60.0)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(SensorDataError, match="image"):
        frame_of_localize_image(LocalizeImage.Request(camera_info=_info()), depth_scale=1000.0)
    with pytest.raises(SensorDataError, match="calibrat"):
        frame_of_localize_image(LocalizeImage.Request(image=_color()), depth_scale=1000.0)
    request = LocalizeImage.Request(image=_color(), camera_info=_info(), depth=_depth(WIDTH // 2))
    with pytest.raises(SensorDataError, match="depth"):
        frame_of_localize_image(request, depth_scale=1000.0)
