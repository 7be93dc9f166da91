# SPDX-License-Identifier: Apache-2.0
"""Runs a node from start to end: heavy imports, signals, errors at the start, and an orderly end.

Only the standard library is imported here, so that Ctrl-C leaves no traceback while the rest is being loaded.
"""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xover_ros.shared_memory import use_shared_memory_profile

if TYPE_CHECKING:
    from rclpy.executors import Executor

EXIT_ERROR = 1


def run_node(module: str, class_name: str, arguments: Sequence[str] | None = None) -> int:
    """Make the node, spin it until Ctrl-C, SIGTERM or the end of its work, and close it.

    Args:
        module: in which the node's class is, imported late.
        class_name: of a node without arguments, with methods `autostart` and `close`.
        arguments: of the command line; those of the process when not given.

    Returns:
        The exit code: 0 after an orderly end.
    """
    # The default action instead of KeyboardInterrupt, which would come up anywhere; rclpy.init adds its own handler,
    # which ends `spin` in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    use_shared_memory_profile()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import uninstall_signal_handlers

    try:
        rclpy.init(args=list(arguments) if arguments is not None else None)
        node = getattr(importlib.import_module(module), class_name)()
    except Exception as error:
        return _fail(error)
    from xover_ros.log_bridge import LogBridge

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with LogBridge(node.get_logger()):
        node.autostart()
        _spin(executor, node)
        # a second Ctrl-C ends the process at once
        uninstall_signal_handlers()
        node.close()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def _spin(executor: Executor, node: Any) -> None:
    """Run callbacks until the context is shut down; a callback that fails is logged, and the node goes on."""
    from rclpy.executors import ExternalShutdownException, ShutdownException

    while node.context.ok():
        try:
            executor.spin_once()
        except (ExternalShutdownException, ShutdownException):
            return
        except Exception:
            if not node.context.ok():
                return  # publishing after Ctrl-C
            node.get_logger().error(f"a callback failed; please report this:\n{traceback.format_exc()}")


def _fail(error: Exception) -> int:
    """Say in one line why the node cannot start; errors nobody expects keep their traceback."""
    from rclpy.impl.implementation_singleton import rclpy_implementation

    from xover_core.errors import XoverError

    if not isinstance(error, (XoverError, rclpy_implementation.RCLError)):
        traceback.print_exception(error)
    else:
        sys.stderr.write(f"cannot start: {error}\n")
    return EXIT_ERROR
