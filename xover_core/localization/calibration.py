# SPDX-License-Identifier: Apache-2.0
"""Evidence for a pose -> probability that it is within 1 m and 30 deg: logistic regression on few features.

Each model in the manifest carries its weights; docs/calibration.md says on what they were fitted and how to fit
again. `xover evaluate` draws the reliability diagram on any recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.errors import ModelError
from xover_core.inference.model_store import model_entry
from xover_core.types import Float64Array

MATCHING_FEATURES = ("constant", "log inliers", "rival ratio")
DEPTH_FEATURES = ("consistency", "agreement")
# Beyond this many inliers a pose is not more certain: a look-alike room has as many as its image has texture.
ENOUGH_INLIERS = 80
# More rivals than this say no more than that the pose is not unique.
MAX_RIVAL_RATIO = 1.5
# A comparison of few depth readings is taken as if these had been looked through, out of these compared besides.
DOUBT_SEE_THROUGH = 10
DOUBT_COMPARED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseEvidence:
    """What is known of a refined pose.

    Attributes:
        num_inliers: agreeing matches of all keyframes, each query patch counted once.
        rival_ratio: inliers of the best pose elsewhere over those of this one; 0 without a rival.
        num_agree: see `DepthComparison`; 0 without depth.
        num_see_through: see `DepthComparison`; 0 without depth.
        num_compared: see `DepthComparison`; 0 without depth.
    """

    num_inliers: int
    rival_ratio: float
    num_agree: int
    num_see_through: int
    num_compared: int

    def features(self, *, has_depth: bool) -> Float64Array:
        """The regression's inputs, in the order of `MATCHING_FEATURES` and then, with depth, `DEPTH_FEATURES`."""
        inliers = max(1, min(self.num_inliers, ENOUGH_INLIERS))
        matching = [1.0, float(np.log(inliers)), min(self.rival_ratio, MAX_RIVAL_RATIO)]
        if not has_depth:
            return np.array(matching)
        solid = self.num_agree + self.num_see_through
        doubt = (self.num_see_through + DOUBT_SEE_THROUGH) / (solid + DOUBT_COMPARED)
        return np.array([*matching, -float(np.log(doubt)), self.num_agree / (self.num_compared + DOUBT_COMPARED)])


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseCalibration:
    """Weights of the regression, with and without depth in the query."""

    with_depth: Float64Array
    without_depth: Float64Array

    def probability(self, evidence: PoseEvidence, *, has_depth: bool) -> float:
        """Probability in (0, 1)."""
        weights = self.with_depth if has_depth else self.without_depth
        return float(sigmoid(weights @ evidence.features(has_depth=has_depth)))


def load_calibration(model_name: str) -> PoseCalibration:
    """Weights of a model of the manifest.

    Raises:
        ModelError: the model is unknown, was never calibrated, or for other features.
    """
    entry = model_entry(model_name)
    with_depth, without_depth = np.array(entry.calibration_with_depth), np.array(entry.calibration_without_depth)
    expected = len(MATCHING_FEATURES) + len(DEPTH_FEATURES), len(MATCHING_FEATURES)
    if (len(with_depth), len(without_depth)) != expected:
        raise ModelError(
            f"model {model_name!r}: expected {expected[0]} and {expected[1]} calibration weights in the manifest, got"
            f" {len(with_depth)} and {len(without_depth)}; fit them with tools/fit_defaults.py."
        )
    return PoseCalibration(with_depth=with_depth, without_depth=without_depth)


def fit_logistic(features: Float64Array, is_right: Float64Array, *, ridge: float) -> Float64Array:
    """Weights of a logistic regression by Newton's method.

    Args:
        features: (N, F), the first column constant 1.
        is_right: (N,) 0 or 1.
        ridge: penalty on the squares of all weights but the constant's; keeps separable data finite.

    Returns:
        (F,) weights.
    """
    weights = np.zeros(features.shape[1])
    penalty = np.full(len(weights), ridge)
    penalty[0] = 1e-6
    for _ in range(100):
        predicted = sigmoid(features @ weights)
        gradient = features.T @ (predicted - is_right) + penalty * weights
        hessian = (features.T * (predicted * (1 - predicted))) @ features + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def sigmoid(log_odds: Float64Array | float) -> Float64Array:
    """Log odds to probability; as a tanh, it cannot overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(log_odds))))
