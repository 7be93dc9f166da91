# SPDX-License-Identifier: Apache-2.0
"""What asking for a scene costs: embedding views, a cloud, a text, a floorplan, and ranking the scenes of a large map.

    python benchmarks/bench_scenes.py --threads 1 2

Each row is measured in turns with something simple that does a part of it, or the same less well. Every number of
threads has a process of its own. Wall-clock time is what a robot waits, and grows with all else that runs; processor
time is of all threads together, and grows less.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bench_encoder import HEIGHT, WIDTH, make_frame

from xover_core.config import SceneBeliefSettings, SceneEncoderSettings
from xover_core.datasets.procedural import make_apartment
from xover_core.datasets.procedural.floorplan import draw_floorplan
from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.scene_encoder import EMBEDDING_DIM, ColoredPoints, SceneEncoder
from xover_core.encoders.scene_factory import make_scene_encoder
from xover_core.encoders.text_tokens import tokenise
from xover_core.evaluation.protocols.classical_scenes import ColorBag
from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.localization.scene_calibration import load_scene_calibration
from xover_core.localization.scene_finder import SceneFinder
from xover_core.localization.scene_index import SceneIndex
from xover_core.localization.scene_posterior import bayes_update
from xover_core.types import Float32Array, Scene, SceneModality

MODEL = "crossover-light"
NUM_VIEWS, NUM_POINTS, NUM_SCENES, NUM_MATCHES = 10, 50_000, 10_000, 10
STORED = (SceneModality.IMAGE, SceneModality.POINT_CLOUD, SceneModality.TEXT, SceneModality.FLOORPLAN)
TEXT = "A small kitchen with a round table, four wooden chairs and a white fridge beside the window. The door is red."
# walls, floor and ceiling of a room, a table, a bed, a wardrobe: low and high corner, metres
BOXES = (
    ((0.0, 0.0, 0.0), (4.5, 3.8, 2.6)),
    ((1.8, 1.2, 0.0), (3.2, 2.0, 0.75)),
    ((0.0, 2.3, 0.0), (2.0, 3.8, 0.5)),
    ((3.9, 0.3, 0.0), (4.5, 2.1, 2.0)),
)
WARM_UP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One row: medians in ms, what is allowed on 2 cores, and the median of something simple beside it."""

    name: str
    goal_ms: float
    wall_ms: float
    processor_ms: float
    baseline: str
    baseline_ms: float
    baseline_processor_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to measure, and what it is compared with."""

    name: str
    goal_ms: float
    run: Callable[[], object]
    baseline: str
    run_baseline: Callable[[], object]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="for each median (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("runs/bench_scenes.json"), help="default: %(default)s")
    parser.add_argument("--here", action="store_true", help="measure in this process and print JSON")
    args = parser.parse_args()
    if args.here:
        torch.set_num_threads(args.threads[0])
        print(json.dumps([dataclasses.asdict(measure(job, args.rounds)) for job in make_jobs()]))
        return
    results = {}
    for num_threads in args.threads:
        results[num_threads] = measure_apart(num_threads, args.rounds)
        print_table(num_threads, results[num_threads], args.rounds)
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
    costs = {str(number): [dataclasses.asdict(cost) for cost in rows] for number, rows in results.items()}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({**facts, "costs": costs}, indent=1) + "\n", encoding="utf-8")


def measure_apart(num_threads: int, rounds: int) -> list[Cost]:
    """All rows, in a process whose libraries have so many threads."""
    own = [sys.executable, __file__, "--here", "--threads", str(num_threads), "--rounds", str(rounds)]
    threads = {"OMP_NUM_THREADS": str(num_threads), "OPENBLAS_NUM_THREADS": str(num_threads)}
    # as the command `xover` has it
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **threads}
    done = subprocess.run(own, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return [Cost(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def print_table(num_threads: int, costs: list[Cost], rounds: int) -> None:
    """The rows for people."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{num_threads} threads of {os.cpu_count()} cores, medians of {rounds}, load average {load}")
    print(f"{'':44s} {'wall ms':>9s} {'CPU ms':>9s} {'goal ms':>8s} {'times':>8s}  the CPU ms of")
    for cost in costs:
        ratio = cost.processor_ms / cost.baseline_processor_ms
        print(
            f"{cost.name:44s} {cost.wall_ms:9.1f} {cost.processor_ms:9.1f} {cost.goal_ms:8.0f} {ratio:8.2f}"
            f"  {cost.baseline} ({cost.baseline_processor_ms:.2f})"
        )


