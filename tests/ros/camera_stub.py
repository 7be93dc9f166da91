# SPDX-License-Identifier: Apache-2.0
"""A camera on a robot that publishes whatever a test wants, right or wrong."""

from __future__ import annotations

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from probe import Probe
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from xover_ros.message_conversions import byte_array, header, pose_message, transform_message
from xover_ros.qos import latched, reliable
from xover_ros.sensor_conversions import color_message

from xover_core.datasets.bag_frames import forward_camera
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.geometry.transforms import invert
from xover_core.types import CameraIntrinsics

OPTICAL = "camera_color_optical_frame"
COLOR, DEPTH, INFO = "/camera/color/image_raw", "/camera/depth/image_raw", "/camera/color/camera_info"


class CameraStub:
    """Publishes frames of a recording on the topics of our own bags, each part by itself."""

    def __init__(self, probe: Probe, prefix: str = "") -> None:
        """Make the publishers, their names with a prefix."""
        node = probe.node
        self._prefix = prefix
        self._color = node.create_publisher(Image, prefix + COLOR, reliable(30))
        self._depth = node.create_publisher(Image, prefix + DEPTH, reliable(30))
        self._info = node.create_publisher(CameraInfo, prefix + INFO, reliable(30))
        self._odom = node.create_publisher(Odometry, f"{prefix}/odom", reliable(30))
        self._static = node.create_publisher(TFMessage, "/tf_static", latched(10))

    @property
    def remaps(self) -> dict[str, str]:
        """Remappings of a node that is to hear this camera."""
        topics = {
            "rgb/image": COLOR,
            "depth/image": DEPTH,
            "rgb/camera_info": INFO,
            "odom": "/odom",
            "pose_in": "/pose",
        }
        return {name: self._prefix + topic for name, topic in topics.items()}

    @property
    def num_listeners(self) -> int:
        """How many nodes listen to all streams."""
        streams = (self._color, self._depth, self._info)
        return min(int(stream.get_subscription_count()) for stream in streams)

    def send_extrinsics(self, base: str = "base_link", optical: str = OPTICAL) -> None:
        """Tell where the camera sits on the robot."""
        self._static.publish(TFMessage(transforms=[transform_message(0, base, optical, forward_camera())]))

    def send(self, item: SequenceItem, stamp_ns: int) -> None:
        """Publish all parts of a frame, under another stamp."""
        self.send_odometry(item, stamp_ns)
        self.send_images(item, stamp_ns)

    def send_images(self, item: SequenceItem, stamp_ns: int, optical: str = OPTICAL) -> None:
        """Publish colour, depth and camera info."""
        self.send_info(item.frame.intrinsics, stamp_ns)
        self.send_color(color_message(item.frame.rgb, stamp_ns, optical))
        assert item.frame.depth is not None
        self.send_depth(item.frame.depth, stamp_ns)

    def send_odometry(self, item: SequenceItem, stamp_ns: int, frame_id: str = "odom") -> None:
        """Publish the robot's pose in the odometry frame."""
        assert item.frame.T_odom_camera is not None
        message = Odometry(header=header(stamp_ns, frame_id), child_frame_id="base_link")
        message.pose.pose = pose_message(item.frame.T_odom_camera @ invert(forward_camera()))
        self._odom.publish(message)

    def send_color(self, message: Image) -> None:
        """Publish a colour image as it is."""
        self._color.publish(message)

    def send_depth(self, depth: NDArray[np.float32], stamp_ns: int) -> None:
        """Publish depth in metres."""
        height, width = depth.shape
        data = byte_array(depth.astype(np.float32))
        message = Image(height=height, width=width, encoding="32FC1", step=4 * width, data=data)
        message.header = header(stamp_ns, OPTICAL)
        self._depth.publish(message)

    def send_info(self, intrinsics: CameraIntrinsics, stamp_ns: int) -> None:
        """Publish a camera info."""
        message = CameraInfo(width=intrinsics.width, height=intrinsics.height, k=intrinsics.matrix.ravel())
        message.header = header(stamp_ns, OPTICAL)
        self._info.publish(message)
