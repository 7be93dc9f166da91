# SPDX-License-Identifier: Apache-2.0
"""Stamps, poses, transforms and arrays between ROS messages and plain values.

Poses are `T_a_b` (4, 4) with a = `frame_id` and b = `child_frame_id` (or the body whose pose it is).
"""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovariance, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from std_msgs.msg import Header

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import make_pose, quaternion_from_rotation, rotation_from_quaternion, skew
from xover_core.types import Float64Array, Mat4

NS_PER_S = 1_000_000_000


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a stamp."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def stamp_from_ns(stamp_ns: int) -> Time:
    """Stamp of nanoseconds."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header(stamp_ns: int, frame_id: str) -> Header:
    """Header with stamp and frame."""
    return Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id)


def pose_matrix(pose: Pose) -> Mat4:
    """T_frame_body of a pose.

    Raises:
        GeometryError: NaN, infinite, or a quaternion of norm zero.
    """
    return _matrix(pose.position, pose.orientation)


def transform_matrix(transform: Transform) -> Mat4:
    """T_parent_child of a transform.

    Raises:
        GeometryError: NaN, infinite, or a quaternion of norm zero.
    """
    return _matrix(transform.translation, transform.rotation)


def _matrix(position: Vector3, orientation: Quaternion) -> Mat4:
    translation = (position.x, position.y, position.z)
    if not np.isfinite(translation).all():
        raise GeometryError(f"position x y z: expected finite numbers, got {list(translation)}.")
    quat = (orientation.x, orientation.y, orientation.z, orientation.w)
    return make_pose(rotation_from_quaternion(quat), translation)


def pose_message(T_frame_body: Mat4) -> Pose:
    """Pose message of a transform."""
    pose = Pose(orientation=quaternion_message(T_frame_body))
    pose.position.x, pose.position.y, pose.position.z = (float(value) for value in T_frame_body[:3, 3])
    return pose


def quaternion_message(T_frame_body: Mat4) -> Quaternion:
    """Quaternion message of a transform's rotation."""
    x, y, z, w = (float(value) for value in quaternion_from_rotation(T_frame_body[:3, :3]))
    return Quaternion(x=x, y=y, z=z, w=w)


def vector_message(vector: NDArray[np.floating]) -> Vector3:
    """Vector3 message of three numbers."""
    x, y, z = (float(value) for value in vector)
    return Vector3(x=x, y=y, z=z)


def transform_message(stamp_ns: int, parent: str, child: str, T_parent_child: Mat4) -> TransformStamped:
    """Stamped transform message."""
    transform = Transform(
        translation=vector_message(T_parent_child[:3, 3]), rotation=quaternion_message(T_parent_child)
    )
    return TransformStamped(header=header(stamp_ns, parent), child_frame_id=child, transform=transform)


def pose_with_covariance(T_frame_body: Mat4, covariance: Float64Array) -> PoseWithCovariance:
    """Pose and (6, 6) covariance in the order x y z roll pitch yaw about the frame's axes, as ROS defines it."""
    return PoseWithCovariance(pose=pose_message(T_frame_body), covariance=np.ravel(covariance).astype(np.float64))


def covariance_matrix(message: PoseWithCovariance) -> Float64Array:
    """(6, 6) covariance of a message.

    Raises:
        GeometryError: NaN, or a negative variance.
    """
    covariance = np.array(message.covariance, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(covariance).all() or (np.diag(covariance) < 0).any():
        raise GeometryError(
            f"covariance: expected finite numbers and variances >= 0, got the diagonal {np.diag(covariance).tolist()}."
        )
    return covariance


def move_covariance(covariance_a: Float64Array, T_map_a: Mat4, T_a_b: Mat4) -> Float64Array:
    """Covariance of b's pose in the map when b is rigidly fixed to a.

    A rotation error w of a about the map's axes moves b by w x r, with r from a to b in the map.

    Args:
        covariance_a: (6, 6) of a's pose, x y z roll pitch yaw about the map's axes.
        T_map_a: where a is.
        T_a_b: where b is on it.
    """
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -skew(T_map_a[:3, :3] @ T_a_b[:3, 3])
    return np.asarray(jacobian @ covariance_a @ jacobian.T)


def byte_array(values: NDArray[np.generic]) -> array.array[int]:
    """Bytes of an array as rclpy takes them without copying item by item."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data
