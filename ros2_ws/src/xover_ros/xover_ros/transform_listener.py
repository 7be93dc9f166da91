# SPDX-License-Identifier: Apache-2.0
"""/tf and /tf_static -> the core's `TransformBuffer`, and back: the transform from map to odometry."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.duration import Duration
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from xover_core.errors import GeometryError
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.types import Mat4
from xover_ros.message_conversions import stamp_to_ns, transform_matrix, transform_message
from xover_ros.problem_log import ProblemLog
from xover_ros.qos import latched, reliable
from xover_ros.stream_monitor import StreamMonitor

TF_TOPIC, TF_STATIC_TOPIC = "/tf", "/tf_static"
_QUEUE = 100


class TransformListener:
    """Enters every transform that is published into a buffer."""

    def __init__(
        self,
        node: Node,
        buffer: TransformBuffer,
        problems: ProblemLog,
        *,
        on_transforms: Callable[[], None],
        skip: tuple[str, str] | None = None,
    ) -> None:
        """Subscribe.

        Args:
            node: that spins.
            buffer: to fill.
            problems: where transforms that cannot be used are reported.
            on_transforms: called after each message.
            skip: (parent, child) left out: what this node publishes itself.
        """
        self._node = node
        self._buffer = buffer
        self._problems = problems
        self._on_transforms = on_transforms
        self._skip = skip
        self.monitor = StreamMonitor(node.resolve_topic_name(TF_TOPIC))
        self._subscriptions = [
            node.create_subscription(TFMessage, TF_TOPIC, self._on_moving, reliable(_QUEUE)),
            node.create_subscription(TFMessage, TF_STATIC_TOPIC, self._on_static, latched(_QUEUE)),
        ]

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_moving(self, message: TFMessage) -> None:
        self.monitor.note()
        self._enter(message, is_static=False)

    def _on_static(self, message: TFMessage) -> None:
        self._enter(message, is_static=True)

    def _enter(self, message: TFMessage, *, is_static: bool) -> None:
        for stamped in message.transforms:
            parent, child = stamped.header.frame_id, stamped.child_frame_id
            if (parent, child) == self._skip:
                continue
            stamp_ns = stamp_to_ns(stamped.header.stamp)
            try:
                self._buffer.set(parent, child, stamp_ns, transform_matrix(stamped.transform), is_static)
            except GeometryError as error:
                topic = TF_STATIC_TOPIC if is_static else TF_TOPIC
                self._problems.report("unusable transform", f"{topic}: {error}")
        self._on_transforms()


class MapOdomBroadcaster:
    """Publishes map -> odom once there is one: post-dated, and repeated at a fixed rate while switched on."""

    def __init__(self, node: Node, map_frame: str, odom_frame: str, *, tolerance_s: float, rate_hz: float) -> None:
        """Publish nothing until `update`."""
        self._node = node
        self._frames = (map_frame, odom_frame)
        self.tolerance_s = tolerance_s
        self.is_enabled = True
        self._T_map_odom: Mat4 | None = None
        self._publisher = node.create_publisher(TFMessage, TF_TOPIC, reliable(_QUEUE))
        self._timer = node.create_timer(1.0 / rate_hz, self._publish)

    def update(self, T_map_odom: Mat4) -> None:
        """Publish this transform from now on."""
        self._T_map_odom = T_map_odom
        self._publish()

    def forget(self) -> None:
        """Publish nothing more until the next `update`."""
        self._T_map_odom = None

    def destroy(self) -> None:
        """Take timer and publisher away."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        now = self._node.get_clock().now()
        if self._T_map_odom is None or not self.is_enabled or now.nanoseconds == 0:
            return
        stamp_ns = (now + Duration(seconds=self.tolerance_s)).nanoseconds
        self._publisher.publish(TFMessage(transforms=[transform_message(stamp_ns, *self._frames, self._T_map_odom)]))
