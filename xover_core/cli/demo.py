# SPDX-License-Identifier: Apache-2.0
"""`xover demo`: the whole way once, through real ROS 2 nodes: apartment, bags, map, localization, numbers, report."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers

if TYPE_CHECKING:
    from xover_core.cli.ros_processes import RosProcess
    from xover_core.evaluation.run import EvaluationRun

_DESCRIPTION = """\
Make a procedural apartment, record two walks through it as rosbag2, build a map by playing the first into the mapper
node, and localize the second with the localizer node, which starts without knowing where it is. All of it runs over
DDS, in its own domain, on this machine only."""

DEMO_REMAPS = {
    "rgb/image": "/camera/color/image_raw",
    "depth/image": "/camera/depth/image_raw",
    "rgb/camera_info": "/camera/color/camera_info",
    "odom": "/odom",
    "pose_in": "/ground_truth/pose",
}
DEMO_INPUTS: dict[str, str | float | bool] = {"use_sim_time": True, "image_reliability": "reliable"}
BASE_FRAME = "base_link"
CAMERA_FRAME = "camera_color_optical_frame"
_FRAME_RATE_HZ = 2.5
_STOPS_PER_ROOM = 1
_PLAY_TIMEOUT_S = 600.0
_FINISH_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "demo", help="map and localize a made-up apartment through ROS 2 nodes", description=_DESCRIPTION
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("demo_output"), help="where results go (default: demo_output)"
    )
    parser.add_argument("--seed", type=int, default=7, help="which apartment (default: 7)")
    parser.add_argument("--rooms", metavar="N", type=int, default=3, help="rooms besides the corridor (default: 3)")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPaths:
    """Where the demo puts things."""

    folder: Path

    @property
    def map_bag(self) -> Path:
        """Recording that the map is built from."""
        return self.folder / "recordings" / "map"

    @property
    def query_bag(self) -> Path:
        """Recording that is localized."""
        return self.folder / "recordings" / "query"

    @property
    def map_file(self) -> Path:
        """The map."""
        return self.folder / "apartment.xover"

    @property
    def answers(self) -> Path:
        """What the localizer node published."""
        return self.folder / "answers.jsonl"

    @property
    def logs(self) -> Path:
        """Output of the nodes."""
        return self.folder / "logs"


def run(args: argparse.Namespace) -> int:
    """Run all steps, print the table, write the report."""
    from xover_core.cli.ros_processes import check_ros
    from xover_core.evaluation.evaluation import format_table

    check_ros()
    paths = DemoPaths(folder=args.out)
    _clear(paths)
    with _step("inventing an apartment and walking through it twice"):
        _record_walks(paths, args.seed, args.rooms)
    with _step("building a map: the first walk is played into the mapper node") as clock:
        _build_map(paths)
    with _step("localizing: the second walk is played into the localizer node, which starts anywhere"):
        _localize(paths)
    with _step("comparing the answers with the truth"):
        done = _evaluate(paths, mapping_s=clock.seconds)
    print(f"\n{format_table(done.evaluation)}\n\nreport: {paths.folder / 'report.html'}")
    return 0


class _Clock:
    """Seconds that a step took."""

    seconds = 0.0


@contextmanager
def _step(what: str) -> Iterator[_Clock]:
    """Say what is being done, and then how long it took."""
    print(f"{what} ...", flush=True)
    clock, start = _Clock(), time.perf_counter()
    yield clock
    clock.seconds = time.perf_counter() - start
    print(f"  {clock.seconds:.1f} s", flush=True)


def _clear(paths: DemoPaths) -> None:
    """Remove what an earlier demo has left, and nothing else."""
    for folder in (paths.map_bag, paths.query_bag, paths.logs):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (paths.map_file, paths.answers):
        file.unlink(missing_ok=True)
    paths.logs.mkdir(parents=True)


def _record_walks(paths: DemoPaths, seed: int, num_rooms: int) -> None:
    """Render two walks through one apartment into bags: another path, other stops, rooms in the opposite order."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # one process and one thread for each walk: two threads on one frame mostly wait for each other
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=_use_one_thread) as pool:
        walks = [
            pool.submit(_record_walk, paths.map_bag, seed, num_rooms, walk_seed=seed, is_reverse=False),
            pool.submit(_record_walk, paths.query_bag, seed, num_rooms, walk_seed=seed + 1, is_reverse=True),
        ]
        for walk in walks:
            walk.result()


