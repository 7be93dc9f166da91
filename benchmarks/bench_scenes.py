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
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from made_up_inputs import HEIGHT, WIDTH, make_cloud, make_frame
from measurement import Measurement, Row
from own_process import run_apart
from section import run_section
from timing import latency, time_in_turns

from xover_core.config import SceneBeliefSettings, SceneEncoderSettings
from xover_core.datasets.procedural import make_apartment
from xover_core.datasets.procedural.floorplan import draw_floorplan
from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.scene_encoder import EMBEDDING_DIM, SceneEncoder
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to measure, and what it is compared with."""

    name: str
    goal_ms: float
    run: Callable[[], object]
    baseline: str
    run_baseline: Callable[[], object]


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """All rows, for each number of threads in a process of its own."""
    for num_threads in args.threads:
        rounds = args.effort.pick(3, 9, 15)
        for row in run_apart(measure_here, threads=num_threads, num_threads=num_threads, rounds=rounds):
            yield Measurement(**row)


def measure_here(num_threads: int, rounds: int) -> list[dict[str, object]]:
    """All rows as what can be written as JSON, in this process, whose libraries have so many threads."""
    torch.set_num_threads(num_threads)
    area = f"scenes, {num_threads} {'thread' if num_threads == 1 else 'threads'}"
    return [dataclasses.asdict(compare(area, job, rounds)) for job in make_jobs()]


def compare(area: str, job: Job, rounds: int) -> Measurement:
    """A job and its baseline in turns."""
    times = time_in_turns({"own": job.run, "baseline": job.run_baseline}, rounds)
    goal = f"goal {job.goal_ms:g} ms"
    return latency(area, job.name, times["own"], job.baseline, times["baseline"], note=goal)


def make_jobs() -> list[Job]:
    """Everything that is measured."""
    encoder, colors = make_encoder(), ColorBag()
    frame, cloud = make_frame(), make_cloud(NUM_POINTS)
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Numbers of threads."""
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: %(default)s")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
