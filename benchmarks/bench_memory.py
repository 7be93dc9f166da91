#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory and latency of a localizer that runs for long: frames of a recording, there and back, with odometry.

    python benchmarks/bench_memory.py [DIR] [--full] [--frames N] [--minutes M] [--figure FILE]

An hour at 10 Hz is 36,000 frames, which `--full` replays as fast as they are answered; else it is two minutes. With
`--minutes` frames come in real time, and the newest one is taken, as the node does.
DIR holds recordings `map` and `query`, as for `xover evaluate`; without it two walks through a procedural apartment are
rendered. The map is made in another process, so that nothing is left of it in this one.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from bench_localize import load_recordings, write_map
from matplotlib.figure import Figure
from measurement import Measurement, Row
from own_process import run_apart
from replay_loop import ReplaySample, endless_frames, growth, newest_frames, sample_replay
from section import run_section
from tqdm import tqdm

from xover_core.config import XoverSettings
from xover_core.localization.localizer import load_localizer

AREA = "long replay"
RATE_HZ = 10
NUM_SAMPLES = 60
FRAMES_PER_SAMPLE = 300
MAX_QUERIES = 100
_MB_COLOR, _P50_COLOR, _P95_COLOR = "#1f4e9a", "#1f7a3f", "#e0a030"


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Replay, and say what has grown."""
    num_frames = args.frames or args.effort.pick(300, 1200, 36_000)
    with tempfile.TemporaryDirectory(prefix="xover_bench_") as folder:
        path = Path(folder) / "map.xover"
        run_apart(make_map, directory=str(args.directory or ""), path=str(path))
        localizer = load_localizer(path, XoverSettings())
        _, queries = load_recordings(args.directory, MAX_QUERIES)
        frames = endless_frames(queries, 1_000_000_000 // RATE_HZ)
        if args.minutes:
            chosen, every = newest_frames(frames, 1 / RATE_HZ, 60 * args.minutes), FRAMES_PER_SAMPLE
        else:
            chosen, every = itertools.islice(frames, num_frames), max(1, num_frames // NUM_SAMPLES)
        samples = list(tqdm(sample_replay(localizer.process, chosen, every), desc="replay", unit="sample"))
    if args.figure:
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        draw(samples, args.figure)
    yield from rows_of(samples)


def make_map(directory: str, path: str) -> None:
    """Map the recording of DIR."""
    mapped, _ = load_recordings(Path(directory) if directory else None, 1)
    write_map(mapped, Path(path), XoverSettings())


def rows_of(samples: Sequence[ReplaySample]) -> Iterator[Measurement]:
    """Memory and latency late in the replay beside those early in it."""
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    note = f"{samples[-1].num_frames} frames, {np.mean([s.localized for s in samples]):.0%} of them localized"
    for name, field, unit in (
        ("memory", "memory_mb", "MB"),
        ("objects of Python", "num_objects", ""),
        ("whole step, p50", "p50_ms", "ms"),
        ("whole step, p95", "p95_ms", "ms"),
    ):
        yield Measurement(
            area=AREA,
            name=f"{name}, last fifth",
            value=float(np.median([getattr(sample, field) for sample in late])),
            unit=unit,
            baseline="second fifth",
            baseline_value=float(np.median([getattr(sample, field) for sample in early])),
            note=note,
        )


def draw(samples: Sequence[ReplaySample], file: Path) -> None:
    """Memory and latency over the time that the replay stands for."""
    minutes = [sample.minutes for sample in samples]
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    memory, latency = figure.subplots(2, 1, sharex=True)
    memory.plot(minutes, [sample.memory_mb for sample in samples], color=_MB_COLOR)
    memory.set_ylim(0, 1.2 * max(sample.memory_mb for sample in samples))
    memory.set_ylabel("resident memory, MB")
    grown = growth([sample.memory_mb for sample in samples]) if len(samples) >= 5 else float("nan")
    memory.set_title(f"{samples[-1].num_frames} frames; last fifth {grown:+.1f} MB against the second", fontsize=10)
    latency.plot(minutes, [sample.p95_ms for sample in samples], color=_P95_COLOR, label="p95")
    latency.plot(minutes, [sample.p50_ms for sample in samples], color=_P50_COLOR, label="p50")
    latency.set_ylim(0, None)
    latency.set_ylabel("step, ms")
    latency.set_xlabel(f"minutes of recording at {RATE_HZ} frames a second")
    latency.legend(frameon=False)
    for axes in (memory, latency):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=130)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recording, how long, and where the figure goes."""
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="holds `map` and `query`")
    parser.add_argument("--frames", type=int, default=0, help="to replay, instead of the usual number")
    parser.add_argument("--minutes", type=float, default=0, help="to replay in real time, instead of all frames")
    parser.add_argument("--figure", type=Path, help="PNG file of memory and latency over time")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
