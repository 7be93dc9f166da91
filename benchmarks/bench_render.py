#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What procedural frames cost: drawing an apartment, planning a walk, preparing a renderer, and each 320x240 view.

    python benchmarks/bench_render.py [--threads 2] [--device cpu] [--batch 1]

The baseline of all is bringing a view of a camera from a file into memory, JPEG and PNG, since that is what is saved.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import cv2
import numpy as np
import torch
from measurement import Row
from section import run_section
from timing import Times, latency, time_once

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

AREA = "procedural frames"
DRAW, PLAN, PREPARE = "draw an apartment", "plan a walk", "prepare a renderer"
RENDER, SENSE, DECODE = "render a view", "sensor noise", "decoding JPEG and PNG of a view"
T = TypeVar("T")


class Stopwatch:
    """Collects times of named stages."""

    def __init__(self, wait: Callable[[], None]) -> None:
        """Take a function that waits until the device is idle."""
        self._wait = wait
        self._times: dict[str, list[Times]] = {}

    def time(self, stage: str, call: Callable[[], T], share: int = 1) -> T:
        """What a call gives; its times are divided by the number of things that it makes."""

        def call_and_wait() -> T:
            result = call()
            self._wait()
            return result

        result, times = time_once(call_and_wait)
        one = Times((times.wall_ms[0] / share,), (times.processor_ms[0] / share,))
        self._times.setdefault(stage, []).append(one)
        return result

    def times(self) -> dict[str, Times]:
        """All times of each stage."""
        return {stage: Times.together(parts) for stage, parts in self._times.items()}


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Several apartments, with several views of each."""
    torch.set_num_threads(args.threads)
    num_seeds, num_frames = args.effort.pick((1, 10), (3, 20), (10, 50))
    watch = Stopwatch(torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None)
    sizes = [measure_apartment(seed, num_frames, args.device, args.batch, watch) for seed in range(num_seeds)]
    times = watch.times()
    note = f"{np.mean(sizes):.0f} primitives, {args.threads} threads, {args.device}, batch {args.batch}"
    for stage in (DRAW, PLAN, PREPARE, RENDER, SENSE):
        yield latency(AREA, f"{stage}, p50", times[stage], DECODE, times[DECODE], note=note if stage == RENDER else "")
    yield latency(AREA, f"{RENDER}, p95", times[RENDER], DECODE, times[DECODE], percent=95)


def measure_apartment(seed: int, num_frames: int, device: str, batch: int, watch: Stopwatch) -> int:
    """Time everything for one apartment; gives its number of primitives."""
    apartment = watch.time(DRAW, lambda: make_apartment(seed))
    walk = watch.time(PLAN, lambda: plan_walk(apartment, seed, rate_hz=2.0))
    renderer = watch.time(PREPARE, lambda: Renderer(apartment, device))
    poses = list(walk.T_map_camera[np.linspace(0, len(walk) - 1, num_frames).astype(int)])
    renderer.render_batch(poses[:batch], DEFAULT_INTRINSICS)
    measure_views(renderer, poses, batch, watch)
    return count_primitives(apartment)


def measure_views(renderer: Renderer, poses: list[Mat4], batch: int, watch: Stopwatch) -> None:
    """Time rendering, the simulated camera, and reading such a view from files, in turns."""
    rng = np.random.default_rng(0)
    for start in range(0, len(poses) - batch + 1, batch):
        some = poses[start : start + batch]
        view = watch.time(RENDER, lambda some=some: renderer.render_batch(some, DEFAULT_INTRINSICS), batch)[0]  # type: ignore[misc]
        rgb, depth = watch.time(
            SENSE,
            lambda view=view: (sense_color(view.rgb, SensorNoise(), rng), sense_depth(view, SensorNoise(), rng)),  # type: ignore[misc]
        )
        files = [cv2.imencode(".jpg", rgb)[1], cv2.imencode(".png", (depth * 1e3).astype(np.uint16))[1]]
        watch.time(DECODE, lambda files=files: [cv2.imdecode(file, cv2.IMREAD_UNCHANGED) for file in files])  # type: ignore[misc]


def count_primitives(apartment: Apartment) -> int:
    """Parts of all objects."""
    return sum(len(o.primitives) for o in apartment.objects)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where and how many at once."""
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=1, help="default: %(default)s")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
