# SPDX-License-Identifier: Apache-2.0
"""Query records from what a live localizer node published, as `xover_ros.demo_recorder` wrote it down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError
from xover_core.evaluation.records import QueryRecord, pose_difference
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.geometry.transforms import make_pose, rotation_from_quaternion
from xover_core.types import LocalizationState, Mat4

LATENCY_STAGE = "image to answer, over DDS"
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswers:
    """Messages by the stamp of their image, and the static transforms.

    Attributes:
        images: stamp -> when it arrived, monotonic nanoseconds.
        states: stamp -> state message.
        poses: stamp -> T_map_base.
        hypotheses: stamp -> hypotheses, best first.
        transforms: static ones.
    """

    images: dict[int, int]
    states: dict[int, dict[str, Any]]
    poses: dict[int, Mat4]
    hypotheses: dict[int, list[dict[str, Any]]]
    transforms: TransformBuffer


def read_recorded_answers(path: Path) -> RecordedAnswers:
    """Read the recorder's file.

    Raises:
        DatasetError: a line is not what the recorder writes.
    """
    answers = RecordedAnswers(images={}, states={}, poses={}, hypotheses={}, transforms=TransformBuffer())
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            _enter(answers, json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}:{number}: expected a line of demo_recorder, got {line[:80]!r}.") from error
    return answers


def records_of_answers(
    answers: RecordedAnswers, queries: Iterable[SequenceItem], *, base_frame: str, camera_frame: str
) -> tuple[QueryRecord, ...]:
    """One record for each query with a true pose; UNKNOWN when no answer was published for it.

    Args:
        answers: what was recorded.
        queries: the frames that were played.
        base_frame: whose pose the answers give.
        camera_frame: whose true pose the queries give; tied to the base by static transforms.
    """
    T_base_camera = answers.transforms.lookup(base_frame, camera_frame, 0)
    latencies_ms = _latencies_ms(answers)
    return tuple(
        _record(answers, item, T_base_camera, latencies_ms.get(item.frame.stamp_ns))
        for item in queries
        if item.T_world_camera is not None
    )


def _enter(answers: RecordedAnswers, line: dict[str, Any]) -> None:
    """Enter one line."""
    stamp_ns = int(line["stamp_ns"])
    kind = line["kind"]
    if kind == "image":
        answers.images.setdefault(stamp_ns, int(line["received_ns"]))
    elif kind == "state":
        answers.states[stamp_ns] = line
    elif kind == "pose":
        answers.poses[stamp_ns] = _pose(line["pose"])
    elif kind == "hypotheses":
        answers.hypotheses[stamp_ns] = line["hypotheses"]
    elif kind == "transform":
        answers.transforms.set(line["parent"], line["child"], stamp_ns, _pose(line["pose"]), is_static=True)
    else:
        raise ValueError(kind)


def _record(answers: RecordedAnswers, item: SequenceItem, T_base_camera: Mat4, latency_ms: float | None) -> QueryRecord:
    """The record of one query."""
    stamp_ns = item.frame.stamp_ns
    state = answers.states.get(stamp_ns, {"state": 0, "reason": "no answer was published", "probability": 0.0})
    T_map_base = answers.poses.get(stamp_ns)
    best = next(iter(answers.hypotheses.get(stamp_ns, [])), None)
    T_map_camera = None if T_map_base is None else T_map_base @ T_base_camera
    T_map_camera_best = T_map_camera if best is None else _pose(best["pose"]) @ T_base_camera
    return QueryRecord(
        name=item.name,
        stamp_ns=stamp_ns,
        state=LocalizationState(state["state"]),
        reason=state["reason"],
        probability=state["probability"],
        T_map_camera=T_map_camera,
        T_map_camera_best=T_map_camera_best,
        T_map_camera_true=item.T_world_camera,
        error=pose_difference(T_map_camera, item.T_world_camera),
        error_best=pose_difference(T_map_camera_best, item.T_world_camera),
        num_inliers=best["num_inliers"] if best else 0,
        keyframe_id=best["keyframe_id"] if best else 0,
        timings_ms=() if latency_ms is None else ((LATENCY_STAGE, latency_ms),),
    )


def _latencies_ms(answers: RecordedAnswers) -> dict[int, float]:
    """Stamp -> milliseconds from image to answer, as the recorder saw them.

    A player in lock step sends the next image while one is being processed; the time that an image waits for the answer
    to the one before it is not counted.
    """
    latencies: dict[int, float] = {}
    last_answer_ns = 0
    for stamp_ns, state in sorted(answers.states.items()):
        if stamp_ns in answers.images:
            start_ns = max(answers.images[stamp_ns], last_answer_ns)
            latencies[stamp_ns] = (state["received_ns"] - start_ns) / _NS_PER_MS
        last_answer_ns = state["received_ns"]
    return latencies


def _pose(values: Sequence[float]) -> Mat4:
    """T_a_b of `x y z qx qy qz qw`."""
    return make_pose(rotation_from_quaternion(values[3:]), values[:3])
