#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a map costs: storing a keyframe with each SQLite journal, mapping a recording, finishing, loading, bytes.

    python benchmarks/bench_map.py [RECORDING] [--json runs/bench_map.json]

Without a recording, a walk through a procedural apartment is rendered (needs torch; rendering is not timed).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xover_core.config import XoverSettings
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import RgbdSequence, SequenceItem
from xover_core.landmark_map import map_rows
from xover_core.landmark_map.map_builder import MapBuilder, MapSummary, open_map_builder
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.types import Keyframe

JOURNALS = (("TRUNCATE", "FULL"), ("DELETE", "FULL"), ("WAL", "FULL"), ("WAL", "NORMAL"))
NUM_STORED = 60
NUM_FRAMES = 150


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MapCosts:
    """Results for one recording; times in ms unless named otherwise."""

    recording: str
    frames: int
    keyframes: int
    landmarks: int
    scenes: int
    bytes_total: int
    bytes_per_keyframe: float
    skipped_frame_p50: float
    keyframe_p50: float
    keyframe_p95: float
    finish_s: dict[str, float]
    open_and_check: float
    load: float


def make_sequence(recording: Path | None) -> RgbdSequence:
    """The recording given, or a procedural one."""
    if recording is not None:
        return open_sequence(recording)
    from xover_core.datasets.procedural.apartment import make_apartment
    from xover_core.datasets.procedural.apartment_walk import ApartmentWalk

    return ApartmentWalk(make_apartment(0), num_frames=NUM_FRAMES)


def posed_items(sequence: RgbdSequence) -> Iterator[SequenceItem]:
    """Frames with a pose."""
    return (item for item in sequence if item.T_world_camera is not None)


def measure_mapping(sequence: RgbdSequence, path: Path) -> MapCosts:
    """Map a recording and load the map again."""
    builder = open_map_builder(path, XoverSettings())
    taken: list[float] = []
    skipped: list[float] = []
    for item in posed_items(sequence):
        start = time.perf_counter()
        keyframe = builder.add(item.frame, item.T_world_camera)
        (skipped if keyframe is None else taken).append(1e3 * (time.perf_counter() - start))
    summary = builder.finish()
    builder.storage.close()
    start = time.perf_counter()
    storage = MapStorage.open(path)
    opened = time.perf_counter()
    storage.load()
    loaded = time.perf_counter()
    storage.close()
    return MapCosts(
        recording=sequence.name,
        frames=len(taken) + len(skipped),
        skipped_frame_p50=float(np.median(skipped or [np.nan])),
        keyframe_p50=float(np.median(taken)),
        keyframe_p95=float(np.quantile(taken, 0.95)),
        open_and_check=1e3 * (opened - start),
        load=1e3 * (loaded - opened),
        **_facts(summary),
    )


def _facts(summary: MapSummary) -> dict[str, object]:
    """What the summary of a finished map says."""
    return {
        "keyframes": summary.num_keyframes,
        "landmarks": summary.num_landmarks,
        "scenes": summary.num_scenes,
        "bytes_total": summary.size_bytes,
        "bytes_per_keyframe": summary.size_bytes / max(summary.num_keyframes, 1),
        "finish_s": dict(summary.timings_s),
    }


def measure_journals(keyframe: Keyframe, folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of one transaction with the blobs of a keyframe, for each journal and synchronous mode."""
    blobs = [map_rows.to_blob(scale, "<f2") for scale in keyframe.descriptors]
    blobs += [map_rows.pack_points(keyframe.points_camera)[0], keyframe.thumbnail_jpeg]
    results = {}
    for journal, synchronous in JOURNALS:
        file = sqlite3.connect(folder / f"{journal}-{synchronous}.db", isolation_level=None)
        file.execute(f"PRAGMA journal_mode = {journal}")
        file.execute(f"PRAGMA synchronous = {synchronous}")
        file.execute("CREATE TABLE blobs (content BLOB)")
        times = [_timed_transaction(file, blobs) for _ in range(NUM_STORED)]
        file.close()
        quantiles = np.quantile(times, [0.5, 0.95, 1.0])
        results[f"{journal} {synchronous}"] = dict(zip(("p50", "p95", "max"), quantiles.tolist(), strict=True))
    return results


def _timed_transaction(file: sqlite3.Connection, blobs: list[bytes]) -> float:
    """Milliseconds to store some blobs."""
    start = time.perf_counter()
    file.execute("BEGIN IMMEDIATE")
    file.executemany("INSERT INTO blobs VALUES (?)", [(blob,) for blob in blobs])
    file.execute("COMMIT")
    return 1e3 * (time.perf_counter() - start)


def measure_reopening(path: Path) -> float:
    """Milliseconds until a stored map can be appended to."""
    start = time.perf_counter()
    builder: MapBuilder = open_map_builder(path, XoverSettings(), append=True)
    elapsed = 1e3 * (time.perf_counter() - start)
    builder.storage.close()
    return elapsed


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recording", type=Path, nargs="?", help="folder or bag with poses; default: procedural")
    parser.add_argument("--json", type=Path, default=Path("runs/bench_map.json"), help="where the results go")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "map.xover"
        costs = measure_mapping(make_sequence(args.recording), path)
        reopening = measure_reopening(path)
        with MapStorage.open(path) as storage:
            journals = measure_journals(storage.load().keyframes[0], Path(folder))
    results = {"mapping": dataclasses.asdict(costs), "reopen_to_append": reopening, "keyframe_transaction": journals}
    for name, value in results["mapping"].items():
        print(f"{name:20} {value:.2f}" if isinstance(value, float) else f"{name:20} {value}")
    print(f"{'reopen_to_append':20} {reopening:.2f}")
    for mode, times in journals.items():
        print(f"{mode:20} " + "  ".join(f"{name} {value:.2f} ms" for name, value in times.items()))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
