# SPDX-License-Identifier: Apache-2.0
"""The topics and frames of the bags that xover writes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xover_core.geometry.transforms import make_pose
from xover_core.types import Mat4

COLOR_TOPIC = "/camera/color/image_raw"
DEPTH_TOPIC = "/camera/depth/image_raw"
CAMERA_INFO_TOPIC = "/camera/color/camera_info"
ODOMETRY_TOPIC = "/odom"
POSE_TOPIC = "/ground_truth/pose"
TF_TOPIC = "/tf"
TF_STATIC_TOPIC = "/tf_static"

# A camera body looks along its x axis with z up (REP 103); its optical frame looks along z with y down.
_R_LINK_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CAMERA_HEIGHT = 1.0


def optical_rotation() -> Mat4:
    """T_link_optical: from a camera's optical frame to its body frame at the same place."""
    return make_pose(_R_LINK_OPTICAL, (0.0, 0.0, 0.0))


def forward_camera() -> Mat4:
    """T_base_camera of a camera 1 m above the robot's base that looks forward."""
    return make_pose(_R_LINK_OPTICAL, (0.0, 0.0, CAMERA_HEIGHT))


@dataclass(frozen=True, slots=True, kw_only=True)
class BagFrames:
    """Frame names, and where the camera sits on the robot.

    Attributes:
        world: frame of the true poses.
        odom: frame of the odometry.
        base: body of the robot.
        camera_link: body of the camera.
        optical: optical frame of the camera; the one that images name.
        T_base_camera: (4, 4) optical frame in the base frame.
    """

    world: str = "map"
    odom: str = "odom"
    base: str = "base_link"
    camera_link: str = "camera_link"
    optical: str = "camera_color_optical_frame"
    T_base_camera: Mat4 = field(default_factory=forward_camera)
