# SPDX-License-Identifier: Apache-2.0
"""The bond that Nav2's lifecycle manager expects of an active node; absent where `bondpy` is not installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from rclpy.node import Node

HEARTBEAT_PERIOD_S = 0.25  # nav2_util's
HEARTBEAT_TIMEOUT_S = 4.0


def start_bond(node: Node) -> Callable[[], None]:
    """Form a bond on topic `bond` with the node's name as id, beating in a thread of its own.

    Returns:
        A function that ends the bond.
    """
    try:
        bondpy = importlib.import_module("bondpy.bondpy")
    except ImportError:
        node.get_logger().debug("bondpy is not installed: the lifecycle manager must run with bond_timeout 0.")
        return _no_bond
    bond = bondpy.Bond(topic="bond", id=node.get_name(), node=node)
    bond.set_heartbeat_period(HEARTBEAT_PERIOD_S)
    bond.set_heartbeat_timeout(HEARTBEAT_TIMEOUT_S)
    bond.start()
    return bond.shutdown  # type: ignore[no-any-return]


def _no_bond() -> None:
    """Nothing to end."""
