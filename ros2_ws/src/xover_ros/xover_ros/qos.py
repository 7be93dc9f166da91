# SPDX-License-Identifier: Apache-2.0
"""Quality of service of every topic, in one place."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

RELIABILITIES = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}


def sensor_input(reliability: str, depth: int = 5) -> QoSProfile:
    """For images, camera info and odometry; `best_effort` also receives from reliable publishers."""
    return _profile(RELIABILITIES[reliability], DurabilityPolicy.VOLATILE, depth)


def reliable(depth: int = 10) -> QoSProfile:
    """For answers of which none should be lost, while the subscriber is there."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, depth)


def latched(depth: int = 1) -> QoSProfile:
    """For what somebody who subscribes later must get too: pose, state, landmarks, `/tf_static`."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, depth)


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)
