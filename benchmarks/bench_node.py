#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The localizer node at camera rate: frames in at 10 Hz over DDS, answers out; latency, drops and memory over time.

    python benchmarks/bench_node.py [--seconds 60] [--rate-hz 10]

A walk through a procedural apartment is mapped, and another one played in real time into the node as a user starts it,
but for `update_min_d`, `update_min_a` and `max_rate_hz`, which are set so that it takes every frame it can. Rendering
and mapping are not timed. The bag player and a recorder run beside it on the same processor. The baseline is what the
localizer takes for frames of the same walk in a process that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measurement import Measurement, NotMeasured, Row
from section import run_section
from timing import WARM_UP, percentile

from xover_core.cli.demo import BASE_FRAME, CAMERA_FRAME, DEMO_INPUTS, DEMO_REMAPS
from xover_core.cli.ros_processes import RosProcess, check_ros, ros_environment
from xover_core.config import XoverSettings
from xover_core.datasets.bag_frames import BagFrames
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.errors import XoverError
from xover_core.evaluation.run import build_map
from xover_core.localization.localizer import load_localizer

AREA = "node over DDS"
SEED = 7
MAP_RATE_HZ = 2.5
SAMPLE_PERIOD_S = 1.0
SETTLING_SAMPLES = 10
END_TIMEOUT_S = 30.0
NUM_STEPS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCosts:
    """What the node did with a stream of frames.

    Attributes:
        num_frames: played.
        latencies_ms: image received to state received, both in the recorder, for each answer.
        memory_mb: resident memory of the node, one sample each second after the first ones.
        cpu_share: processor time of the node over wall time; 1 is one core.
    """

    num_frames: int
    latencies_ms: tuple[float, ...]
    memory_mb: tuple[float, ...]
    cpu_share: float


class ProcessMeter:
    """Samples memory and processor time of a process from /proc, in a thread."""

    def __init__(self, pid: int) -> None:
        self.memory_mb: list[float] = []
        self.cpu_s: list[float] = []
        self._folder = Path(f"/proc/{pid}")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End sampling."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        """Sample until told to stop."""
        page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
        while not self._stopped.wait(SAMPLE_PERIOD_S):
            self.memory_mb.append(int((self._folder / "statm").read_text().split()[1]) * page / 1e6)
            fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
            self.cpu_s.append((int(fields[11]) + int(fields[12])) / tick)


def prepare(folder: Path, seconds: float, rate_hz: float) -> ApartmentWalk:
    """Map one walk, and write another as a bag; returns the latter."""
    apartment = make_apartment(SEED, num_rooms=3)
    build_map(ApartmentWalk(apartment, seed=SEED, rate_hz=MAP_RATE_HZ), folder / "map.xover", XoverSettings())
    num_frames = round(seconds * rate_hz)
    walk = ApartmentWalk(apartment, seed=SEED + 1, reverse=True, rate_hz=rate_hz, num_frames=num_frames)
    frames = BagFrames(base=BASE_FRAME, optical=CAMERA_FRAME, T_base_camera=walk.T_base_camera)
    write_bag(folder / "walk", walk, frames=frames)
    return walk


def run_node(folder: Path, seconds: float) -> ProcessMeter:
    """Play the bag in real time into the node, with a recorder beside it."""
    environment = ros_environment()

    def start(module: str, parameters: dict[str, str | float | bool]) -> RosProcess:
        log_path = folder / f"{module}.log"
        return RosProcess(module, environment=environment, log_path=log_path, parameters=parameters, remaps=DEMO_REMAPS)

    every_frame = {"update_min_d": 0.0, "update_min_a": 0.0, "max_rate_hz": 0.0}
    parameters = {**DEMO_INPUTS, **every_frame, "map_file": str(folder / "map.xover")}
    answers = folder / "answers.jsonl"
    with start("xover_ros.demo_recorder", {"output": str(answers)}) as recorder:
        recorder.wait_for_file(answers, END_TIMEOUT_S)
        with start("xover_ros.localizer_node", parameters) as node:
            meter = ProcessMeter(node.pid)
            with start("xover_ros.bag_player", {"bag": str(folder / "walk"), "mode": "rate"}) as player:
                player.wait(seconds + END_TIMEOUT_S)
            meter.stop()
            node.interrupt(END_TIMEOUT_S)
        recorder.interrupt(END_TIMEOUT_S)
    return meter


def play_and_collect(folder: Path, seconds: float, num_frames: int) -> NodeCosts:
    """Run the node and collect the numbers."""
    meter = run_node(folder, seconds)
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    images = {line["stamp_ns"]: line["received_ns"] for line in lines if line["kind"] == "image"}
    states = {line["stamp_ns"]: line["received_ns"] for line in lines if line["kind"] == "state"}
    settled = meter.memory_mb[SETTLING_SAMPLES:] or meter.memory_mb[-1:]
    return NodeCosts(
        num_frames=num_frames,
        latencies_ms=tuple((states[stamp] - images[stamp]) * 1e-6 for stamp in states if stamp in images),
        memory_mb=tuple(settled),
        cpu_share=(meter.cpu_s[-1] - meter.cpu_s[0]) / ((len(meter.cpu_s) - 1) * SAMPLE_PERIOD_S),
    )


def localizer_steps_ms(folder: Path, walk: ApartmentWalk) -> list[float]:
    """What the localizer itself takes for some frames of the walk, in this process."""
    localizer = load_localizer(folder / "map.xover", XoverSettings())
    indices = range(0, len(walk), max(1, len(walk) // NUM_STEPS))
    return [localizer.process(walk.item(index).frame).latency_ms for index in indices][WARM_UP:]


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Prepare, play, and compare with the localizer alone."""
    try:
        check_ros()
    except XoverError as error:
        yield NotMeasured(area=AREA, name="everything", reason=str(error))
        return
    seconds = args.seconds or args.effort.pick(20.0, 60.0, 600.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        walk = prepare(folder, seconds, args.rate_hz)
        steps = localizer_steps_ms(folder, walk)
        costs = play_and_collect(folder, seconds, len(walk))
    yield from rows(costs, steps, args.rate_hz)


def rows(costs: NodeCosts, steps_ms: Sequence[float], rate_hz: float) -> Iterator[Measurement]:
    """The numbers beside the localizer's own, and beside what was played."""
    for percent in (50, 95):
        yield Measurement(
            area=AREA, name=f"image received to state received, p{percent}", unit="ms",
            value=percentile(costs.latencies_ms, percent),
            baseline="localizer alone", baseline_value=percentile(steps_ms, percent),
        )  # fmt: skip
    num_answers = len(costs.latencies_ms)
    yield Measurement(
        area=AREA, name="frames answered", unit="frames", value=num_answers,
        baseline=f"played at {rate_hz:g} Hz", baseline_value=costs.num_frames,
    )  # fmt: skip
    yield Measurement(
        area=AREA, name="processor", unit="cores", value=costs.cpu_share, baseline="one core", baseline_value=1.0
    )
    quarter = max(1, len(costs.memory_mb) // 4)
    yield Measurement(
        area=AREA, name="memory in the last quarter", unit="MB",
        value=float(np.median(costs.memory_mb[-quarter:])),
        baseline="in the first quarter", baseline_value=float(np.median(costs.memory_mb[:quarter])),
        note=f"without the first {SETTLING_SAMPLES * SAMPLE_PERIOD_S:g} s",
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is played."""
    parser.add_argument("--seconds", type=float, help="length of the walk (default: 20, 60, 600 by effort)")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="frames per second (default: 10)")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
