# SPDX-License-Identifier: Apache-2.0
"""The map seen from above: which way is up, and where its points fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xover_core.geometry.transforms import transform_points
from xover_core.types import Float64Array, Keyframe, Mat4

_SNAP_COSINE = np.cos(np.radians(25.0))
_CEILING_ABOVE_CAMERA_M = 0.6


def up_direction(poses: Sequence[Mat4]) -> Float64Array:
    """Unit vector (3,) that points up in the map: the mean of the cameras' up, or a map axis close to it.

    Without poses it is z, as ROS has it.
    """
    mean = -np.mean([T[:3, 1] for T in poses], axis=0) if len(poses) else np.array([0.0, 0.0, 1.0])
    up = np.asarray(mean / max(np.linalg.norm(mean), 1e-9), dtype=np.float64)
    axis = int(np.argmax(np.abs(up)))
    if abs(up[axis]) < _SNAP_COSINE:
        return up
    return np.asarray(np.sign(up[axis]) * np.eye(3)[axis])


def floor_axes(up: Float64Array) -> Float64Array:
    """(2, 3) right and forward directions of a view from above; x and y of the map when z is up."""
    axis = int(np.argmax(np.abs(up)))
    helper = np.eye(3)[0 if axis != 0 else 1]
    right = helper - helper @ up * up
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right)])


def points_from_above(keyframes: Sequence[Keyframe], up: Float64Array, *, max_points: int = 60_000) -> Float64Array:
    """(N, 3) map points of the keyframes' patches below the ceiling, thinned to at most `max_points`."""
    clouds = [_below_ceiling(keyframe, up) for keyframe in keyframes]
    points = np.concatenate(clouds) if clouds else np.zeros((0, 3))
    step = max(1, -(-len(points) // max_points))
    return points[::step]


def _below_ceiling(keyframe: Keyframe, up: Float64Array) -> Float64Array:
    """Points of one keyframe, without NaN and without what hangs well above the camera."""
    points = transform_points(keyframe.T_map_camera, keyframe.points_camera)
    height = (points - keyframe.T_map_camera[:3, 3]) @ up
    # NaN compares as False
    return np.asarray(points[height < _CEILING_ABOVE_CAMERA_M])
