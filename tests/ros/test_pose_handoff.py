# SPDX-License-Identifier: Apache-2.0
"""The hand-off to another localizer: once each time the robot's place becomes known, and to those who come late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from node_process import NodeProcess
from probe import Probe
from xover_msgs.msg import LocalizationState
from xover_ros.message_conversions import header
from xover_ros.qos import latched, reliable

STEP_S = 0.1  # between messages of which only the newest is kept
QUIET_S = 1.5  # longer than the node waits before it looks for listeners again


class Told:
    """A localizer's answers, sent by hand, and what is made of them."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self._pose = probe.node.create_publisher(PoseWithCovarianceStamped, "/handoff/pose", latched())
        self._state = probe.node.create_publisher(LocalizationState, "/handoff/state", latched())
        self.heard: list[PoseWithCovarianceStamped] = []

    def listen(self) -> None:
        """Be the other localizer from now on."""
        self.probe.node.create_subscription(
            PoseWithCovarianceStamped, "/handoff/initialpose", self.heard.append, reliable()
        )

    def pose(self, stamp_s: int) -> None:
        """Publish a pose whose x is its stamp."""
        message = PoseWithCovarianceStamped(header=header(stamp_s * 10**9, "map"))
        message.pose.pose.position.x = float(stamp_s)
        self._pose.publish(message)
        self.probe.spin(STEP_S)

    def state(self, stamp_s: int, state: int = LocalizationState.LOCALIZED) -> None:
        """Publish a state."""
        self._state.publish(LocalizationState(header=header(stamp_s * 10**9, "map"), state=state))
        self.probe.spin(STEP_S)

    def wait_for(self, number: int) -> list[float]:
        """Wait until so many poses were handed over, and a while for one too many; returns where they are."""
        self.probe.wait_until(lambda: len(self.heard) >= number, f"{number} poses are handed over")
        self.probe.spin(QUIET_S)
        return [message.pose.pose.position.x for message in self.heard]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with Probe() as probe, NodeProcess("pose_handoff", tmp_path / "log", namespace="/handoff", remaps={}) as process:
        told = Told(probe)
        probe.wait_until(lambda: all(p.get_subscription_count() for p in (told._pose, told._state)), "the node listens")
        yield told
        assert process.stop() == 0, process.log
        assert "Traceback" not in process.log


def test_the_first_pose_of_each_time_is_handed_over(told: Told) -> None:
    told.listen()
    for stamp_s in (1, 2, 3):
        told.pose(stamp_s)
        told.state(stamp_s)
    assert told.wait_for(1)[1:] == []
    told.state(4, LocalizationState.LOST)
    told.pose(5)
    told.state(5)
    assert told.wait_for(2)[1] == 5.0


def test_a_listener_that_comes_late_gets_the_newest_pose(told: Told) -> None:
    for stamp_s in (1, 2):
        told.pose(stamp_s)
        told.state(stamp_s)
    told.probe.spin(0.5)
    told.listen()
    assert told.wait_for(1) == [2.0]


def test_a_pose_from_before_is_not_handed_over(told: Told) -> None:
    told.listen()
    told.pose(1)
    told.state(2)
    told.probe.spin(QUIET_S)
    assert told.heard == []
    told.pose(2)
    assert told.wait_for(1) == [2.0]


def test_what_is_not_known_any_more_is_not_handed_over(told: Told) -> None:
    told.pose(1)
    told.state(1)
    told.state(2, LocalizationState.LOST)
    told.probe.spin(0.5)
    told.listen()
    told.probe.spin(QUIET_S)
    assert told.heard == []
