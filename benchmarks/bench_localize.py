#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a query costs: each stage of single-frame and online localization, mapping rate, map size, memory.

    python benchmarks/bench_localize.py [DIR] [--json runs/bench_localize.json]

DIR holds recordings `map` and `query`, as for `xover evaluate`; without it two walks through a procedural apartment are
rendered, which is not timed. Latency is of one frame at a time; accuracy is what `xover evaluate` measures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from xover_core.cli.evaluate import find_part
from xover_core.config import XoverSettings
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.evaluation.provenance import Provenance, find_provenance
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.localizer import load_localizer
from xover_core.types import LocalizationResult, RgbdFrame

SEED = 7
NUM_WARM_UP = 3
MAX_QUERIES = 100
KIB_PER_MB = 1e6 / 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds: p50 and p95 of the whole and of each stage, and of the whole as a caller's clock sees it."""

    p50: float
    p95: float
    wall_p50: float
    wall_p95: float
    stages: dict[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalizeCosts:
    """Results; times in ms unless named otherwise."""

    recording: str
    num_mapped: int
    num_keyframes: int
    mapping_frames_per_s: float
    finish_s: float
    map_bytes_per_keyframe: float
    load_s: float
    num_queries: int
    single: Latency
    online: Latency
    peak_memory_mb: float
    provenance: Provenance


def load_recordings(directory: Path | None) -> tuple[str, list[SequenceItem], list[SequenceItem]]:
    """Name, and frames to map and to localize, held in memory so that reading them is not timed."""
    if directory is not None:
        parts = (open_sequence(find_part(directory, part)) for part in ("map", "query"))
        mapped, queries = (list(part) for part in parts)
        return directory.resolve().name, mapped, queries[:MAX_QUERIES]
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    apartment = make_apartment(SEED, num_rooms=3)
    mapped = list(ApartmentWalk(apartment, seed=SEED, rate_hz=2.0, stops_per_room=1))
    queries = list(ApartmentWalk(apartment, seed=SEED + 1, reverse=True, rate_hz=2.0, num_frames=MAX_QUERIES))
    return "procedural apartment", mapped, queries


def measure(localize: Callable[[RgbdFrame], LocalizationResult], queries: Sequence[SequenceItem]) -> Latency:
    """Localize all queries and take percentiles; the first few only warm up."""
    results, wall_ms = [], []
    for item in [*queries[:NUM_WARM_UP], *queries]:
        start = time.perf_counter()
        results.append(localize(item.frame))
        wall_ms.append(1e3 * (time.perf_counter() - start))
    results, wall_ms = results[NUM_WARM_UP:], wall_ms[NUM_WARM_UP:]
    values: dict[str, list[float]] = {}
    for result in results:
        for stage, ms in result.timings_ms:
            values.setdefault(stage, []).append(ms)
    total = percentiles([r.latency_ms for r in results])
    wall = percentiles(wall_ms)
    stages = {stage: percentiles(ms) for stage, ms in values.items()}
    return Latency(p50=total[0], p95=total[1], wall_p50=wall[0], wall_p95=wall[1], stages=stages)


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """p50 and p95."""
    p50, p95 = np.percentile(values, (50, 95))
    return float(p50), float(p95)


def run_benchmark(directory: Path | None) -> LocalizeCosts:
    """Map, load, localize; every step timed."""
    settings = XoverSettings()
    name, mapped, queries = load_recordings(directory)
    with tempfile.TemporaryDirectory(prefix="xover_bench_") as scratch:
        map_path = Path(scratch) / "bench.xover"
        builder = open_map_builder(map_path, settings)
        with builder.storage:
            start = time.perf_counter()
            for item in mapped:
                if item.T_world_camera is not None:
                    builder.add(item.frame, item.T_world_camera)
            mapping_s = time.perf_counter() - start
            start = time.perf_counter()
            summary = builder.finish()
            finish_s = time.perf_counter() - start
        start = time.perf_counter()
        localizer = load_localizer(map_path, settings)
        load_s = time.perf_counter() - start
        single = measure(localizer.localize_image, queries)
        online = measure(localizer.process, queries)
    return LocalizeCosts(
        recording=name,
        num_mapped=len(mapped),
        num_keyframes=summary.num_keyframes,
        mapping_frames_per_s=len(mapped) / mapping_s,
        finish_s=finish_s,
        map_bytes_per_keyframe=summary.size_bytes / max(summary.num_keyframes, 1),
        load_s=load_s,
        num_queries=len(queries),
        single=single,
        online=online,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MB,
        provenance=find_provenance(),
    )


def format_costs(costs: LocalizeCosts) -> str:
    """The results as a table for people."""
    lines = [
        f"{costs.recording}, {costs.provenance.machine}",
        f"  mapping              {costs.mapping_frames_per_s:8.1f} frames/s, {costs.num_keyframes} keyframes"
        f" of {costs.num_mapped} frames",
        f"  finishing            {costs.finish_s:8.1f} s",
        f"  map                  {costs.map_bytes_per_keyframe / 1e3:8.1f} kB a keyframe",
        f"  loading              {costs.load_s:8.2f} s",
        f"  peak memory          {costs.peak_memory_mb:8.0f} MB",
        f"  {'latency, ms':<20} {'p50':>8} {'p95':>8}",
    ]
    for mode, latency in (("single frames", costs.single), ("online", costs.online)):
        lines.append(f"  {mode:<20} {latency.p50:8.1f} {latency.p95:8.1f}")
        lines += [f"    {stage:<18} {p50:8.1f} {p95:8.1f}" for stage, (p50, p95) in latency.stages.items()]
    return "\n".join(lines)


def main() -> int:
    """Parse arguments, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="holds `map` and `query`")
    parser.add_argument("--json", metavar="FILE", type=Path, default=Path("runs/bench_localize.json"))
    args = parser.parse_args()
    costs = run_benchmark(args.directory)
    print(format_costs(costs))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(dataclasses.asdict(costs), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
