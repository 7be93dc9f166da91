# SPDX-License-Identifier: Apache-2.0
"""Evidence for a pose -> probability that it is within 1 m and 30 deg: logistic regression on few, monotone features.

The weights were fitted on the procedural apartments (queries of an apartment against its own map and against those
of others); `xover evaluate` draws the reliability diagram on any recording. docs/calibration.md says how to fit again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.types import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseEvidence:
    """What is known of a refined pose.

    Attributes:
        num_inliers: agreeing matches of all keyframes, each query patch counted once.
        inlier_ratio: agreeing share of the best keyframe's matches.
        rival_ratio: inliers of the best pose elsewhere over those of this one; 0 without a rival.
        depth_agreement: see `DepthComparison`; NaN without depth.
        see_through: see `DepthComparison`; NaN without depth.
    """

    num_inliers: int
    inlier_ratio: float
    rival_ratio: float
    depth_agreement: float
    see_through: float

    def features(self, *, has_depth: bool) -> Float64Array:
        """The regression's inputs, the constant 1 first."""
        matching = [1.0, np.log(max(self.num_inliers, 1)), self.inlier_ratio, min(self.rival_ratio, 1.5)]
        depth = [_known(self.depth_agreement, 0.0), _known(self.see_through, 1.0)] if has_depth else []
        return np.array(matching + depth)


# Order: constant, log inliers, inlier ratio, rival ratio, depth agreement, see-through.
WEIGHTS_WITH_DEPTH = np.array([-12.0, 2.0, 4.0, -2.0, 6.0, -6.0])
WEIGHTS_WITHOUT_DEPTH = np.array([-12.0, 2.5, 6.0, -3.0])


def pose_probability(evidence: PoseEvidence, *, has_depth: bool) -> float:
    """Calibrated probability in (0, 1)."""
    weights = WEIGHTS_WITH_DEPTH if has_depth else WEIGHTS_WITHOUT_DEPTH
    return float(1 / (1 + np.exp(-weights @ evidence.features(has_depth=has_depth))))


def _known(value: float, otherwise: float) -> float:
    """`value`, or the pessimistic reading of a value that could not be measured."""
    return value if np.isfinite(value) else otherwise
