#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What procedural frames cost: drawing an apartment, planning a walk, preparing a renderer, and each 320x240 view.

    python benchmarks/bench_render.py [--seeds 3] [--frames 20] [--threads 2] [--device cpu] [--batch 1] [--json FILE]

Wall-clock times of a machine that does something else too are of little use: the processor time beside them says so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from xover_core.datasets.procedural import (
    DEFAULT_INTRINSICS,
    Apartment,
    Renderer,
    SensorNoise,
    make_apartment,
    plan_walk,
    sense_color,
    sense_depth,
)
from xover_core.types import Mat4


class Stopwatch:
    """Collects wall-clock and processor milliseconds of named stages."""

    def __init__(self, wait: Callable[[], None]) -> None:
        """Take a function that waits until the device is idle."""
        self._wait = wait
        self.times: dict[str, list[tuple[float, float]]] = {}

    @contextmanager
    def stage(self, name: str, share: int = 1) -> Iterator[None]:
        """Time a block, divided by the number of things it makes."""
        start, start_cpu = time.perf_counter(), time.process_time()
        yield
        self._wait()
        wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        self.times.setdefault(name, []).append((wall * 1e3 / share, cpu * 1e3 / share))

    def summary(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile for each stage."""
        rows = {}
        for name, times in self.times.items():
            wall, cpu = np.array(times).T
            p95 = float(np.percentile(wall, 95))
            rows[name] = {
                "wall_p50_ms": float(np.median(wall)),
                "wall_p95_ms": p95,
                "cpu_p50_ms": float(np.median(cpu)),
            }
        return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    watch = Stopwatch(torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None)
    sizes = [measure(seed, args.frames, args.device, args.batch, watch) for seed in range(args.seeds)]
    summary = watch.summary()
    print(f"{np.mean(sizes):.0f} primitives in an apartment, {args.threads} threads, {args.device}, batch {args.batch}")
    for name, row in summary.items():
        print(f"{name:20s} " + "  ".join(f"{k} {v:8.1f}" for k, v in row.items()))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(
            json.dumps({"settings": vars(args) | {"json": str(args.json)}, "stages": summary}, indent=1)
        )


def measure(seed: int, num_frames: int, device: str, batch: int, watch: Stopwatch) -> int:
    """Time everything for one apartment; gives its number of primitives."""
    with watch.stage("draw apartment"):
        apartment = make_apartment(seed)
    with watch.stage("plan walk"):
        walk = plan_walk(apartment, seed, rate_hz=2.0)
    with watch.stage("prepare renderer"):
        renderer = Renderer(apartment, device)
    poses = list(walk.T_map_camera[np.linspace(0, len(walk) - 1, num_frames).astype(int)])
    renderer.render_batch(poses[:batch], DEFAULT_INTRINSICS)
    measure_views(renderer, poses, batch, watch)
    return count_primitives(apartment)


def measure_views(renderer: Renderer, poses: list[Mat4], batch: int, watch: Stopwatch) -> None:
    """Time rendering and the simulated camera, for each view."""
    rng = np.random.default_rng(0)
    for start in range(0, len(poses) - batch + 1, batch):
        with watch.stage("render view", batch):
            views = renderer.render_batch(poses[start : start + batch], DEFAULT_INTRINSICS)
        with watch.stage("sensor noise"):
            sense_color(views[0].rgb, SensorNoise(), rng)
            sense_depth(views[0], SensorNoise(), rng)


def count_primitives(apartment: Apartment) -> int:
    """Parts of all objects."""
    return sum(len(o.primitives) for o in apartment.objects)


if __name__ == "__main__":
    main()
