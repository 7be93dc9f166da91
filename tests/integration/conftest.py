# SPDX-License-Identifier: Apache-2.0
"""A tiny place to map and to be lost in: one procedural room, walked through once, every third frame a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from xover_core.datasets.bag_frames import BagFrames
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.datasets.rgbd_sequence import SequenceItem

NUM_FRAMES = 24


class Part:
    """Some frames of a walk as a recording of their own."""

    def __init__(self, walk: ApartmentWalk, name: str, is_taken: Callable[[int], bool]) -> None:
        self._walk = walk
        self._indices = [i for i in range(len(walk)) if is_taken(i)]
        self.name = name

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[SequenceItem]:
        return (self._walk.item(i) for i in self._indices)


def write_place(folder: Path, seed: int) -> Path:
    """Write `map` and `query` of one room as bags."""
    walk = ApartmentWalk(make_apartment(seed, num_rooms=1), seed=seed, num_frames=NUM_FRAMES, rate_hz=2.0)
    frames = BagFrames(T_base_camera=walk.T_base_camera)
    write_bag(folder / "map", Part(walk, "map", lambda i: i % 3 != 1), frames=frames)
    write_bag(folder / "query", Part(walk, "query", lambda i: i % 3 == 1), frames=frames)
    return folder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rosbag2 recordings `map` (16 frames) and `query` (8 frames) of one room."""
    num_threads = torch.get_num_threads()
    # tiny renderings gain nothing from threads, and lose much where the machine is busy
    torch.set_num_threads(1)
    try:
        return write_place(tmp_path_factory.mktemp("place") / "room", seed=3)
    finally:
        torch.set_num_threads(num_threads)


@pytest.fixture
def xover(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; gives exit code, stdout, stderr."""
    from xover_core.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
