# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: one status for the work, one for each input, once per second by the wall clock's pace.

The pace is not sim time's: a bag that has stopped is exactly when one wants to read diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from xover_ros.qos import reliable
from xover_ros.stream_monitor import StreamMonitor

PERIOD_S = 1.0
OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """One status.

    Attributes:
        name: what it is about; the node's name is put in front.
        level: OK, WARN, ERROR or STALE of `DiagnosticStatus`.
        message: one sentence.
        values: details by name.
    """

    name: str
    level: bytes
    message: str
    values: dict[str, object] = field(default_factory=dict)


class DiagnosticsPublisher:
    """Asks `collect` once per second and publishes the answer."""

    def __init__(self, node: Node, collect: Callable[[], Sequence[StatusLine]]) -> None:
        """Start publishing."""
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", reliable())
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish now."""
        prefix = self._node.get_fully_qualified_name().lstrip("/")
        statuses = [_status_message(prefix, line) for line in self._collect()]
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def stream_status(monitor: StreamMonitor, timeout_s: float, *, is_needed: bool = True) -> StatusLine:
    """Status of an input: names the topic when nothing comes in on it."""
    level, message = OK, f"{monitor.rate_hz:.1f} Hz"
    if monitor.age_s > timeout_s and is_needed:
        level = ERROR
        text = "no message for" if monitor.num_messages else "no message since the start,"
        message = f"{monitor.topic}: {text} {monitor.age_s:.0f} s; is it published, under this name and with this type?"
    values: dict[str, object] = {
        "topic": monitor.topic,
        "messages": monitor.num_messages,
        "rate_hz": f"{monitor.rate_hz:.2f}",
        "age_s": f"{monitor.age_s:.2f}",
    }
    return StatusLine(name=f"input {monitor.topic}", level=level, message=message, values=values)


def _status_message(prefix: str, line: StatusLine) -> DiagnosticStatus:
    values = [KeyValue(key=key, value=str(value)) for key, value in line.values.items()]
    return DiagnosticStatus(level=line.level, name=f"{prefix}: {line.name}", message=line.message, values=values)
