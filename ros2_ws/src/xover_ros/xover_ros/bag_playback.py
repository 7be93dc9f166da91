# SPDX-License-Identifier: Apache-2.0
"""The node that plays a rosbag2: by the clock at a rate, or in lock step with the nodes that process its images."""

from __future__ import annotations

import threading
import time
import traceback
from pathlib import Path

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from xover_core.errors import ConfigError, DatasetError, XoverError
from xover_ros.bag_publishers import CLOCK_TOPIC, BagPublishers, parse_transform_pairs
from xover_ros.frame_pipeline import PROCESSED_TOPIC
from xover_ros.lock_step import IMAGES_UNDER_WAY, LockStep
from xover_ros.message_conversions import NS_PER_S, stamp_from_ns, stamp_to_ns
from xover_ros.node_settings import BagPlayerSettings
from xover_ros.parameters import NodeParameters
from xover_ros.qos import reliable
from xover_ros.raw_bag import RawBag, RawMessage

_DELIVERY_TIMEOUT_S = 2.0
_DISCOVERY_PERIOD_S = 0.05


class BagPlayback(Node):
    """Plays in a thread of its own, while the executor's thread hears acknowledgements and services."""

    def __init__(self) -> None:
        """Open the bag and make the publishers.

        Raises:
            DatasetError: the bag cannot be opened.
            ConfigError: a parameter is refused.
        """
        super().__init__("bag_player", automatically_declare_parameters_from_overrides=True)
        declared = NodeParameters(self, BagPlayerSettings())
        for sentence in declared.report_unknown():
            self.get_logger().warning(sentence)
        declared.on_change(lambda name: f"parameter {name!r} cannot change while the bag is played.", lambda: None)
        self._settings, _ = declared.read()
        if not self._settings.bag:
            raise ConfigError("bag: no bag is named; give its folder or file with the parameter `bag`.")
        self._bag = RawBag(Path(self._settings.bag).expanduser())
        self._outputs = self._make_outputs()
        self._step_topic = self._find_step_topic()
        self._clock_publisher: Publisher = self.create_publisher(Clock, CLOCK_TOPIC, reliable())
        processed = self.resolve_topic_name(PROCESSED_TOPIC)
        self._lock_step = LockStep(lambda: int(self.count_publishers(processed)))
        self.create_subscription(Header, PROCESSED_TOPIC, self._on_processed, reliable(1000))
        self.create_service(SetBool, "~/set_paused", self._on_set_paused)
        self._stopped = threading.Event()
        self._running = threading.Event()  # not paused
        if not self._settings.start_paused:
            self._running.set()
        self._thread = threading.Thread(target=self._run, name="playback", daemon=True)
        self.finished = Future()
        self.exit_code = 0

    def autostart(self) -> None:
        """Begin to play."""
        self._thread.start()

    def close(self) -> None:
        """Stop playing."""
        self._stopped.set()
        self._running.set()
        self._thread.join()

    # The player's thread.

    def _run(self) -> None:
        """Play, and then end the process."""
        try:
            self._wait_for_nodes()
            self._play_once()
            while self._settings.loop and not self._stopped.is_set():
                self.get_logger().info("starting again; time jumps back.")
                self._lock_step.clear()
                self._play_once()
        except XoverError as error:
            self.get_logger().error(str(error))
            self.exit_code = 1
        except Exception:
            self.get_logger().error(f"internal error; please report this:\n{traceback.format_exc()}")
            self.exit_code = 1
        self.finished.set_result(None)

    def _play_once(self) -> None:
        """Play the bag from start to end."""
        settings = self._settings
        start_ns = self._bag.start_ns + int(settings.start_offset_s * NS_PER_S)
        stop_ns = start_ns + int(settings.duration_s * NS_PER_S) if settings.duration_s > 0 else None
        send = self._send_in_step if settings.mode == "lock_step" else self._send_on_time
        self._clock_start = (start_ns, time.monotonic())
        for message in self._bag.messages(self._outputs.latched_topics.__contains__, stop_ns=start_ns):
            self._outputs.publish(message)
        num_sent = 0
        for message in self._bag.messages(self._outputs.topics.__contains__, start_ns=start_ns, stop_ns=stop_ns):
            self._wait_while_paused()
            if self._stopped.is_set():
                return
            send(message)
            num_sent += 1
        if settings.mode == "lock_step":
            self._wait_for_images(0)
        self._outputs.wait_until_delivered(_DELIVERY_TIMEOUT_S)
        self.get_logger().info(f"{num_sent} messages of {self._bag.path} were played.")

    def _send_in_step(self, message: RawMessage) -> None:
        """Send a message; an image only when those before it are done with."""
        if message.topic == self._step_topic:
            self._wait_for_images(IMAGES_UNDER_WAY - 1)
            self._lock_step.sent(_stamp_of(message))
        self._publish_clock(message.recorded_ns)
        self._outputs.publish(message)

    def _wait_for_images(self, num_under_way: int) -> None:
        if not self._lock_step.wait(num_under_way, self._settings.step_timeout_s, self._stopped.is_set):
            self._check_nodes_are_there()
            self.get_logger().warning(
                f"an image on {self._step_topic} was not acknowledged within {self._settings.step_timeout_s:g} s;"
                " playing goes on. See the log of the node that should have processed it."
            )

    def _send_on_time(self, message: RawMessage) -> None:
        """Send a message when its time has come, with /clock running until then."""
        start_ns, started = self._clock_start
        due = started + (message.recorded_ns - start_ns) / NS_PER_S / self._settings.rate
        period_s = 1.0 / self._settings.clock_rate_hz
        while (remaining_s := due - time.monotonic()) > 0 and not self._stopped.is_set():
            elapsed_s = (time.monotonic() - started) * self._settings.rate
            self._publish_clock(start_ns + int(elapsed_s * NS_PER_S))
            self._stopped.wait(min(remaining_s, period_s))
        self._publish_clock(message.recorded_ns)
        self._outputs.publish(message)

    def _wait_while_paused(self) -> None:
        if self._running.is_set():
            return
        paused_at = time.monotonic()
        self._running.wait()
        start_ns, started = self._clock_start
        self._clock_start = (start_ns, started + time.monotonic() - paused_at)

    def _publish_clock(self, time_ns: int) -> None:
        self._clock_publisher.publish(Clock(clock=stamp_from_ns(time_ns)))

    def _wait_for_nodes(self) -> None:
        """Wait until somebody listens, and in lock step until somebody acknowledges.

        Raises:
            DatasetError: lock step is asked for and nobody acknowledges.
        """
        deadline = time.monotonic() + self._settings.wait_for_nodes_s
        self.get_logger().info(f"waiting for subscribers of {self._step_topic}")
        while time.monotonic() < deadline and not self._stopped.is_set():
            if self._outputs.num_subscribers(self._step_topic) > 0 and self._has_acknowledging_node():
                self.get_logger().info("playing")
                return
            self._stopped.wait(_DISCOVERY_PERIOD_S)
        self._check_nodes_are_there()
        self.get_logger().warning(f"nobody subscribes to {self._step_topic}; playing anyway.")

    def _has_acknowledging_node(self) -> bool:
        is_needed = self._settings.mode == "lock_step"
        return not is_needed or self.count_publishers(self.resolve_topic_name(PROCESSED_TOPIC)) > 0

    def _check_nodes_are_there(self) -> None:
        if not self._has_acknowledging_node() and not self._stopped.is_set():
            raise DatasetError(
                f"lock step: no active localizer or mapper acknowledges images on"
                f" {self.resolve_topic_name(PROCESSED_TOPIC)}; is it active, in this namespace and ROS_DOMAIN_ID?"
            )

    # The executor's thread.

    def _on_processed(self, message: Header) -> None:
        self._lock_step.acknowledge(message.frame_id, stamp_to_ns(message.stamp))

    def _on_set_paused(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Pause or go on."""
        if request.data:
            self._running.clear()
        else:
            self._running.set()
        response.success, response.message = True, "paused" if request.data else "playing"
        return response

    # Making.

    def _make_outputs(self) -> BagPublishers:
        wanted = {name.strip() for name in self._settings.topics.split(",") if name.strip()}
        missing = wanted - self._bag.topics.keys()
        if missing:
            raise DatasetError(f"topics: {', '.join(sorted(missing))} not in {self._bag.path}; see `xover bag info`.")
        topics = [
            topic for name, topic in self._bag.topics.items() if name != CLOCK_TOPIC and (not wanted or name in wanted)
        ]
        return BagPublishers(self, topics, parse_transform_pairs(self._settings.drop_transforms))

    def _find_step_topic(self) -> str:
        topic = self._bag.color_topic(self._settings.step_topic)
        if topic not in self._outputs.topics:
            raise DatasetError(f"step_topic: {topic} is not among the topics that are played.")
        return topic


def _stamp_of(message: RawMessage) -> int:
    """Stamp of a message that begins with a header, read from its first bytes.

    CDR: four bytes of encapsulation, of which the second tells the byte order, then seconds and nanoseconds.
    """
    order = "little" if message.data[1] & 1 else "big"
    sec = int.from_bytes(message.data[4:8], order, signed=True)  # type: ignore[arg-type]
    return sec * NS_PER_S + int.from_bytes(message.data[8:12], order)  # type: ignore[arg-type]
