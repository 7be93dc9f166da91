#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a query costs: each stage of single-frame and online localization, beside the same with the weight-free encoder.

    python benchmarks/bench_localize.py [DIR]

DIR holds recordings `map` and `query`, as for `xover evaluate`; without it two walks through a procedural apartment are
rendered, which is not timed. Latency is of one frame at a time; accuracy is what `xover evaluate` measures. Online,
true poses stand for odometry where the recording has none.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from measurement import Measurement, Row
from replay_loop import with_odometry
from section import run_section
from timing import percentile

from xover_core.cli.evaluate import find_part
from xover_core.config import EncoderSettings, XoverSettings
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.localizer import load_localizer
from xover_core.types import LocalizationResult, RgbdFrame

SEED = 7
NUM_WARM_UP = 3
WEIGHT_FREE = "rootsift-pca64"
WHOLE = "whole step"
Localize = Callable[[RgbdFrame], LocalizationResult]


def load_recordings(directory: Path | None, max_queries: int) -> tuple[list[SequenceItem], list[SequenceItem]]:
    """Frames to map and to localize, held in memory so that reading them is not timed."""
    if directory is not None:
        parts = (open_sequence(find_part(directory, part)) for part in ("map", "query"))
        mapped, queries = (list(part) for part in parts)
        return mapped, queries[:max_queries]
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    apartment = make_apartment(SEED, num_rooms=3)
    mapped = list(ApartmentWalk(apartment, seed=SEED, rate_hz=2.0, stops_per_room=1))
    queries = list(ApartmentWalk(apartment, seed=SEED + 1, reverse=True, rate_hz=2.0, num_frames=max_queries))
    return mapped, queries


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Map with each encoder, load both maps, localize in both in turns."""
    mapped, queries = load_recordings(args.directory, args.effort.pick(20, 60, 100))
    settings = XoverSettings()
    name = settings.encoder.model
    of_encoder = {
        name: settings,
        WEIGHT_FREE: dataclasses.replace(settings, encoder=EncoderSettings(model=WEIGHT_FREE)),
    }
    localizers = {}
    with tempfile.TemporaryDirectory(prefix="xover_bench_") as folder:
        for encoder, its_settings in of_encoder.items():
            path = Path(folder) / f"{encoder}.xover"
            write_map(mapped, path, its_settings)
            localizers[encoder] = load_localizer(path, its_settings)
    for mode in ("single frame", "online"):
        calls = {k: x.localize_image if mode == "single frame" else x.process for k, x in localizers.items()}
        times = {k: stage_times(results) for k, results in localize_in_turns(calls, queries).items()}
        yield from compare(f"localizer step, {mode}", name, times[name], times[WEIGHT_FREE])


def write_map(items: Sequence[SequenceItem], path: Path, settings: XoverSettings) -> None:
    """Map a recording."""
    builder = open_map_builder(path, settings)
    with builder.storage:
        for item in items:
            if item.T_world_camera is not None:
                builder.add(item.frame, item.T_world_camera)
        builder.finish()


def localize_in_turns(
    localize: Mapping[str, Localize], queries: Sequence[SequenceItem]
) -> dict[str, list[LocalizationResult]]:
    """Each frame with one localizer after the other; the first frames only warm up."""
    results: dict[str, list[LocalizationResult]] = {name: [] for name in localize}
    frames = [with_odometry(item) for item in queries]
    for turn, frame in enumerate([*frames[:NUM_WARM_UP], *frames]):
        for name, call in localize.items():
            result = call(frame)
            if turn >= NUM_WARM_UP:
                results[name].append(result)
    return results


def stage_times(results: Sequence[LocalizationResult]) -> dict[str, list[float]]:
    """Milliseconds of the whole and of each stage; frames that a stage did not see are left out."""
    times = {WHOLE: [result.latency_ms for result in results]}
    for result in results:
        for stage, ms in result.timings_ms:
            times.setdefault(stage, []).append(ms)
    return times


def compare(
    area: str, name: str, own: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]
) -> Iterator[Measurement]:
    """Median and 95th percentile of the whole and of the stages that both have."""
    for stage in own:
        for percent in (50, 95):
            yield Measurement(
                area=area,
                name=f"{stage}, p{percent}",
                value=percentile(own[stage], percent),
                unit="ms",
                baseline=f"with {WEIGHT_FREE}",
                baseline_value=percentile(other[stage], percent) if stage in other else 0.0,
                note=name if stage == WHOLE else "",
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recording."""
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="holds `map` and `query`")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
