#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How localization scales with the size of the map: queries of a place among more and more copies of it.

    python benchmarks/bench_scale.py [DIR] [--sizes 10000 100000 1000000] [--maps FOLDER] [--figure FILE]

DIR holds recordings `map` and `query`, as for `xover evaluate`; without it walks through a procedural apartment are
rendered. The maps are made by `xover_core.evaluation.map_copies`, 9 kB for each landmark; --maps keeps them, and uses
those that are there. All sizes answer the same queries in turns, so that a machine whose speed drifts is fair to them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from measurement import Measurement, NotMeasured, Row
from own_process import memory_mb, run_apart
from scale_figure import draw_scale
from section import run_section
from timing import latency, time_in_turns, time_once

from xover_core.cli.evaluate import find_part
from xover_core.config import XoverSettings
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders.factory import make_encoder
from xover_core.evaluation.map_copies import CopySettings, multiply_map
from xover_core.geometry.transforms import pose_error
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.landmark_map.map_reader import open_map
from xover_core.localization.localizer import Localizer, load_localizer
from xover_core.localization.patch_matching import match_to_points
from xover_core.types import LocalizationResult

QUERY, OPENING, ACCURACY, MATCHING = "scale, a query", "scale, opening", "scale, answers", "scale, landmarks"
SEED = 7
MAX_QUERIES = 80
MAX_DENSE = 100_000
"""Similarities of an image's patches to all of more landmarks than this take GBs."""
RIGHT_M, RIGHT_RAD, WRONG_M = 0.25, np.deg2rad(10), 1.0


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Make maps, open them, ask them."""
    args.json.parent.mkdir(parents=True, exist_ok=True)
    kept = nullcontext(args.maps) if args.maps else tempfile.TemporaryDirectory(prefix="scale_", dir=args.json.parent)
    with kept as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        mapped, queries = load_recordings(args.directory)
        sizes = args.sizes or args.effort.pick([10_000, 20_000], [10_000, 100_000], [10_000, 100_000, 1_000_000])
        maps = make_maps(mapped, folder, sizes)
        rows: list[Row] = []
        for row in itertools.chain(measure_opening(maps), measure_queries(maps, queries), measure_dense(maps, queries)):
            rows.append(row)
            yield row
        if args.figure is not None:
            args.figure.write_bytes(draw_scale([row for row in rows if isinstance(row, Measurement)]))


def load_recordings(directory: Path | None) -> tuple[Callable[[], Iterator[SequenceItem]], list[SequenceItem]]:
    """Frames to map, and frames to localize, held in memory so that reading them is not timed."""
    if directory is not None:
        source = partial(open_sequence, find_part(directory, "map"))
        return lambda: iter(source()), list(open_sequence(find_part(directory, "query")))[:MAX_QUERIES]
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    apartment = make_apartment(SEED, num_rooms=2)
    queries = ApartmentWalk(apartment, seed=SEED + 1, reverse=True, rate_hz=2.0, num_frames=MAX_QUERIES // 2)
    return lambda: iter(ApartmentWalk(apartment, seed=SEED, rate_hz=2.0, stops_per_room=1)), list(queries)


def make_maps(mapped: Callable[[], Iterator[SequenceItem]], folder: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """A map of each number of landmarks, unless it is there."""
    place = folder / "place.xover"
    if not place.exists():
        builder = open_map_builder(place, XoverSettings())
        with builder.storage:
            for item in mapped():
                if item.T_world_camera is not None:
                    builder.add(item.frame, item.T_world_camera)
            builder.finish()
    maps = {size: folder / f"landmarks-{size}.xover" for size in sorted(sizes)}
    for size, path in maps.items():
        if not path.exists():
            multiply_map(place, path, CopySettings(num_landmarks=size))
    return maps


def measure_opening(maps: Mapping[int, Path]) -> Iterator[Row]:
    """File, time and memory, each in a process of its own, beside those of the smallest map."""
    smallest = min(maps)
    found = {size: run_apart(open_apart, path=str(path)) for size, path in maps.items()}
    for size, path in maps.items():
        beside = f"{smallest:,} landmarks"
        for name, unit in (("time", "s"), ("memory", "MB")):
            yield Measurement(
                area=OPENING, name=f"{name}, {size:,} landmarks", value=found[size][name], unit=unit,
                baseline=beside, baseline_value=found[smallest][name],
            )  # fmt: skip
        file_mb, smallest_mb = (p.stat().st_size / 1e6 for p in (path, maps[smallest]))
        yield Measurement(
            area=OPENING, name=f"file, {size:,} landmarks", value=file_mb, unit="MB",
            baseline=beside, baseline_value=smallest_mb,
        )  # fmt: skip


def open_apart(path: str) -> dict[str, float]:
    """Seconds until a localizer is ready, without the networks, and memory that the map takes then."""
    settings = XoverSettings()
    header = open_map(Path(path), settings.retrieval).header
    encoder = make_encoder(settings.encoder, header.site_weights)
    before = memory_mb()
    localizer, times = time_once(lambda: Localizer(open_map(Path(path), settings.retrieval), encoder, settings))
    assert localizer.landmark_map.header == header
    return {"time": times.p50 / 1e3, "memory": memory_mb() - before}


def measure_queries(maps: Mapping[int, Path], queries: Sequence[SequenceItem]) -> Iterator[Row]:
    """Single images, the first time and again, and what was answered."""
    localizers = {str(size): load_localizer(path, XoverSettings()) for size, path in maps.items()}
    answers: dict[str, list[LocalizationResult]] = {name: [] for name in localizers}
    smallest = str(min(maps))
    # the networks' first pictures take longer
    for localizer in localizers.values():
        localizer.localize_image(queries[0].frame)
    for when in ("first time", "again"):
        calls = {name: _asker(localizer, queries, answers[name]) for name, localizer in localizers.items()}
        times = time_in_turns(calls, len(queries), warm_up=0)
        for name, percent in itertools.product(localizers, (50, 95)):
            yield latency(
                QUERY, f"{when}, {int(name):,} landmarks, p{percent}", times[name], f"{int(smallest):,} landmarks",
                times[smallest], percent=percent,
            )  # fmt: skip
    for name in localizers:
        right, wrong = (100 * np.mean(s) for s in zip(*map(_judge, queries, answers[name]), strict=True))
        right_there, _ = (100 * np.mean(s) for s in zip(*map(_judge, queries, answers[smallest]), strict=True))
        yield Measurement(
            area=ACCURACY, name=f"right within 0.25 m, {int(name):,} landmarks", value=float(right), unit="%",
            baseline=f"{int(smallest):,} landmarks", baseline_value=float(right_there),
            note=f"{wrong:g} % wrong by more than 1 m; among all queries",
        )  # fmt: skip


def _asker(
    localizer: Localizer, queries: Sequence[SequenceItem], answers: list[LocalizationResult]
) -> Callable[[], object]:
    """Asks the next query with each call."""
    left = iter(queries)
    return lambda: answers.append(localizer.localize_image(next(left).frame))


def _judge(query: SequenceItem, answer: LocalizationResult) -> tuple[bool, bool]:
    """Whether an answer is right, and whether it is wrong; neither without an answer."""
    if answer.T_map_camera is None or query.T_world_camera is None:
        return False, False
    distance, angle = pose_error(answer.T_map_camera, query.T_world_camera)
    return distance <= RIGHT_M and angle <= RIGHT_RAD, distance > WRONG_M


def measure_dense(maps: Mapping[int, Path], queries: Sequence[SequenceItem]) -> Iterator[Row]:
    """Matching with as many landmarks as a large map is matched with beside all of them, as it was before."""
    settings = XoverSettings()
    for size, path in maps.items():
        name = f"{size:,} landmarks, p50"
        if size > MAX_DENSE:
            yield NotMeasured(area=MATCHING, name=name, reason="all similarities at once do not fit into memory")
            continue
        landmark_map = open_map(path, settings.retrieval)
        query = make_encoder(settings.encoder, landmark_map.header.site_weights).encode(queries[0].frame)
        embeddings = landmark_map.landmarks.embeddings.astype(np.float32)
        parts = {"around": embeddings[: settings.retrieval.max_landmarks], "all": embeddings}
        times = time_in_turns(
            {
                part: partial(match_to_points, query.finest, chosen, query.grid_shape, settings.matching)
                for part, chosen in parts.items()
            },
            rounds=7,
        )
        yield latency(MATCHING, name, times["around"], "all at once, as before", times["all"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recordings, which sizes, and what to keep."""
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="holds `map` and `query`")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="landmarks of the maps")
    parser.add_argument("--maps", type=Path, metavar="FOLDER", help="keep the maps here, and use those that are there")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the curves, PNG")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
