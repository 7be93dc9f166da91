# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 as serialized messages in order of recording, without rosbag2 and without decoding them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rosbags.rosbag2 import Reader

from xover_core.datasets.bag_access import summarize_bag
from xover_core.datasets.bag_topics import BagTopics, TopicSummary, choose_topics
from xover_core.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMessage:
    """One message.

    Attributes:
        topic: of the recording.
        recorded_ns: when it was recorded.
        data: in CDR, as it goes over the wire.
    """

    topic: str
    recorded_ns: int
    data: bytes


class RawBag:
    """The topics of a bag, and its messages as often as one wants to read them."""

    def __init__(self, path: Path) -> None:
        """Look into the bag.

        Raises:
            DatasetError: it is missing or cannot be read.
        """
        self.path = path
        summary = summarize_bag(path)
        self.topics: dict[str, TopicSummary] = {topic.name: topic for topic in summary.topics}
        self.start_ns = summary.start_ns

    def messages(
        self, accepts: Callable[[str], bool], *, start_ns: int = 0, stop_ns: int | None = None
    ) -> Iterator[RawMessage]:
        """Yield the messages of some topics whose time of recording lies in [start_ns, stop_ns).

        Raises:
            DatasetError: the bag ends in the middle of a message.
        """
        try:
            with Reader(self.path) as reader:
                connections = [connection for connection in reader.connections if accepts(connection.topic)]
                if not connections:
                    return
                for connection, recorded_ns, data in reader.messages(connections, start=start_ns, stop=stop_ns):
                    yield RawMessage(topic=connection.topic, recorded_ns=recorded_ns, data=bytes(data))
        except (GeneratorExit, DatasetError):
            raise
        except Exception as error:  # the storages let through whatever SQLite, MCAP or YAML raise
            raise DatasetError(
                f"{self.path}: the bag cannot be read ({error}); was its recording interrupted?"
            ) from error

    def color_topic(self, wanted: str) -> str:
        """The topic of colour images: the one that is named, or the likeliest.

        Raises:
            DatasetError: the named one is not there, or none looks like colour images.
        """
        if wanted in self.topics:
            return wanted
        roles = BagTopics(color=wanted)
        return choose_topics(self.path, list(self.topics.values()), roles, tf_frames=()).color
