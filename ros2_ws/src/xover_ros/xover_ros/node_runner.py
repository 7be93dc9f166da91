# SPDX-License-Identifier: Apache-2.0
"""Runs a node from start to end: heavy imports, signals, errors at the start, and an orderly end.

rclpy and everything that needs it is imported late, when signals are being handled.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from xover_core.process_threads import let_waiting_threads_sleep, use_one_blas_thread
from xover_ros.shared_memory import use_shared_memory_profile
from xover_ros.stop_signals import handle_stop_signals

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.impl.rcutils_logger import RcutilsLogger
    from rclpy.task import Future

EXIT_ERROR = 1
MAX_FAILURES_IN_A_ROW = 10


class RunnableNode(Protocol):
    """What `run_node` needs of a node.

    Attributes:
        finished: spinning ends when it is done.
        exit_code: of the process.
    """

    finished: Future
    exit_code: int

    def get_logger(self) -> RcutilsLogger:
        """As every node."""

    def destroy_node(self) -> None:
        """As every node."""

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
    use_shared_memory_profile()
    use_one_blas_thread()
    let_waiting_threads_sleep()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.task import Future

    from xover_ros.log_bridge import LogBridge

    finished = Future()
    handle_stop_signals(lambda: finished.set_result(None))
    try:
        rclpy.init(args=None if arguments is None else list(arguments), signal_handler_options=SignalHandlerOptions.NO)
        node = getattr(importlib.import_module(module), class_name)()
    except Exception as error:
        return _fail(error)
    node.finished.add_done_callback(lambda _: finished.set_result(None))
    # not spin_until_future_complete: with every callback it hangs another one on the future, for ever
    wake_up = node.create_guard_condition(_nothing)
    finished.add_done_callback(lambda _: wake_up.trigger())
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


def _spin(executor: Executor, node: RunnableNode, finished: Future) -> None:
    """Run callbacks until `finished`; one that fails is logged, and the node goes on unless nothing else happens."""
    num_failures = 0
    while not finished.done() and num_failures < MAX_FAILURES_IN_A_ROW:
        try:
            executor.spin_once()
            num_failures = 0
        except Exception:
            num_failures += 1
            node.get_logger().error(f"a callback failed; please report this:\n{traceback.format_exc()}")
    if num_failures:
        node.exit_code = EXIT_ERROR


def _nothing() -> None:
    """Wakes the executor, which then looks whether it is finished."""


def _fail(error: Exception) -> int:
    """Say in one line why the node cannot start; errors nobody expects keep their traceback."""
    from rclpy.impl.implementation_singleton import rclpy_implementation

    from xover_core.errors import XoverError

    if isinstance(error, (XoverError, rclpy_implementation.RCLError)):
        sys.stderr.write(f"cannot start: {error}\n")
    else:
        traceback.print_exception(error)
    return EXIT_ERROR
