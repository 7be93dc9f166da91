# SPDX-License-Identifier: Apache-2.0
"""Encodings that the core does not know, such as Bayer patterns, by `cv_bridge` where that is installed."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from xover_core.sensors.raw_images import COLOR_ENCODINGS, DEPTH_ENCODINGS
from xover_ros.message_conversions import stamp_to_ns
from xover_ros.sensor_conversions import color_message

_KNOWN = frozenset(COLOR_ENCODINGS) | frozenset(DEPTH_ENCODINGS)


def convert_exotic(message: Image) -> Image:
    """An image in an encoding that the core knows; the message itself where nothing can or need be converted.

    What stays unknown is refused by the core with the list of encodings it accepts.
    """
    bridge = _bridge() if message.encoding not in _KNOWN else None
    if bridge is None:
        return message
    try:
        rgb = bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")
    except (RuntimeError, ValueError, TypeError):  # cv_bridge's errors: no known or no colour encoding
        return message
    return color_message(np.asarray(rgb, dtype=np.uint8), stamp_to_ns(message.header.stamp), message.header.frame_id)


@functools.cache
def _bridge() -> Any:
    """A CvBridge; None where it is not installed."""
    try:
        return importlib.import_module("cv_bridge").CvBridge()
    except ImportError:
        return None
