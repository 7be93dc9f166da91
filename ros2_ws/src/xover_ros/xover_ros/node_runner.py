# SPDX-License-Identifier: Apache-2.0
"""Runs a node from start to end: heavy imports, signals, errors at the start, and an orderly end.

Only the standard library is imported here, so that Ctrl-C leaves no traceback while the rest is being loaded.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from xover_ros.shared_memory import use_shared_memory_profile
from xover_ros.stop_signals import end_silently_until_handled, handle_stop_signals

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.task import Future

EXIT_ERROR = 1


class RunnableNode(Protocol):
    """What `run_node` needs of a node, besides being one.

    Attributes:
        finished: spinning ends when it is done.
        exit_code: of the process.
    """

    finished: Future
    exit_code: int

    def autostart(self) -> None:
        """Called once before spinning."""

    def close(self) -> None:
        """Called once after spinning, while ROS still works."""


def run_node(module: str, class_name: str, arguments: Sequence[str] | None = None) -> int:
    """Make the node, spin it until Ctrl-C, SIGTERM or the end of its work, and close it.

    Args:
        module: in which the node's class is, imported late.
        class_name: of a `RunnableNode` made without arguments.
        arguments: of the command line; those of the process when not given.

    Returns:
        The exit code: the node's own, 0 after an orderly end.
    """
    end_silently_until_handled()
    use_shared_memory_profile()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.task import Future

    from xover_ros.log_bridge import LogBridge

    finished = Future()
    handle_stop_signals(lambda: finished.set_result(None))
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = getattr(importlib.import_module(module), class_name)()
    except Exception as error:
        return _fail(error)
    node.finished.add_done_callback(lambda _: finished.set_result(None))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with LogBridge(node.get_logger()):
        if not finished.done():
            node.autostart()
        _spin(executor, node, finished)
        node.close()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return int(node.exit_code)


def _spin(executor: Executor, node: Node, finished: Future) -> None:
    """Run callbacks until `finished`; a callback that fails is logged, and the node goes on."""
    while not finished.done() and node.context.ok():
        try:
            executor.spin_until_future_complete(finished)
        except Exception:
            node.get_logger().error(f"a callback failed; please report this:\n{traceback.format_exc()}")


def _fail(error: Exception) -> int:
    """Say in one line why the node cannot start; errors nobody expects keep their traceback."""
    from rclpy.impl.implementation_singleton import rclpy_implementation

    from xover_core.errors import XoverError

    if isinstance(error, (XoverError, rclpy_implementation.RCLError)):
        sys.stderr.write(f"cannot start: {error}\n")
    else:
        traceback.print_exception(error)
    return EXIT_ERROR
