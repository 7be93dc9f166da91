# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag play which role."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BagTopics:
    """The topics to read from a bag; an empty name means "find it by type and name".

    Attributes:
        color: sensor_msgs/Image or CompressedImage.
        depth: the same, registered to colour.
        camera_info: sensor_msgs/CameraInfo of the colour image.
        odometry: nav_msgs/Odometry, or `tf` for the chain `odom_frame` -> camera, or `none`.
        pose: geometry_msgs/PoseStamped or nav_msgs/Odometry of `base_frame` in the world, `tf`, or `none`.
        world_frame: fixed frame of the true poses, when they come from TF.
        odom_frame: fixed frame of the odometry, when it comes from TF.
        base_frame: the body whose pose PoseStamped messages give.
    """

    color: str = ""
    depth: str = ""
    camera_info: str = ""
    odometry: str = ""
    pose: str = ""
    world_frame: str = "map"
    odom_frame: str = "odom"
    base_frame: str = "base_link"
