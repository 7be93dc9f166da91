# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms SE(3) as (4, 4) float64 matrices, `p_a = T_a_b @ p_b`; quaternions in the order x y z w."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.types import Float64Array, Mat4


def make_pose(R_a_b: NDArray[np.floating], t_a_b: NDArray[np.floating] | Sequence[float]) -> Mat4:
    """Build T_a_b from a (3, 3) rotation and a (3,) translation in metres."""
    pose = np.eye(4)
    pose[:3, :3] = R_a_b
    pose[:3, 3] = t_a_b
    return pose


def invert(T_a_b: Mat4) -> Mat4:
    """Return T_b_a."""
    R_b_a = T_a_b[:3, :3].T
    return make_pose(R_b_a, -R_b_a @ T_a_b[:3, 3])


def transform_points(T_a_b: Mat4, points_b: NDArray[np.floating]) -> Float64Array:
    """Take (N, 3) points in b to a; NaN rows stay NaN, no rows give no rows."""
    return np.asarray(points_b @ T_a_b[:3, :3].T + T_a_b[:3, 3], dtype=np.float64)


def rotation_angle(R_a_b: NDArray[np.floating]) -> float:
    """Angle of a rotation in [0, pi] rad, accurate near 0 and near pi alike."""
    sine = np.linalg.norm([R_a_b[2, 1] - R_a_b[1, 2], R_a_b[0, 2] - R_a_b[2, 0], R_a_b[1, 0] - R_a_b[0, 1]]) / 2
    return float(np.arctan2(sine, (np.trace(R_a_b) - 1) / 2))


def pose_error(T_a_estimate: Mat4, T_a_truth: Mat4) -> tuple[float, float]:
    """Distance (m) and angle (rad) between two poses given in the same frame."""
    distance = float(np.linalg.norm(T_a_estimate[:3, 3] - T_a_truth[:3, 3]))
    return distance, rotation_angle(T_a_truth[:3, :3].T @ T_a_estimate[:3, :3])


def rotation_from_quaternion(quat_xyzw: Sequence[float] | Float64Array) -> Float64Array:
    """(3, 3) rotation of a quaternion, which is normalised first.

    Raises:
        GeometryError: zero, NaN, or not four numbers.
    """
    quat = np.asarray(quat_xyzw, dtype=np.float64)
    norm = np.linalg.norm(quat) if quat.shape == (4,) else np.nan
    if not norm > 1e-6:
        raise GeometryError(f"quaternion x y z w: expected four numbers of non-zero norm, got {quat.tolist()}.")
    x, y, z, w = quat / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(R_a_b: NDArray[np.floating]) -> Float64Array:
    """(4,) unit quaternion x y z w with w >= 0 (Bar-Itzhack 2000: the dominant eigenvector, stable everywhere)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(R_a_b, dtype=np.float64)
    symmetric = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    quat = np.linalg.eigh(symmetric)[1][:, -1]
    return np.asarray(-quat if quat[3] < 0 else quat)


def exp_se3(twist: NDArray[np.floating]) -> Mat4:
    """SE(3) exponential of (6,): translation part first (m), rotation vector second (rad)."""
    rho, omega = np.asarray(twist, dtype=np.float64)[:3], np.asarray(twist, dtype=np.float64)[3:]
    angle = np.linalg.norm(omega)
    W = skew(omega)
    if angle < 1e-8:
        return make_pose(np.eye(3) + W, rho + 0.5 * W @ rho)
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    V = np.eye(3) + b * W + (1 - a) / angle**2 * W @ W
    return make_pose(np.eye(3) + a * W + b * W @ W, V @ rho)


def log_se3(T_a_b: Mat4) -> Float64Array:
    """(6,) twist of a transform, inverse of `exp_se3`; unique for angles below pi."""
    quat = quaternion_from_rotation(T_a_b[:3, :3])
    sine = np.linalg.norm(quat[:3])
    angle = 2 * np.arctan2(sine, quat[3])
    omega = quat[:3] * (angle / sine if sine > 1e-12 else 2.0)
    W = skew(omega)
    # (1 - (angle / 2) cot(angle / 2)) / angle^2, whose limit at 0 is 1/12
    c = 1 / 12 if angle < 1e-4 else (1 - angle / 2 / np.tan(angle / 2)) / angle**2
    V_inverse = np.eye(3) - 0.5 * W + c * W @ W
    return np.concatenate([V_inverse @ T_a_b[:3, 3], omega])


def skew(vector: NDArray[np.floating]) -> Float64Array:
    """(3, 3) matrix of the cross product: `skew(a) @ b == a x b`."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def interpolate(T_a_b: Mat4, T_a_c: Mat4, fraction: float) -> Mat4:
    """Pose between b (fraction 0) and c (fraction 1): linear translation, constant angular velocity."""
    twist = log_se3(make_pose(T_a_b[:3, :3].T @ T_a_c[:3, :3], (0, 0, 0)))
    rotation = T_a_b[:3, :3] @ exp_se3(fraction * twist)[:3, :3]
    return make_pose(rotation, (1 - fraction) * T_a_b[:3, 3] + fraction * T_a_c[:3, 3])
