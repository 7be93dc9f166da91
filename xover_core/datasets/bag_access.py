# SPDX-License-Identifier: Apache-2.0
"""Opening rosbag2 recordings and reading their messages, with every way to be broken as one kind of error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from xover_core.datasets.bag_topics import TopicSummary
from xover_core.errors import DatasetError

STORAGE_SUFFIXES = (".db3", ".mcap")
_METADATA_FILE = "metadata.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BagMessage:
    """One message: where it came, when it was recorded, and what it says."""

    topic: str
    message_type: str
    recorded_ns: int
    content: Any  # rosbags makes the message classes at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class BagSummary:
    """What a bag holds.

    Attributes:
        topics: sorted by name.
        start_ns: time of recording of the first message.
        duration_s: seconds from the first to the last message.
    """

    topics: tuple[TopicSummary, ...]
    start_ns: int
    duration_s: float


def is_bag(path: Path) -> bool:
    """Whether `path` is a rosbag2: a folder with metadata.yaml or a storage file, or a storage file itself."""
    if path.is_dir():
        return (path / _METADATA_FILE).is_file() or bool(_storage_files(path))
    return path.suffix in STORAGE_SUFFIXES


def summarize_bag(path: Path) -> BagSummary:
    """List the topics of a bag; DatasetError when it cannot be opened."""
    with _OpenBag(path) as bag:
        return bag.summary


def read_messages(
    path: Path, accepts: Callable[[TopicSummary], bool], *, max_messages: int | None = None
) -> Iterator[BagMessage]:
    """Yield the messages of some topics in the order of recording, one at a time in memory.

    Args:
        path: the bag.
        accepts: whether to read a topic.
        max_messages: stop after so many.

    Raises:
        DatasetError: the bag cannot be opened, or ends in the middle of a message.
    """
    with _OpenBag(path) as bag:
        for index, message in enumerate(bag.messages(accepts)):
            if index == max_messages:
                return
            yield message


class _OpenBag:
    """A bag while it is open. Its message types are the standard ones, so definitions come from the library."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._types = get_typestore(Stores.ROS2_JAZZY)

    def __enter__(self) -> _OpenBag:
        try:
            self._reader = Reader(_openable(self._path))
            self._reader.open()
        except Exception as error:  # the storages let through whatever SQLite, MCAP or YAML raise
            raise _broken(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def summary(self) -> BagSummary:
        """Topics and times."""
        topics = sorted(self._reader.topics.items())
        return BagSummary(
            topics=tuple(
                TopicSummary(name=name, message_type=info.msgtype or "several types", num_messages=info.msgcount)
                for name, info in topics
            ),
            start_ns=self._reader.start_time if self._reader.message_count else 0,
            duration_s=max(self._reader.duration, 0) / 1e9 if self._reader.message_count else 0.0,
        )

    def messages(self, accepts: Callable[[TopicSummary], bool]) -> Iterator[BagMessage]:
        """Deserialised messages in the order of recording."""
        names = {topic.name for topic in self.summary.topics if accepts(topic)}
        connections = [connection for connection in self._reader.connections if connection.topic in names]
        if not connections:
            return
        messages = self._reader.messages(connections)
        while True:
            try:
                connection, recorded_ns, data = next(messages)
                content = self._types.deserialize_cdr(data, connection.msgtype)
            except StopIteration:
                return
            except Exception as error:  # as above
                raise _broken(self._path, error) from error
            yield BagMessage(
                topic=connection.topic, message_type=connection.msgtype, recorded_ns=recorded_ns, content=content
            )


def _storage_files(folder: Path) -> list[Path]:
    """The storage files of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in STORAGE_SUFFIXES)


def _openable(path: Path) -> Path:
    """What to give to rosbags: the only storage file of a folder whose metadata were lost, else the path itself."""
    if not path.exists():
        raise DatasetError(f"{path}: no bag there; check the path.")
    if path.is_dir() and not (path / _METADATA_FILE).is_file():
        files = _storage_files(path)
        if not files:
            raise DatasetError(f"{path}: not a rosbag2, there is no {_METADATA_FILE}, .db3 or .mcap file in it.")
        if len(files) != 1:
            raise DatasetError(
                f"{path}: a bag of {len(files)} files without {_METADATA_FILE}; `ros2 bag reindex` makes a new one."
            )
        return files[0]
    return path


def _broken(path: Path, error: Exception) -> DatasetError:
    """The error for a bag that cannot be read."""
    if isinstance(error, DatasetError):
        return error
    reason = str(error).strip() or type(error).__name__
    return DatasetError(
        f"{path}: the bag cannot be read ({reason.rstrip('.')}); was its recording or copying interrupted?"
        " `ros2 bag reindex` mends lost metadata."
    )
