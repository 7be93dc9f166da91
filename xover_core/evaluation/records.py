# SPDX-License-Identifier: Apache-2.0
"""What is kept of each query: the answer, the truth, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.evaluation.answers import pose_values
from xover_core.geometry.transforms import pose_error
from xover_core.types import LocalizationResult, LocalizationState, Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseDifference:
    """How far an estimate is from the truth: metres and degrees."""

    distance: float
    angle_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRecord:
    """One query with its answer.

    Attributes:
        name: how the recording calls the frame.
        stamp_ns: of the frame.
        state: what the localizer said.
        reason: why, in its own words.
        probability: that it gave to its answer or best hypothesis.
        T_map_camera: the answer; None unless LOCALIZED.
        T_map_camera_best: the best hypothesis whatever the state; None without one.
        T_map_camera_true: the truth; None when unknown, or when the query was not made where the map was.
        error: of the answer; None without an answer or without truth.
        error_best: of the best hypothesis; None without one or without truth.
        num_inliers: of the best hypothesis, 0 without one.
        keyframe_id: of the best hypothesis, 0 without one.
        timings_ms: (stage, milliseconds) in order of execution.
    """

    name: str
    stamp_ns: int
    state: LocalizationState
    reason: str
    probability: float
    T_map_camera: Mat4 | None
    T_map_camera_best: Mat4 | None
    T_map_camera_true: Mat4 | None
    error: PoseDifference | None
    error_best: PoseDifference | None
    num_inliers: int
    keyframe_id: int
    timings_ms: tuple[tuple[str, float], ...]

    @property
    def is_answered(self) -> bool:
        """Whether a pose was given as LOCALIZED."""
        return self.T_map_camera is not None

    @property
    def latency_ms(self) -> float:
        """Sum over all stages."""
        return sum(ms for _, ms in self.timings_ms)


def make_record(item: SequenceItem, result: LocalizationResult, *, is_same_place: bool) -> QueryRecord:
    """Compare a result with the truth of its frame.

    Args:
        item: the query.
        result: what the localizer said.
        is_same_place: whether the recording's world is the map's frame; if not, no pose is right.
    """
    best = result.hypotheses[0] if result.hypotheses else None
    T_map_camera_best = best.T_map_camera if best else result.T_map_camera
    truth = item.T_world_camera if is_same_place else None
    return QueryRecord(
        name=item.name,
        stamp_ns=result.stamp_ns,
        state=result.state,
        reason=result.reason,
        probability=result.probability,
        T_map_camera=result.T_map_camera,
        T_map_camera_best=T_map_camera_best,
        T_map_camera_true=truth,
        error=pose_difference(result.T_map_camera, truth),
        error_best=pose_difference(T_map_camera_best, truth),
        num_inliers=best.num_inliers if best else 0,
        keyframe_id=best.keyframe_id if best else 0,
        timings_ms=result.timings_ms,
    )


def pose_difference(T_map_estimate: Mat4 | None, T_map_truth: Mat4 | None) -> PoseDifference | None:
    """Difference of two poses; None when one of them is missing."""
    if T_map_estimate is None or T_map_truth is None:
        return None
    distance, angle = pose_error(T_map_estimate, T_map_truth)
    return PoseDifference(distance=distance, angle_deg=math.degrees(angle))


def record_as_json(record: QueryRecord) -> Mapping[str, Any]:
    """A record as JSON values; poses as `x y z qx qy qz qw`, missing values as null."""
    return {
        "name": record.name,
        "stamp_ns": record.stamp_ns,
        "state": record.state.name,
        "reason": record.reason,
        "probability": round(record.probability, 6),
        "pose": _pose_as_json(record.T_map_camera),
        "best_hypothesis": _pose_as_json(record.T_map_camera_best),
        "truth": _pose_as_json(record.T_map_camera_true),
        "error_m": record.error.distance if record.error else None,
        "error_deg": record.error.angle_deg if record.error else None,
        "best_hypothesis_error_m": record.error_best.distance if record.error_best else None,
        "best_hypothesis_error_deg": record.error_best.angle_deg if record.error_best else None,
        "num_inliers": record.num_inliers,
        "keyframe_id": record.keyframe_id,
        "timings_ms": {stage: round(ms, 3) for stage, ms in record.timings_ms},
    }


def _pose_as_json(T_a_b: Mat4 | None) -> list[float] | None:
    """Seven numbers `x y z qx qy qz qw`, or None."""
    return None if T_a_b is None else [float(v) for v in pose_values(T_a_b)]
