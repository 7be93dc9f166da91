# SPDX-License-Identifier: Apache-2.0
"""A mapper that is killed at any moment leaves a valid map, and a map can be read while it is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from box_room import look_at, new_storage, room_keyframe

from xover_core.landmark_map import map_connection
from xover_core.landmark_map.map_storage import MapStorage

# Adds keyframes for ever and tells the id after each.
MAPPER = """
import sys, time
from pathlib import Path
from box_room import look_at, new_storage, room_keyframe
storage = new_storage(Path(sys.argv[1]))
keyframe = room_keyframe(look_at((0, 0, 0), 0))
while True:
    print(storage.add_keyframe(keyframe).keyframe_id, flush=True)
    time.sleep(float(sys.argv[2]))
"""

# Dies in the middle of a transaction that has already overwritten pages of the file.
DYING_MAPPER = """
import os, signal, sys
from pathlib import Path
from box_room import room_keyframe
from xover_core.landmark_map.map_storage import MapStorage
storage = MapStorage.open(Path(sys.argv[1]), read_only=False)
storage._sqlite.execute("PRAGMA cache_size = 5")
storage._sqlite.execute("BEGIN IMMEDIATE")
storage._sqlite.execute("UPDATE keyframe SET thumbnail_jpeg = zeroblob(30000)")
os.kill(os.getpid(), signal.SIGKILL)
"""

NUM_KEYFRAMES = 6


def start(script: str, path: Path, pause_s: float = 0.0) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(pause_s)], stdout=subprocess.PIPE, text=True, env=environment
    )


def kill(process: subprocess.Popen[str]) -> list[int]:
    """Kill a mapper and return all that it said."""
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    return [int(line) for line in output.split("\n")[:-1]]


@pytest.fixture
def half_written(tmp_path: Path) -> Path:
    """A map whose mapper died in the middle of a transaction."""
    path = tmp_path / "map.xover"
    with new_storage(path) as storage:
        for heading in range(NUM_KEYFRAMES):
            storage.add_keyframe(room_keyframe(look_at((0, 0, 0), heading)))
    before = path.read_bytes()
    process = start(DYING_MAPPER, path)
    assert process.wait(timeout=60) == -signal.SIGKILL
    process.communicate()
    assert path.read_bytes() != before, "the dead mapper should have written to the file"
    return path


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.031])
def test_killed_mapper_loses_at_most_the_keyframe_in_flight(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "map.xover"
    process = start(MAPPER, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(delay)
    said = [1, *kill(process)]
    with MapStorage.open(path) as storage:
        stored = [keyframe.keyframe_id for keyframe in storage.load().keyframes]
    assert stored in (said, [*said, said[-1] + 1])
    with MapStorage.open(path, read_only=False) as storage:
        storage.begin_mapping()
        assert storage.add_keyframe(room_keyframe(look_at((0, 0, 0), 0))).keyframe_id == stored[-1] + 1


def test_reader_undoes_a_half_written_transaction(half_written: Path) -> None:
    with MapStorage.open(half_written) as storage:
        keyframes = storage.load().keyframes
    assert len(keyframes) == NUM_KEYFRAMES
    assert {keyframe.thumbnail_jpeg for keyframe in keyframes} == {b"no picture"}


def test_writer_undoes_a_half_written_transaction(half_written: Path) -> None:
    with MapStorage.open(half_written, read_only=False) as storage:
        assert len(storage.load().keyframes) == NUM_KEYFRAMES
    assert [path.name for path in half_written.parent.iterdir()] == [half_written.name]


def test_half_written_map_on_a_read_only_medium_is_read_from_a_copy(
    half_written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_back = map_connection._roll_back

    def roll_back_where_allowed(path: Path) -> None:
        if path == half_written:
            # what SQLite says on a read-only medium; the tests may run as root, who may write everywhere
            raise map_connection.sqlite3.OperationalError("attempt to write a readonly database")
        roll_back(path)

    monkeypatch.setattr(map_connection, "_roll_back", roll_back_where_allowed)
    before = half_written.read_bytes()
    with MapStorage.open(half_written) as storage:
        copy = storage._connection.recovered_copy
        assert copy is not None
        assert len(storage.load().keyframes) == NUM_KEYFRAMES
    assert not Path(copy.name).exists()
    assert half_written.read_bytes() == before


def test_copy_of_file_and_journal_is_a_valid_map(half_written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    for path in half_written.parent.glob("map.xover*"):
        shutil.copy(path, folder)
    with MapStorage.open(folder / half_written.name) as storage:
        assert len(storage.load().keyframes) == NUM_KEYFRAMES


def test_map_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "map.xover"
    process = start(MAPPER, path, pause_s=0.01)
    counts = []
    try:
        assert process.stdout is not None
        for num_stored in range(1, 11):
            assert process.stdout.readline() == f"{num_stored}\n", "the mapper should go on while the map is read"
            with MapStorage.open(path) as storage:
                keyframes = storage.load().keyframes
            assert [keyframe.keyframe_id for keyframe in keyframes] == list(range(1, len(keyframes) + 1))
            assert len(keyframes) >= num_stored
            counts.append(len(keyframes))
    finally:
        kill(process)
    assert counts == sorted(counts)
