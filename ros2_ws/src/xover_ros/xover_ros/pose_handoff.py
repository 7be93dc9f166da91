# SPDX-License-Identifier: Apache-2.0
"""Tells another localizer, such as Nav2's AMCL, where the robot is: as `initialpose`, each time that becomes known.

Only the first pose after not being localized is handed over; from then on the other one tracks. Run the localizer with
`publish_tf:=false` beside it, since two nodes must not publish the same transform.
"""

from __future__ import annotations

import sys

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from xover_msgs.msg import LocalizationState

from xover_ros.message_conversions import stamp_to_ns
from xover_ros.qos import latched, reliable

_RETRY_PERIOD_S = 1.0
_QUEUE_SIZE = 10


class PoseHandoff(Node):
    """Listens to `pose` and `state` of the localizer and publishes `initialpose`."""

    def __init__(self) -> None:
        """Subscribe; nothing is handed over yet."""
        super().__init__("pose_handoff")
        self._pose: PoseWithCovarianceStamped | None = None
        self._known_since_ns: int | None = None  # stamp of the answer with which it became known; None: unknown
        self._is_due = False
        self._publisher = self.create_publisher(PoseWithCovarianceStamped, "initialpose", reliable(1))
        self.create_subscription(PoseWithCovarianceStamped, "pose", self._on_pose, latched())
        # every state counts: being lost for a moment as well
        self.create_subscription(LocalizationState, "state", self._on_state, latched(_QUEUE_SIZE))
        # whoever is to be told may come later; not by sim time, which may stand still
        self.create_timer(_RETRY_PERIOD_S, self._hand_over, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._pose = message
        self._hand_over()

    def _on_state(self, message: LocalizationState) -> None:
        if message.state != LocalizationState.LOCALIZED:
            self._known_since_ns, self._is_due = None, False
        elif self._known_since_ns is None:
            self._known_since_ns, self._is_due = stamp_to_ns(message.header.stamp), True
            self._hand_over()

    def _hand_over(self) -> None:
        """Publish the pose if it is due, as new as the state, and somebody listens."""
        if not self._is_due or self._pose is None or self._publisher.get_subscription_count() == 0:
            return
        # an older pose is from before the robot was lost
        if self._known_since_ns is None or stamp_to_ns(self._pose.header.stamp) < self._known_since_ns:
            return
        self._is_due = False
        self._publisher.publish(self._pose)
        where = self._pose.pose.pose.position
        self.get_logger().info(f"handed over x {where.x:.2f} m, y {where.y:.2f} m to {self._publisher.topic_name}")


def main() -> int:
    """Run until interrupted."""
    rclpy.init()
    node = PoseHandoff()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
