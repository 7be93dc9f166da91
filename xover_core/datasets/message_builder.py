# SPDX-License-Identifier: Apache-2.0
"""Builds ROS 2 messages with rosbags' Jazzy types, without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from xover_core.datasets.bag_topics import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, ODOMETRY, POSE_STAMPED, TRANSFORMS
from xover_core.geometry.transforms import quaternion_from_rotation
from xover_core.sensors.compressed_images import encode_compressed_color, encode_compressed_depth
from xover_core.types import CameraIntrinsics, Mat4

MAX_DEPTH_MM = 65535


class MessageBuilder:
    """Plain data to messages; `serialize` makes the bytes that a bag holds."""

    def __init__(self) -> None:
        self.typestore = get_typestore(Stores.ROS2_JAZZY)

    def serialize(self, message: Any, message_type: str) -> memoryview | bytes:
        """CDR bytes."""
        return self.typestore.serialize_cdr(message, message_type)

    def color(self, rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Any:
        """sensor_msgs/Image in rgb8 of (H, W, 3) uint8."""
        return self._image(rgb, "rgb8", stamp_ns, frame_id)

    def depth(self, depth_mm: NDArray[np.uint16], stamp_ns: int, frame_id: str) -> Any:
        """sensor_msgs/Image in 16UC1 of (H, W) millimetres."""
        return self._image(depth_mm, "16UC1", stamp_ns, frame_id)

    def compressed_color(self, rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str, *, quality: int) -> Any:
        """sensor_msgs/CompressedImage as JPEG."""
        data = encode_compressed_color(rgb, quality=quality)
        return self._compressed(data, "rgb8; jpeg compressed bgr8", stamp_ns, frame_id)

    def compressed_depth(self, depth_mm: NDArray[np.uint16], stamp_ns: int, frame_id: str) -> Any:
        """sensor_msgs/CompressedImage as compressed_depth_image_transport makes it."""
        data = encode_compressed_depth(depth_mm)
        return self._compressed(data, "16UC1; compressedDepth png", stamp_ns, frame_id)

    def camera_info(self, camera: CameraIntrinsics, stamp_ns: int, frame_id: str) -> Any:
        """sensor_msgs/CameraInfo of a camera without distortion."""
        K = camera.matrix
        return self._make(
            CAMERA_INFO,
            header=self._header(stamp_ns, frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=K.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([K, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=self._make(
                "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )

    def odometry(self, T_odom_base: Mat4, stamp_ns: int, odom_frame: str, base_frame: str) -> Any:
        """nav_msgs/Odometry without velocity."""
        zero = self._vector(np.zeros(3))
        twist = self._make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        with_covariance = {"covariance": np.zeros(36)}
        return self._make(
            ODOMETRY,
            header=self._header(stamp_ns, odom_frame),
            child_frame_id=base_frame,
            pose=self._make("geometry_msgs/msg/PoseWithCovariance", pose=self._pose(T_odom_base), **with_covariance),
            twist=self._make("geometry_msgs/msg/TwistWithCovariance", twist=twist, **with_covariance),
        )

    def pose_stamped(self, T_world_base: Mat4, stamp_ns: int, world_frame: str) -> Any:
        """geometry_msgs/PoseStamped."""
        return self._make(POSE_STAMPED, header=self._header(stamp_ns, world_frame), pose=self._pose(T_world_base))

    def transforms(self, edges: list[tuple[str, str, Mat4]], stamp_ns: int) -> Any:
        """tf2_msgs/TFMessage of (parent, child, T_parent_child)."""
        stamped = [
            self._make(
                "geometry_msgs/msg/TransformStamped",
                header=self._header(stamp_ns, parent),
                child_frame_id=child,
                transform=self._make(
                    "geometry_msgs/msg/Transform",
                    translation=self._vector(T_parent_child[:3, 3]),
                    rotation=self._quaternion(T_parent_child),
                ),
            )
            for parent, child, T_parent_child in edges
        ]
        return self._make(TRANSFORMS, transforms=stamped)

    def _make(self, message_type: str, **fields: Any) -> Any:
        """A message with its fields."""
        return self.typestore.types[message_type](**fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def _image(self, pixels: NDArray[np.generic], encoding: str, stamp_ns: int, frame_id: str) -> Any:
        height, width = pixels.shape[:2]
        rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        return self._make(
            IMAGE,
            header=self._header(stamp_ns, frame_id),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=rows.size // height,
            data=rows,
        )

    def _compressed(self, data: bytes, image_format: str, stamp_ns: int, frame_id: str) -> Any:
        return self._make(
            COMPRESSED_IMAGE,
            header=self._header(stamp_ns, frame_id),
            format=image_format,
            data=np.frombuffer(data, dtype=np.uint8),
        )

    def _pose(self, T_a_b: Mat4) -> Any:
        x, y, z = map(float, T_a_b[:3, 3])
        position = self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        return self._make("geometry_msgs/msg/Pose", position=position, orientation=self._quaternion(T_a_b))

    def _vector(self, vector: NDArray[np.float64]) -> Any:
        x, y, z = map(float, vector)
        return self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def _quaternion(self, T_a_b: Mat4) -> Any:
        x, y, z, w = map(float, quaternion_from_rotation(T_a_b[:3, :3]))
        return self._make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def depth_in_millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(H, W) metres to 16-bit millimetres; what is too far for 16 bits becomes no reading."""
    millimetres = np.rint(depth.astype(np.float64) * 1000)
    return np.where(millimetres <= MAX_DEPTH_MM, millimetres, 0).astype(np.uint16)