def _use_one_thread() -> None:
    """In a new process, before anything heavy is imported: no parallel loops."""
    os.environ["OMP_NUM_THREADS"] = "1"


def _record_walk(bag: Path, seed: int, num_rooms: int, *, walk_seed: int, is_reverse: bool) -> None:
    """Render one walk into a bag."""
    from xover_core.cli.progress import frame_progress
    from xover_core.datasets.bag_frames import BagFrames
    from xover_core.datasets.bag_writer import write_bag
    from xover_core.datasets.procedural import ApartmentWalk, make_apartment

    walk = ApartmentWalk(
        make_apartment(seed, num_rooms=num_rooms),
        seed=walk_seed,
        reverse=is_reverse,
        rate_hz=_FRAME_RATE_HZ,
        stops_per_room=_STOPS_PER_ROOM,
    )
    frames = BagFrames(base=BASE_FRAME, optical=CAMERA_FRAME, T_base_camera=walk.T_base_camera)
    with frame_progress(bag.name) as progress:
        write_bag(bag, walk, frames=frames, progress=progress)


def _build_map(paths: DemoPaths) -> None:
    """Play the first bag into the mapper node; it finishes the map when it is asked to end."""
    start = _node_starter(paths)
    with start("xover_ros.mapper_node", {**DEMO_INPUTS, "map_file": str(paths.map_file)}) as mapper:
        with start("xover_ros.bag_player", _playing(paths.map_bag)) as player:
            player.wait(_PLAY_TIMEOUT_S)
        mapper.interrupt(_FINISH_TIMEOUT_S)


def _localize(paths: DemoPaths) -> None:
    """Play the second bag into the localizer node, and write down what it publishes."""
    start = _node_starter(paths)
    # every frame is processed, also while the robot stands still, so that every frame is measured
    every_frame = {"update_min_d": 0.0, "update_min_a": 0.0, "max_rate_hz": 0.0}
    parameters = {**DEMO_INPUTS, **every_frame, "map_file": str(paths.map_file)}
    with start("xover_ros.demo_recorder", {"output": str(paths.answers)}) as recorder:
        # the first answers count too
        recorder.wait_for_file(paths.answers, _START_TIMEOUT_S)
        with start("xover_ros.localizer_node", parameters) as localizer:
            with start("xover_ros.bag_player", _playing(paths.query_bag)) as player:
                player.wait(_PLAY_TIMEOUT_S)
            localizer.interrupt(_STOP_TIMEOUT_S)
        recorder.interrupt(_STOP_TIMEOUT_S)


def _node_starter(paths: DemoPaths) -> Callable[[str, Mapping[str, str | float | bool]], RosProcess]:
    """A function that starts a node of one run, given module and parameters."""
    from xover_core.cli.ros_processes import RosProcess, ros_environment

    environment = ros_environment()

    def start(module: str, parameters: Mapping[str, str | float | bool]) -> RosProcess:
        log_path = paths.logs / f"{module.rpartition('.')[2]}.log"
        return RosProcess(module, environment=environment, log_path=log_path, parameters=parameters, remaps=DEMO_REMAPS)

    return start


def _playing(bag: Path) -> dict[str, str | float | bool]:
    """Parameters of the bag player: as fast as every frame is processed."""
    # on a busy machine a node takes long to start
    return {"bag": str(bag), "mode": "lock_step", "wait_for_nodes_s": _START_TIMEOUT_S}


def _evaluate(paths: DemoPaths, mapping_s: float) -> EvaluationRun:
    """Compare the answers with the truth in the bag, and write JSON and report."""
    from xover_core.config import XoverSettings
    from xover_core.datasets.open_sequence import open_sequence
    from xover_core.evaluation.evaluation import write_json
    from xover_core.evaluation.recorded_answers import read_recorded_answers, records_of_answers
    from xover_core.evaluation.report import write_report
    from xover_core.evaluation.run import evaluate_answers

    recording = open_sequence(paths.query_bag)
    answers = read_recorded_answers(paths.answers)
    records = records_of_answers(answers, recording, base_frame=BASE_FRAME, camera_frame=CAMERA_FRAME)
    done = evaluate_answers(
        records, recording, paths.map_file, XoverSettings(), title="xover demo", mapping_s=mapping_s
    )
    write_json(done.evaluation, paths.folder / "result.json")
    write_report(done.evaluation, done.landmark_map, done.examples, paths.folder / "report.html")
    return done
