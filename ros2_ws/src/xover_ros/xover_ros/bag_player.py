# SPDX-License-Identifier: Apache-2.0
"""Entry point of the bag player: `ros2 run xover_ros bag_player`, or `python -m xover_ros.bag_player`."""

from __future__ import annotations

import sys

from xover_ros.node_runner import run_node


def main() -> int:
    """Run the node; returns the exit code."""
    return run_node("xover_ros.bag_playback", "BagPlayback")


if __name__ == "__main__":
    sys.exit(main())
