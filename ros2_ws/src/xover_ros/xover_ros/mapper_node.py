# SPDX-License-Identifier: Apache-2.0
"""Entry point of the mapper: `ros2 run xover_ros mapper`, or `python -m xover_ros.mapper_node`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the node; returns the exit code."""
    # until the node runs, Ctrl-C ends the process without a word instead of with a traceback of half an import
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from xover_ros.node_runner import run_node

    return run_node("xover_ros.mapper", "Mapper")


if __name__ == "__main__":
    sys.exit(main())
