# SPDX-License-Identifier: Apache-2.0
"""One publisher for each topic of a bag; messages go out as the bytes that were recorded."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from tf2_msgs.msg import TFMessage

from xover_core.datasets.bag_topics import TRANSFORMS, TopicSummary
from xover_core.errors import DatasetError
from xover_ros.qos import latched, reliable
from xover_ros.raw_bag import RawMessage

CLOCK_TOPIC = "/clock"  # comes from the player, not from the bag
_QUEUE = 100


class BagPublishers:
    """Publishes what is read from a bag."""

    def __init__(self, node: Node, topics: Iterable[TopicSummary], drop_transforms: frozenset[tuple[str, str]]) -> None:
        """Make the publishers; topics of types that are not installed are left out, with a warning.

        Args:
            node: whose publishers these are; its remappings hold for the topics.
            topics: to publish.
            drop_transforms: (parent, child) left out of messages with transforms.
        """
        self._drop_transforms = drop_transforms
        self._publishers: dict[str, Publisher] = {}
        self._transform_topics: set[str] = set()
        self.latched_topics: set[str] = set()  # whose old messages hold for the rest of the bag
        for topic in topics:
            message_class = _message_class(topic.message_type)
            if message_class is None:
                node.get_logger().warning(f"{topic.name} is left out: {topic.message_type} is not installed.")
                continue
            is_static = topic.name.endswith("tf_static")
            if is_static:
                self.latched_topics.add(topic.name)
            qos = latched(_QUEUE) if is_static else reliable(_QUEUE)
            self._publishers[topic.name] = node.create_publisher(message_class, topic.name, qos)
            if topic.message_type == TRANSFORMS and not is_static:
                self._transform_topics.add(topic.name)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that are published."""
        return frozenset(self._publishers)

    def num_subscribers(self, topic: str) -> int:
        """How many subscribers a topic has."""
        return int(self._publishers[topic].get_subscription_count())

    def publish(self, message: RawMessage) -> None:
        """Publish one message."""
        publisher = self._publishers[message.topic]
        if self._drop_transforms and message.topic in self._transform_topics:
            transforms = deserialize_message(message.data, TFMessage)
            kept = [
                t for t in transforms.transforms if (t.header.frame_id, t.child_frame_id) not in self._drop_transforms
            ]
            if len(kept) < len(transforms.transforms):
                if kept:
                    publisher.publish(TFMessage(transforms=kept))
                return
        publisher.publish(message.data)

    def wait_until_delivered(self, timeout_s: float) -> None:
        """Wait until the present subscribers have got everything, or until the time is over."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=timeout_s))


def parse_transform_pairs(text: str) -> frozenset[tuple[str, str]]:
    """`map->odom, a->b` to pairs (parent, child).

    Raises:
        DatasetError: an entry that is no such pair.
    """
    pairs = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        parent, arrow, child = (part.strip() for part in entry.partition("->"))
        if not (parent and arrow and child):
            raise DatasetError(f"drop_transforms: expected parent->child pairs separated by commas, got {entry!r}.")
        pairs.add((parent, child))
    return frozenset(pairs)


def _message_class(message_type: str) -> Any:
    """Class of `package/msg/Name`; None when it is not installed."""
    package, _, rest = message_type.partition("/")
    kind, _, name = rest.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), name, None)
    except ImportError:
        return None
