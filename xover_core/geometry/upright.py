# SPDX-License-Identifier: Apache-2.0
"""Which way is up, as told by cameras that are carried upright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xover_core.geometry.transforms import skew
from xover_core.types import Float64Array, Mat4

# Up to this angle between z and what cameras take for up, z is trusted: a robot's camera may look down all the time.
_TRUSTED_ANGLE = np.deg2rad(45.0)
# Cameras that turn in all directions agree on no up; the mean of their unit vectors is shorter than this then.
_MIN_AGREEMENT = 0.3


def upright_rotation(T_world_camera: Sequence[Mat4]) -> Float64Array:
    """The (3, 3) rotation that makes z point up in a world whose z may point anywhere.

    Up is the mean direction of the cameras' upper edges. It only decides where it is clear that z is not up, as in
    recordings whose world is that of their first camera: a world of a robot is levelled better than any mean is.

    Args:
        T_world_camera: (4, 4) poses of optical frames, whose y points down.

    Returns:
        The smallest such rotation; the identity without cameras, or where z is up well enough or nobody knows.
    """
    if not T_world_camera:
        return np.eye(3)
    mean = -np.mean([pose[:3, 1] for pose in T_world_camera], axis=0)
    agreement = float(np.linalg.norm(mean))
    if agreement < _MIN_AGREEMENT:
        return np.eye(3)
    up = mean / agreement
    if up[2] >= np.cos(_TRUSTED_ANGLE):
        return np.eye(3)
    if up[2] < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    # Rodrigues' formula for the rotation from `up` to z about their common normal
    turn = skew(np.cross(up, (0.0, 0.0, 1.0)))
    return np.asarray(np.eye(3) + turn + turn @ turn / (1 + up[2]))
