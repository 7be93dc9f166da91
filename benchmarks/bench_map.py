#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a map costs: mapping a recording, finishing, loading, bytes, storing a keyframe with each SQLite journal.

    python benchmarks/bench_map.py [RECORDING]

Without a recording, a walk through a procedural apartment is rendered, which is not timed.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from measurement import Measurement, Row
from section import run_section
from timing import Times, latency, time_in_turns, time_once

from xover_core.config import XoverSettings
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.landmark_map import map_rows
from xover_core.landmark_map.map_builder import MapBuilder, MapSummary, open_map_builder
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.localization.localizer import load_localizer
from xover_core.types import RgbdFrame

BUILDING, LOADING, STORING = "map building", "map loading", "storing a keyframe"
# the first is what maps use, see docs/map-format.md
JOURNALS = (("TRUNCATE", "FULL"), ("DELETE", "FULL"), ("WAL", "FULL"), ("WAL", "NORMAL"))
BYTES_PER_PIXEL = 3 + 2
"""Of a frame as a camera gives it: colour, and depth in millimetres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A map that was built, and what each frame took.

    Attributes:
        kept: of frames that became keyframes.
        skipped: of the others.
        encoding: encoding a frame and nothing else, after each keyframe.
        finishing: the end.
        summary: what is in the map.
    """

    kept: Times
    skipped: Times | None
    encoding: Times
    finishing: Times
    summary: MapSummary


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Build a map, load it, store keyframes."""
    items = load_recording(args.recording, args.effort.pick(60, 150, 400))
    rounds = args.effort.pick(3, 7, 15)
    # beside the results: the usual place for such files may be in memory, where a journal costs nothing
    args.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench_map_", dir=args.json.parent) as name:
        folder = Path(name)
        path = folder / "map.xover"
        yield from rows_of_building(build(items, path), items[0].frame)
        yield from measure_loading(path, rounds)
        yield from measure_journals(path, folder, rounds=8 * rounds)


def load_recording(recording: Path | None, max_frames: int) -> list[SequenceItem]:
    """Frames with poses, held in memory so that making them is not timed."""
    if recording is not None:
        return [item for item in open_sequence(recording) if item.T_world_camera is not None][:max_frames]
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    return list(ApartmentWalk(make_apartment(0), rate_hz=2.0, num_frames=max_frames))


def build(items: Sequence[SequenceItem], path: Path) -> Mapped:
    """Map a recording; a keyframe's image is encoded once more, for comparison."""
    builder = open_map_builder(path, XoverSettings())
    kept: list[Times] = []
    skipped: list[Times] = []
    encoding: list[Times] = []
    with builder.storage:
        # the first pictures that a network sees take longer
        builder.encoder.encode(items[0].frame)
        for item in items:
            keyframe, times = time_once(partial(_add, builder, item))
            (skipped if keyframe is None else kept).append(times)
            if keyframe is not None:
                encoding.append(time_once(partial(builder.encoder.encode, item.frame))[1])
        summary, finishing = time_once(builder.finish)
    return Mapped(
        kept=Times.together(kept),
        skipped=Times.together(skipped) if skipped else None,
        encoding=Times.together(encoding),
        finishing=finishing,
        summary=summary,
    )


def _add(builder: MapBuilder, item: SequenceItem) -> object:
    """One frame."""
    assert item.T_world_camera is not None
    return builder.add(item.frame, item.T_world_camera)


def rows_of_building(mapped: Mapped, frame: RgbdFrame) -> Iterator[Row]:
    """Frames beside their encoding, the end beside all frames, bytes beside those of images."""
    summary = mapped.summary
    all_frames_ms = sum(mapped.kept.wall_ms) + (sum(mapped.skipped.wall_ms) if mapped.skipped else 0.0)
    for percent in (50, 95):
        yield latency(
            BUILDING, f"a frame that becomes a keyframe, p{percent}", mapped.kept, "encoding it", mapped.encoding,
            percent=percent,
        )  # fmt: skip
    if mapped.skipped:
        yield latency(BUILDING, "a frame that does not, p50", mapped.skipped, "encoding one", mapped.encoding)
    yield Measurement(
        area=BUILDING, name="finishing the map", value=mapped.finishing.p50 / 1e3, unit="s",
        baseline="all frames before", baseline_value=all_frames_ms / 1e3,
        note=f"{summary.num_keyframes} keyframes, {summary.num_landmarks} landmarks, {summary.num_scenes} scenes",
    )  # fmt: skip
    yield Measurement(
        area=BUILDING, name="file, for a keyframe", value=summary.size_bytes / max(summary.num_keyframes, 1) / 1e3,
        unit="kB", baseline="its colour and depth", baseline_value=BYTES_PER_PIXEL * frame.rgb[..., 0].size / 1e3,
    )  # fmt: skip


def measure_loading(path: Path, rounds: int) -> Iterator[Row]:
    """Ways to open a map, beside reading the bytes of its file."""
    settings = XoverSettings()
    baseline = f"reading its {path.stat().st_size / 1e6:.1f} MB"

    def load() -> None:
        with MapStorage.open(path) as storage:
            storage.load()

    def reopen() -> None:
        open_map_builder(path, settings, append=True).storage.close()

    calls: dict[str, Callable[[], object]] = {
        baseline: path.read_bytes,
        "everything in it": load,
        "a localizer, ready": lambda: load_localizer(path, settings),
        "ready to append": reopen,
    }
    times = time_in_turns(calls, rounds, warm_up=1)
    for name in list(calls)[1:]:
        yield latency(LOADING, name, times[name], baseline, times[baseline])


def measure_journals(path: Path, folder: Path, rounds: int) -> Iterator[Row]:
    """A transaction with the blobs of a keyframe, for each journal and synchronous mode."""
    with MapStorage.open(path) as storage:
        keyframe = storage.load().keyframes[0]
    blobs = [map_rows.to_blob(np.asarray(scale), "<f2") for scale in keyframe.descriptors]
    blobs += [map_rows.pack_points(keyframe.points_camera)[0], keyframe.thumbnail_jpeg]
    files = {" ".join(mode): _open(folder, *mode) for mode in JOURNALS}
    times = time_in_turns({mode: partial(_store, file, blobs) for mode, file in files.items()}, rounds)
    baseline, *others = files
    for mode in others:
        yield latency(STORING, f"{mode}, p50", times[mode], f"{baseline}, as in maps", times[baseline])
        yield latency(STORING, f"{mode}, p95", times[mode], f"{baseline}, as in maps", times[baseline], percent=95)
    for file in files.values():
        file.close()


def _open(folder: Path, journal: str, synchronous: str) -> sqlite3.Connection:
    """An empty file with a table for blobs."""
    file = sqlite3.connect(folder / f"{journal}-{synchronous}.db", isolation_level=None)
    file.execute(f"PRAGMA journal_mode = {journal}")
    file.execute(f"PRAGMA synchronous = {synchronous}")
    file.execute("CREATE TABLE blobs (content BLOB)")
    return file


def _store(file: sqlite3.Connection, blobs: list[bytes]) -> None:
    """One transaction."""
    file.execute("BEGIN IMMEDIATE")
    file.executemany("INSERT INTO blobs VALUES (?)", [(blob,) for blob in blobs])
    file.execute("COMMIT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recording."""
    parser.add_argument("recording", type=Path, nargs="?", help="folder or bag with poses; default: procedural")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
