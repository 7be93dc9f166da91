# SPDX-License-Identifier: Apache-2.0
"""Messages as rosbags deserialises them to plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xover_core.datasets.bag_access import BagMessage
from xover_core.datasets.bag_topics import COMPRESSED_IMAGE, ODOMETRY
from xover_core.geometry.transforms import make_pose, rotation_from_quaternion
from xover_core.sensors.messages import ImageMessage, RawCameraInfo, RawCompressedImage, RawImage
from xover_core.types import Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedPose:
    """A pose of a body; `body_frame` is empty where the message does not say."""

    stamp_ns: int
    pose: Mat4
    body_frame: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedTransform:
    """One transform of a TF message."""

    stamp_ns: int
    parent: str
    child: str
    T_parent_child: Mat4


def stamp_of(header: Any) -> int:
    """The stamp of a std_msgs/Header in nanoseconds."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def image_of(message: BagMessage) -> ImageMessage:
    """A sensor_msgs/Image or CompressedImage."""
    content = message.content
    stamp_ns, frame_id = stamp_of(content.header), content.header.frame_id
    if message.message_type == COMPRESSED_IMAGE:
        return RawCompressedImage(stamp_ns=stamp_ns, frame_id=frame_id, format=content.format, data=content.data)
    return RawImage(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        encoding=content.encoding,
        height=content.height,
        width=content.width,
        step=content.step,
        is_bigendian=bool(content.is_bigendian),
        data=content.data,
    )


def camera_info_of(message: BagMessage, *, is_rectified: bool) -> RawCameraInfo:
    """A sensor_msgs/CameraInfo."""
    content = message.content
    return RawCameraInfo(
        stamp_ns=stamp_of(content.header),
        frame_id=content.header.frame_id,
        width=content.width,
        height=content.height,
        K=tuple(map(float, content.k)),
        D=tuple(map(float, content.d)),
        distortion_model=content.distortion_model,
        P=tuple(map(float, content.p)),
        is_rectified=is_rectified,
    )


def pose_of(message: BagMessage) -> StampedPose:
    """A geometry_msgs/PoseStamped or nav_msgs/Odometry; GeometryError for a zero quaternion."""
    content = message.content
    is_odometry = message.message_type == ODOMETRY
    pose = content.pose.pose if is_odometry else content.pose
    return StampedPose(
        stamp_ns=stamp_of(content.header),
        pose=_rigid(pose.position, pose.orientation),
        body_frame=content.child_frame_id if is_odometry else "",
    )


def transform_of(transform: Any) -> StampedTransform:
    """One geometry_msgs/TransformStamped of a TF message; GeometryError for a zero quaternion."""
    return StampedTransform(
        stamp_ns=stamp_of(transform.header),
        parent=transform.header.frame_id,
        child=transform.child_frame_id,
        T_parent_child=_rigid(transform.transform.translation, transform.transform.rotation),
    )


def _rigid(position: Any, orientation: Any) -> Mat4:
    """(4, 4) of a position and a quaternion message."""
    quat_xyzw = (orientation.x, orientation.y, orientation.z, orientation.w)
    return make_pose(rotation_from_quaternion(quat_xyzw), (position.x, position.y, position.z))
