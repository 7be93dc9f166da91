# SPDX-License-Identifier: Apache-2.0
"""Topics that tell poses of the robot: odometry, and the pose that the mapper is given."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import Pose, PoseStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from xover_core.errors import GeometryError
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_ros.message_conversions import pose_matrix, stamp_to_ns
from xover_ros.problem_log import ProblemLog
from xover_ros.stream_monitor import StreamMonitor

_MessageType = type[Odometry] | type[PoseStamped]


class PoseInput:
    """Subscribes to Odometry or PoseStamped and enters the poses into a source."""

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: _MessageType,
        qos: QoSProfile,
        *,
        source: CameraPoseSource,
        frame_id: str,
        problems: ProblemLog,
        on_pose: Callable[[], None],
    ) -> None:
        """Subscribe.

        Args:
            node: that spins.
            topic: relative name.
            message_type: `Odometry` or `PoseStamped`.
            qos: of the subscription.
            source: to fill.
            frame_id: the frame in which poses must be given; others are reported and left out.
            problems: where bad poses are reported.
            on_pose: called after each pose.
        """
        self._node = node
        self._source = source
        self._frame_id = frame_id
        self._problems = problems
        self._on_pose = on_pose
        self.monitor = StreamMonitor(node.resolve_topic_name(topic))
        callback = self._on_odometry if message_type is Odometry else self._on_pose_stamped
        self._subscription = node.create_subscription(message_type, topic, callback, qos)

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _on_odometry(self, message: Odometry) -> None:
        self._enter(message.header, message.pose.pose, message.child_frame_id)

    def _on_pose_stamped(self, message: PoseStamped) -> None:
        self._enter(message.header, message.pose, "")

    def _enter(self, header: Header, pose: Pose, body_frame: str) -> None:
        self.monitor.note()
        try:
            self._check_frame(header.frame_id)
            self._source.add(stamp_to_ns(header.stamp), pose_matrix(pose), body_frame)
        except GeometryError as error:
            self._problems.report("unusable pose", f"{self.monitor.topic}: {error}")
        else:
            self._on_pose()

    def _check_frame(self, frame_id: str) -> None:
        if frame_id.lstrip("/") != self._frame_id:
            raise GeometryError(
                f"expected poses in frame {self._frame_id!r}, got frame {frame_id!r}; set the parameter for this frame"
                " or mend the publisher."
            )
