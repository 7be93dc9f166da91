# SPDX-License-Identifier: Apache-2.0
"""How the answer to a frame is written for people and other programs: text line, JSON object, TUM trajectory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from xover_core.geometry.transforms import quaternion_from_rotation
from xover_core.types import Float64Array, LocalizationResult, Mat4, PoseHypothesis

_NS_PER_S = 1_000_000_000


def pose_values(T_a_b: Mat4) -> Float64Array:
    """(7,) x y z qx qy qz qw."""
    return np.concatenate([T_a_b[:3, 3], quaternion_from_rotation(T_a_b[:3, :3])])


def tum_line(stamp_ns: int, T_map_camera: Mat4) -> str:
    """`timestamp x y z qx qy qz qw` as evo and the TUM RGB-D tools read it, with a newline."""
    seconds, nanoseconds = divmod(stamp_ns, _NS_PER_S)
    values = " ".join(f"{v:.6f}" for v in pose_values(T_map_camera))
    return f"{seconds}.{nanoseconds:09d} {values}\n"


def answer_line(name: str, result: LocalizationResult) -> str:
    """Name, state, probability, and then the pose, or the reason why there is none."""
    pose = result.T_map_camera
    rest = result.reason if pose is None else " ".join(f"{v:.3f}" for v in pose_values(pose))
    return f"{name} {result.state.name} {result.probability:.3f} {rest}"


def answer_as_json(name: str, result: LocalizationResult) -> dict[str, Any]:
    """Everything but images and matches as JSON values; poses as `x y z qx qy qz qw`."""
    return {
        "name": name,
        "stamp_ns": result.stamp_ns,
        "state": result.state.name,
        "reason": result.reason,
        "probability": result.probability,
        "pose": None if result.T_map_camera is None else pose_values(result.T_map_camera).tolist(),
        "covariance": None if result.covariance is None else result.covariance.tolist(),
        "hypotheses": [_hypothesis_as_json(h) for h in result.hypotheses],
        "scenes": [dataclasses.asdict(scene) for scene in result.scenes],
        "timings_ms": dict(result.timings_ms),
    }


def _hypothesis_as_json(hypothesis: PoseHypothesis) -> dict[str, Any]:
    """A hypothesis with its evidence; what is unknown (NaN) becomes null."""
    return {
        "pose": pose_values(hypothesis.T_map_camera).tolist(),
        "probability": hypothesis.probability,
        "scene_id": hypothesis.scene_id,
        "keyframe_id": hypothesis.keyframe_id,
        "num_inliers": hypothesis.num_inliers,
        "inlier_ratio": _number(hypothesis.inlier_ratio),
        "reprojection_error_px": _number(hypothesis.reprojection_error_px),
        "depth_agreement": _number(hypothesis.depth_agreement),
    }


def _number(value: float) -> float | None:
    """None for NaN, which JSON cannot say."""
    return float(value) if np.isfinite(value) else None