def make_jobs() -> list[Job]:
    """Everything that is measured."""
    encoder, colors = make_encoder(), ColorBag()
    frame, cloud = make_frame(), make_cloud()
    poses = np.stack([np.eye(4)] * NUM_VIEWS)
    apartment = make_apartment(7, num_rooms=3)
    plan = draw_floorplan(apartment, room_id=apartment.rooms[0].room_id)

    def embed_views() -> Float32Array:
        return encoder.embed_views(np.stack([encoder.describe_view(frame) for _ in range(NUM_VIEWS)]), poses)

    return [
        Job(
            name=f"{NUM_VIEWS} views of {WIDTH}x{HEIGHT}: describe and pool", goal_ms=1000.0, run=embed_views,
            baseline="bags of their colours",
            run_baseline=lambda: [colors.of_image(frame.rgb) for _ in range(NUM_VIEWS)],
        ),
        Job(
            name=f"cloud of {NUM_POINTS:,} points", goal_ms=1000.0, run=lambda: encoder.embed_point_cloud(cloud),
            baseline="bag of its colours", run_baseline=lambda: colors.of_cloud(cloud),
        ),
        Job(
            name=f"text of {len(TEXT.split())} words", goal_ms=20.0, run=lambda: encoder.embed_text(TEXT),
            baseline="hashing it only", run_baseline=lambda: tokenise(TEXT),
        ),
        Job(
            name="floorplan of a room", goal_ms=1000.0,
            run=lambda: encoder.embed_floorplan(plan.image, plan.pixels_per_m),
            baseline="its raster only", run_baseline=lambda: rasterize(plan.image, plan.pixels_per_m),
        ),
        _ranking(encoder),
    ]  # fmt: skip


def _ranking(encoder: SceneEncoder) -> Job:
    """A text against many scenes that are known in all modalities that maps keep."""
    rng = np.random.default_rng(0)
    scenes = [Scene(scene_id=i, center_map=np.zeros(3)) for i in range(1, NUM_SCENES + 1)]
    vectors = rng.standard_normal((len(STORED), NUM_SCENES, EMBEDDING_DIM), np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    query = encoder.embed_text("the room with the red sofa next to the window")
    embeddings = [
        SceneEmbedding(scene_id=scene.scene_id, modality=modality, num_sources=1, vector=vectors[m, row])
        for m, modality in enumerate(STORED)
        for row, scene in enumerate(scenes)
    ]
    index, settings = SceneIndex(scenes, embeddings), SceneBeliefSettings()
    finder = SceneFinder(index, encoder, load_scene_calibration(encoder.model.name, settings), settings)

    def rank() -> object:
        evidence = finder.weigh({SceneModality.TEXT: query})
        return index.matches(bayes_update(finder.prior, evidence.log_odds), evidence, NUM_MATCHES)

    return Job(
        name=f"best {NUM_MATCHES} of {NUM_SCENES:,} scenes, {len(STORED)} modalities", goal_ms=5.0, run=rank,
        baseline="a loop over embeddings", run_baseline=lambda: sorted(float(query @ e.vector) for e in embeddings),
    )  # fmt: skip


def make_encoder() -> SceneEncoder:
    """The shipped model."""
    encoder = make_scene_encoder(SceneEncoderSettings(model=MODEL))
    assert encoder is not None
    return encoder


def make_cloud() -> ColoredPoints:
    """Points on the faces of boxes that fill a room, as many on each square metre, 1 cm of noise, colours at random."""
    rng = np.random.default_rng(0)
    faces = [(np.array(low), np.array(high), axis) for low, high in BOXES for axis in (0, 1, 2)]
    areas = np.array([np.prod(np.delete(high - low, axis)) for low, high, axis in faces])
    counts = rng.multinomial(NUM_POINTS, areas / areas.sum())
    parts = []
    for (low, high, axis), count in zip(faces, counts, strict=True):
        points = rng.uniform(low, high, (count, 3))
        points[:, axis] = np.where(rng.random(count) < 0.5, low[axis], high[axis])
        parts.append(points)
    points = np.concatenate(parts) + rng.normal(0, 0.01, (NUM_POINTS, 3))
    return ColoredPoints(points=points.astype(np.float32), colors=rng.integers(0, 256, (NUM_POINTS, 3), np.uint8))


def measure(job: Job, rounds: int) -> Cost:
    """A job and its baseline in turns, so that what else the machine does meets both alike."""
    own, other = [], []
    for turn in range(WARM_UP + rounds):
        taken = timed(job.run), timed(job.run_baseline)
        if turn >= WARM_UP:
            own.append(taken[0])
            other.append(taken[1])
    (wall, processor), (baseline_wall, baseline_processor) = np.median(own, axis=0), np.median(other, axis=0)
    return Cost(
        name=job.name,
        goal_ms=job.goal_ms,
        wall_ms=float(wall),
        processor_ms=float(processor),
        baseline=job.baseline,
        baseline_ms=float(baseline_wall),
        baseline_processor_ms=float(baseline_processor),
    )


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor ms of a call, all threads together."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)


if __name__ == "__main__":
    main()
