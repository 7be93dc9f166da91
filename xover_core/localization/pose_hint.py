# SPDX-License-Identifier: Apache-2.0
"""What a hint (`initialpose`) does: it re-weights hypotheses by how near they are, and never makes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.geometry.transforms import log_se3, make_pose
from xover_core.types import Float64Array, Mat4, PoseHint, PoseHypothesis

# People click on maps with less care than the covariance that their tool sends along; never trust below this.
MIN_STD_M = 0.5
MIN_STD_RAD = np.deg2rad(15)
# A hint may multiply the odds of a hypothesis by at most this, and divide them by as much.
MAX_ODDS_FACTOR = 10.0
# Keyframes within this many standard deviations are matched even if they do not look alike.
NEAR_SIGMAS = 3.0
# Beyond this many standard deviations (in each of the two squared norms) a hypothesis contradicts the hint.
NEUTRAL_SIGMAS = 2.5


def apply_hint(hypotheses: Sequence[PoseHypothesis], hint: PoseHint | None) -> list[PoseHypothesis]:
    """Hypotheses with odds multiplied by how well they fit the hint, most probable first."""
    if hint is None:
        return list(hypotheses)
    weighted = [
        dataclasses.replace(h, probability=_reweight(h.probability, _sigmas(h.T_map_camera, hint))) for h in hypotheses
    ]
    return sorted(weighted, key=lambda hypothesis: -hypothesis.probability)


def near_hint(poses: Float64Array, hint: PoseHint) -> NDArray[np.bool_]:
    """Which of (..., 4, 4) keyframes stand within reach of the hint; where they look does not matter."""
    distance = np.linalg.norm(poses[..., :3, 3] - hint.T_map_camera[:3, 3], axis=-1)
    return np.asarray(distance <= NEAR_SIGMAS * _std_m(hint.covariance) + 2.0)


def _reweight(probability: float, sigmas: float) -> float:
    """Probability after the odds were multiplied by a bounded likelihood ratio."""
    log_factor = np.clip((NEUTRAL_SIGMAS**2 - sigmas**2) / 2, -np.log(MAX_ODDS_FACTOR), np.log(MAX_ODDS_FACTOR))
    odds = probability / max(1 - probability, 1e-9) * np.exp(log_factor)
    return float(odds / (1 + odds))


def _sigmas(T_map_camera: Mat4, hint: PoseHint) -> float:
    """Distance of a pose from the hint in standard deviations, position and heading together."""
    R_hint_pose = hint.T_map_camera[:3, :3].T @ T_map_camera[:3, :3]
    angle = float(np.linalg.norm(log_se3(make_pose(R_hint_pose, (0, 0, 0)))[3:]))
    distance = float(np.linalg.norm(T_map_camera[:3, 3] - hint.T_map_camera[:3, 3]))
    std_rad = max(MIN_STD_RAD, float(np.sqrt(max(hint.covariance[5, 5], 0.0))))
    return float(np.hypot(distance / _std_m(hint.covariance), angle / std_rad))


def _std_m(covariance: Float64Array) -> float:
    """Standard deviation of the position in the plane, never below what people can point at."""
    return max(MIN_STD_M, float(np.sqrt(max(covariance[0, 0], covariance[1, 1], 0.0))))
