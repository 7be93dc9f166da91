#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The localizer node at camera rate: frames in at 10 Hz over DDS, answers out; latency, drops and memory over time.

    python benchmarks/bench_node.py [--seconds 60] [--rate-hz 10] [--json runs/bench_node.json]

A walk through a procedural apartment is mapped, and another one played in real time into the node as a user starts it,
but for `update_min_d`, `update_min_a` and `max_rate_hz`, which are set so that it takes every frame it can. Rendering
and mapping are not timed. The bag player and a recorder run beside it on the same processor.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from xover_core.cli.demo import BASE_FRAME, CAMERA_FRAME, DEMO_INPUTS, DEMO_REMAPS
from xover_core.cli.ros_processes import RosProcess, check_ros, ros_environment
from xover_core.config import XoverSettings
from xover_core.datasets.bag_frames import BagFrames
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.evaluation.run import build_map

SEED = 7
MAP_RATE_HZ = 2.5
SAMPLE_PERIOD_S = 1.0
END_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCosts:
    """What the node did with a stream of frames.

    Attributes:
        rate_hz: frames per second that were played.
        num_frames: played.
        num_answers: states published.
        latency_ms_p50: image received to state received, both in the recorder.
        latency_ms_p95: the same.
        memory_mb: resident memory of the node, one sample each second.
        memory_growth_mb: last quarter's median less first quarter's, after the first 10 s.
        cpu_share: processor time of the node over wall time; 1 is one core.
    """

    rate_hz: float
    num_frames: int
    num_answers: int
    latency_ms_p50: float
    latency_ms_p95: float
    memory_mb: list[float]
    memory_growth_mb: float
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


def prepare(folder: Path, seconds: float, rate_hz: float) -> int:
    """Map one walk, and write another as a bag; returns its number of frames."""
    apartment = make_apartment(SEED, num_rooms=3)
    build_map(ApartmentWalk(apartment, seed=SEED, rate_hz=MAP_RATE_HZ), folder / "map.xover", XoverSettings())
    num_frames = round(seconds * rate_hz)
    walk = ApartmentWalk(apartment, seed=SEED + 1, reverse=True, rate_hz=rate_hz, num_frames=num_frames)
    frames = BagFrames(base=BASE_FRAME, optical=CAMERA_FRAME, T_base_camera=walk.T_base_camera)
    write_bag(folder / "walk", walk, frames=frames)
    return len(walk)


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


def measure(seconds: float, rate_hz: float) -> NodeCosts:
    """Run it all and collect the numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        num_frames = prepare(folder, seconds, rate_hz)
        meter = run_node(folder, seconds)
        lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    images = {line["stamp_ns"]: line["received_ns"] for line in lines if line["kind"] == "image"}
    states = {line["stamp_ns"]: line["received_ns"] for line in lines if line["kind"] == "state"}
    latencies = [(states[stamp] - images[stamp]) * 1e-6 for stamp in states if stamp in images]
    settled = np.array(meter.memory_mb[10:])
    quarter = max(1, len(settled) // 4)
    return NodeCosts(
        rate_hz=rate_hz,
        num_frames=num_frames,
        num_answers=len(latencies),
        latency_ms_p50=float(np.percentile(latencies, 50)),
        latency_ms_p95=float(np.percentile(latencies, 95)),
        memory_mb=[round(value, 1) for value in meter.memory_mb],
        memory_growth_mb=float(np.median(settled[-quarter:]) - np.median(settled[:quarter])),
        cpu_share=(meter.cpu_s[-1] - meter.cpu_s[0]) / ((len(meter.cpu_s) - 1) * SAMPLE_PERIOD_S),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the walk (default: 60)")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="frames per second (default: 10)")
    parser.add_argument("--json", type=Path, default=Path("runs/bench_node.json"), help="where the numbers go")
    args = parser.parse_args()
    check_ros()
    costs = measure(args.seconds, args.rate_hz)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(asdict(costs), indent=1) + "\n", encoding="utf-8")
    print(f"frames played at {costs.rate_hz:g} Hz      {costs.num_frames}")
    print(f"answered                     {costs.num_answers}")
    print(f"latency p50 / p95            {costs.latency_ms_p50:.0f} ms / {costs.latency_ms_p95:.0f} ms")
    print(f"memory, and its growth       {costs.memory_mb[-1]:.0f} MB, {costs.memory_growth_mb:+.1f} MB")
    print(f"processor, 1 = one core      {costs.cpu_share:.2f}")


if __name__ == "__main__":
    main()
