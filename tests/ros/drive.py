# SPDX-License-Identifier: Apache-2.0
"""A robot that drives frame by frame in front of a localizer under test."""

from __future__ import annotations

from camera_stub import CameraStub
from conftest import Recordings
from geometry_msgs.msg import PoseWithCovarianceStamped
from probe import Probe
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from xover_msgs.msg import LocalizationState
from xover_ros.message_conversions import stamp_to_ns

from xover_core.datasets.rgbd_sequence import SequenceItem

STEP_NS = 200_000_000


class Drive:
    """Sends the frames of the query recording over and over, forth and back, so that odometry stays continuous."""

    def __init__(self, probe: Probe, recordings: Recordings, prefix: str) -> None:
        self.camera = CameraStub(probe, prefix)
        self.camera.send_extrinsics()
        self._probe = probe
        self._items = [*recordings.query, *reversed(recordings.query)]
        self.stamp_ns = 100_000_000_000
        self._index = 0
        self.acknowledged = probe.collect(Header, f"{prefix}/processed")
        self.states = probe.collect_latched(LocalizationState, f"{prefix}/state")
        self.poses = probe.collect_latched(PoseWithCovarianceStamped, f"{prefix}/pose")
        self.transforms = probe.collect(TFMessage, "/tf")

    @property
    def item(self) -> SequenceItem:
        """The frame that comes next."""
        return self._items[self._index % len(self._items)]

    def wait_for_listener(self) -> None:
        """Wait until the node under test hears the camera."""
        self._probe.wait_until(lambda: self.camera.num_listeners, "somebody listens to the camera")
        self._probe.spin(0.2)  # the other direction of the match

    def advance(self) -> int:
        """Go on to the next frame without sending it; returns its stamp."""
        self._index += 1
        self.stamp_ns += STEP_NS
        return self.stamp_ns

    def step(self) -> LocalizationState:
        """Send the next frame and wait until it is done with; returns the state after it."""
        self.camera.send(self.item, self.stamp_ns)
        self.wait_until_done()
        self.advance()
        return self.states[-1]

    def wait_until_done(self) -> None:
        """Wait until the frame with the present stamp is done with."""
        stamp_ns = self.stamp_ns
        self._probe.wait_until(
            lambda: any(stamp_to_ns(ack.stamp) == stamp_ns for ack in self.acknowledged[-20:]), "frame is acknowledged"
        )
        self._probe.spin(0.05)  # what was published just before may be one message behind

    def localize(self, max_steps: int = 30) -> LocalizationState:
        """Drive until the localizer knows where it is."""
        for _ in range(max_steps):
            if self.step().state == LocalizationState.LOCALIZED:
                return self.states[-1]
        raise AssertionError(f"not localized after {max_steps} frames: {self.states[-1].reason}")
