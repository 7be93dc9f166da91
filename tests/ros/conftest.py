# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the ROS tests: an own domain, recordings of a small apartment, a map, and nodes as processes.

Used by pytest at the top of the repository and, through the link `ros2_ws/src/xover_ros/test`, by colcon; so nothing
here may depend on the other conftest files.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from xover_core.datasets.rgbd_sequence import SequenceItem

_HAS_ROS = all(importlib.util.find_spec(name) is not None for name in ("rclpy", "xover_msgs", "xover_ros"))
if _HAS_ROS:
    from node_process import NodeProcess
    from probe import Probe

# without ROS only test_environment.py is looked at, which then says why nothing else was
if not _HAS_ROS:
    collect_ignore_glob = ["test_[!e]*.py", "test_exotic*.py"]

NUM_MAP_FRAMES = 40
NUM_QUERY_FRAMES = 20
QUERY_START_NS = 1_000_000_000_000  # far from the stamps of the first recording
_NUM_DOMAINS = 100  # above that, the ports of Fast DDS may meet those the system gives out

os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % _NUM_DOMAINS)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Two drives through one small apartment.

    Attributes:
        map_bag: the first, as rosbag2 (sqlite3, raw images).
        query_bag: the second (mcap, compressed images).
        query: frames of the second, with the truth.
    """

    map_bag: Path
    query_bag: Path
    query: list[SequenceItem]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Rendered once for all tests."""
    torch = pytest.importorskip("torch", reason="needs torch, which renders the apartment")
    from xover_core.datasets.bag_writer import write_bag
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("recordings")
    apartment = make_apartment(3)
    write_bag(folder / "map", ApartmentWalk(apartment, seed=1, num_frames=NUM_MAP_FRAMES))
    query = list(ApartmentWalk(apartment, seed=1, num_frames=NUM_QUERY_FRAMES, start_stamp_ns=QUERY_START_NS))
    write_bag(folder / "query", _Items(query), storage="mcap", is_compressed=True)
    return Recordings(map_bag=folder / "map", query_bag=folder / "query", query=query)


@pytest.fixture(scope="session")
def map_file(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished map, made by the mapper node from the first recording."""
    folder = tmp_path_factory.mktemp("map")
    path = folder / "apartment.xover"
    with NodeProcess("mapper_node", folder / "mapper.log", {"map_file": path, "max_rate_hz": 0.0}) as mapper:
        play(recordings.map_bag, folder)
        assert mapper.stop() == 0, mapper.log
    return path


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """A node inside of the test."""
    with Probe() as made:
        yield made


def play(bag: Path, folder: Path, **parameters: object) -> str:
    """Play a bag in lock step to its end; returns the player's log."""
    with NodeProcess("bag_player", folder / "player.log", {"bag": bag, "mode": "lock_step", **parameters}) as player:
        assert player.wait(60.0) == 0, player.log
        return player.log


class _Items:
    """Frames as an `RgbdSequence`."""

    name = "query"

    def __init__(self, items: list[SequenceItem]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SequenceItem]:
        return iter(self._items)
