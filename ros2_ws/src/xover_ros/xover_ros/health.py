# SPDX-License-Identifier: Apache-2.0
"""Whether a node does its work, for containers, systemd and people: `ros2 run xover_ros health`.

Localizer and mapper publish `/diagnostics` once per second in every lifecycle state. This listens for one of these
messages, prints one sentence, and exits with 0 (healthy) or 1. Not knowing where the robot is, is not an illness.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from xover_ros.diagnostics import ERROR
from xover_ros.qos import reliable

DEFAULT_NODE = "localizer"
DEFAULT_TIMEOUT_S = 5.0
_LIFECYCLE = "lifecycle"
_INPUT = "input "
_WORK = ("localization", "mapping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the last message of a node amounts to.

    Attributes:
        is_healthy: whether the node does its work.
        sentence: why, for people.
    """

    is_healthy: bool
    sentence: str


def judge(statuses: Mapping[str, DiagnosticStatus], *, needs_inputs: bool = True) -> Verdict:
    """Judge a node by the statuses of one of its messages.

    Args:
        statuses: by name, without the node's; `lifecycle` is among them.
        needs_inputs: whether a silent input makes the node ill.
    """
    lifecycle = statuses[_LIFECYCLE]
    if lifecycle.level == ERROR:
        return Verdict(is_healthy=False, sentence=lifecycle.message)
    state = _values(lifecycle).get("state", lifecycle.message)
    if state != "active":
        text = f"{state}, not active; activate it, or start it with autostart:=true."
        return Verdict(is_healthy=False, sentence=text)
    inputs = [status for name, status in statuses.items() if name.startswith(_INPUT)]
    silent = [status.message for status in inputs if status.level == ERROR]
    if silent and needs_inputs:
        return Verdict(is_healthy=False, sentence=silent[0])
    return Verdict(is_healthy=True, sentence="; ".join(("active", *_describe_work(statuses))))


def wait_for_statuses(node_name: str, timeout_s: float) -> dict[str, DiagnosticStatus] | None:
    """Statuses of the next message of a node, by name without the node's; None when none comes in time.

    Args:
        node_name: with its namespace, without a leading slash.
        timeout_s: seconds, discovery included.
    """
    prefix = f"{node_name}: "
    found: dict[str, DiagnosticStatus] = {}

    def take(message: DiagnosticArray) -> None:
        found.update((s.name.removeprefix(prefix), s) for s in message.status if s.name.startswith(prefix))

    context = Context()
    rclpy.init(args=sys.argv, context=context)
    node = Node("xover_health", context=context, start_parameter_services=False)
    node.create_subscription(DiagnosticArray, "/diagnostics", take, reliable())
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    deadline = time.monotonic() + timeout_s
    while _LIFECYCLE not in found and (remaining := deadline - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=remaining)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
    return found if _LIFECYCLE in found else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="health", description="Exit with 0 if a node of xover does its work, else 1.")
    parser.add_argument(
        "--node", default=DEFAULT_NODE, help="with its namespace, such as robot1/localizer (%(default)s)"
    )
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, help="seconds (%(default)s)")
    parser.add_argument(
        "--ignore-inputs", action="store_true", help="a silent camera or odometry does not make the node ill"
    )
    args = parser.parse_args(remove_ros_args(sys.argv)[1:] if arguments is None else arguments)
    node_name = args.node.lstrip("/")
    statuses = wait_for_statuses(node_name, args.timeout)
    if statuses is None:
        text = (
            f"nothing on /diagnostics within {args.timeout:g} s; does it run, under this name and in this"
            " ROS_DOMAIN_ID?"
        )
        verdict = Verdict(is_healthy=False, sentence=text)
    else:
        verdict = judge(statuses, needs_inputs=not args.ignore_inputs)
    sys.stdout.write(f"{node_name}: {verdict.sentence}\n")
    return 0 if verdict.is_healthy else 1


def _describe_work(statuses: Mapping[str, DiagnosticStatus]) -> list[str]:
    """The map in use, and what the node says of its work."""
    lines = []
    for status in (statuses[name] for name in _WORK if name in statuses):
        values = _values(status)
        map_id = f" ({values['map_id']})" if "map_id" in values else ""
        lines.append(f"map {values.get('map_file', '')}{map_id}, {values.get('keyframes', '0')} keyframes")
        lines.append(status.message)
    return lines


def _values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


if __name__ == "__main__":
    sys.exit(main())
