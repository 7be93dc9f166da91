# SPDX-License-Identifier: Apache-2.0
"""`initialpose`: somebody says where the robot is; it re-weights hypotheses and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node

from xover_core.errors import GeometryError
from xover_core.types import Float64Array, Mat4, PoseHint
from xover_ros.message_conversions import covariance_matrix, move_covariance, pose_matrix, stamp_to_ns
from xover_ros.problem_log import ProblemLog
from xover_ros.qos import reliable

TOPIC = "initialpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class _BasePose:
    """What was told: a pose of the robot's base and its (6, 6) covariance."""

    stamp_ns: int
    T_map_base: Mat4
    covariance: Float64Array


class InitialPoseInput:
    """Keeps the newest pose that was told until it is known where the camera sits on the robot."""

    def __init__(self, node: Node, map_frame: str, problems: ProblemLog) -> None:
        """Subscribe.

        Args:
            node: that spins.
            map_frame: poses in other frames are reported and left out.
            problems: where those are reported.
        """
        self._node = node
        self._map_frame = map_frame
        self._problems = problems
        self._topic = node.resolve_topic_name(TOPIC)
        self._waiting: _BasePose | None = None
        self._subscription = node.create_subscription(PoseWithCovarianceStamped, TOPIC, self._on_pose, reliable())

    def take_hint(self, T_base_camera: Mat4) -> PoseHint | None:
        """The pose that was told since the last call, as one of the camera."""
        told, self._waiting = self._waiting, None
        if told is None:
            return None
        return PoseHint(
            stamp_ns=told.stamp_ns,
            T_map_camera=told.T_map_base @ T_base_camera,
            covariance=move_covariance(told.covariance, told.T_map_base, T_base_camera),
        )

    def clear(self) -> None:
        """Forget the pose that waits."""
        self._waiting = None

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        frame_id = message.header.frame_id.lstrip("/")
        if frame_id != self._map_frame:
            text = f"ignored: expected a pose in frame {self._map_frame!r}, got frame {frame_id!r}"
            self._problems.report("wrong frame in initialpose", f"{self._topic}: {text}; set RViz's fixed frame.")
            return
        try:
            self._waiting = _BasePose(
                stamp_ns=stamp_to_ns(message.header.stamp) or self._node.get_clock().now().nanoseconds,
                T_map_base=pose_matrix(message.pose.pose),
                covariance=covariance_matrix(message.pose),
            )
        except GeometryError as error:
            self._problems.report("unusable initialpose", f"{self._topic}: {error}")
