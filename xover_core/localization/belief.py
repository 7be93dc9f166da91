# SPDX-License-Identifier: Apache-2.0
"""What the localizer believes over time: hypotheses of several frames, tied together by odometry.

Every hypothesis of a frame with odometry implies a T_map_odom. Wherever the robot drives, right hypotheses imply
the same one (up to drift), while wrong ones scatter. The belief looks for the T_map_odom on which most frames agree.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.config import DecisionSettings
from xover_core.geometry.transforms import exp_se3, invert, log_se3, pose_error
from xover_core.localization.calibration import sigmoid
from xover_core.localization.decision import map_from_odom
from xover_core.types import (
    Float64Array,
    LocalizationResult,
    LocalizationState,
    Mat4,
    PoseHypothesis,
    RgbdFrame,
)

# Odds of a pose before a frame is looked at; a hypothesis above them is evidence for itself, one below against.
PRIOR_PROBABILITY = 0.2
# Frames of one place share their mistakes, so their evidence counts for this share of independent evidence.
CORRELATION_DISCOUNT = 0.5
# A frame taken this near to one already counted says nothing new.
MIN_BASELINE_M = 0.1
MIN_BASELINE_RAD = np.deg2rad(5)
# Standard deviation that odometry adds per metre and per radian driven since the last support.
DRIFT_PER_M = 0.05
DRIFT_PER_RAD = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The hypotheses of one frame."""

    stamp_ns: int
    T_odom_camera: Mat4
    hypotheses: tuple[tuple[Mat4, PoseHypothesis], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """A T_map_odom and what speaks for it.

    Attributes:
        T_map_odom: (4, 4) mean over the members.
        probability: after all frames of the window.
        num_frames: with enough baseline between them.
        newest: the latest member and the observation that it is from.
    """

    T_map_odom: Mat4
    probability: float
    num_frames: int
    newest: PoseHypothesis
    newest_observation: Observation


class Belief:
    """Turns answers of single frames into answers over time."""

    def __init__(self, settings: DecisionSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Start from nothing."""
        self._window: deque[Observation] = deque(maxlen=self._settings.window)
        self._accepted: Support | None = None
        self._is_lost = False

    def update(self, frame: RgbdFrame, single: LocalizationResult) -> LocalizationResult:
        """The answer to `frame`, given its answer alone and everything before."""
        if frame.T_odom_camera is None:
            return single
        observation = Observation(
            stamp_ns=frame.stamp_ns,
            T_odom_camera=frame.T_odom_camera,
            hypotheses=tuple((map_from_odom(h, frame), h) for h in single.hypotheses),
        )
        self._remember(observation)
        found = self._best_support(observation)
        if found is not None and self._is_acceptable(found):
            self._accepted, self._is_lost = found, False
        if self._accepted is None:
            return self._unconfirmed(single)
        if self._age_s(frame.stamp_ns) > self._settings.lost_after_s:
            self._accepted, self._is_lost = None, True
            return self._unconfirmed(single)
        return self._answer(frame.stamp_ns, frame.T_odom_camera, single, self._accepted)

    def _remember(self, observation: Observation) -> None:
        """Add to the window; a frame that says nothing new gives way, else standing still would push out the drive."""
        if len(self._window) >= 2 and _is_near(self._window[-1].T_odom_camera, self._window[-2].T_odom_camera):
            self._window.pop()
        self._window.append(observation)

    def _is_acceptable(self, support: Support) -> bool:
        """Whether a support may become, or replace, what is believed."""
        enough = self._settings.min_agreeing_frames
        return support.probability >= self._settings.min_agreed_probability and support.num_frames >= enough

    def _best_support(self, current: Observation) -> Support | None:
        """The best supported T_map_odom among those of the current frame; None when it has no hypothesis."""
        supports = [self._support(T_map_odom, current) for T_map_odom, _ in current.hypotheses]
        return max(supports, key=lambda support: support.probability, default=None)

    def _support(self, T_map_odom: Mat4, current: Observation) -> Support:
        """Collect what the window says of one T_map_odom, newest frame first."""
        log_odds = _logit(PRIOR_PROBABILITY)
        members: list[tuple[Mat4, float]] = []
        counted: list[Observation] = []
        newest = current, current.hypotheses[0][1]
        for observation in reversed(self._window):
            agreeing = [(T, h) for T, h in observation.hypotheses if self._agrees(T, T_map_odom, current.T_odom_camera)]
            is_new = not any(_is_near(observation.T_odom_camera, other.T_odom_camera) for other in counted)
            if agreeing:
                best_T, best = max(agreeing, key=lambda pair: pair[1].probability)
                members.append((best_T, best.probability))
                newest = (observation, best) if len(members) == 1 else newest
                if is_new:
                    log_odds += CORRELATION_DISCOUNT * (_logit(best.probability) - _logit(PRIOR_PROBABILITY))
                    counted.append(observation)
            elif observation.hypotheses and is_new:
                log_odds += CORRELATION_DISCOUNT * np.log(max(1 - observation.hypotheses[0][1].probability, 1e-3))
        return Support(
            T_map_odom=_mean_pose(members, current.T_odom_camera),
            probability=float(sigmoid(log_odds)),
            num_frames=len(counted),
            newest=newest[1],
            newest_observation=newest[0],
        )

    def _agrees(self, T_map_odom_a: Mat4, T_map_odom_b: Mat4, T_odom_camera: Mat4) -> bool:
        """Whether two T_map_odom put the camera, where it is now, in the same place."""
        distance, angle = pose_error(T_map_odom_a @ T_odom_camera, T_map_odom_b @ T_odom_camera)
        return distance <= self._settings.agreement_m and angle <= np.deg2rad(self._settings.agreement_deg)

    def _age_s(self, stamp_ns: int) -> float:
        """Seconds since a frame last supported what is believed."""
        return 0.0 if self._accepted is None else (stamp_ns - self._accepted.newest_observation.stamp_ns) * 1e-9

    def _unconfirmed(self, single: LocalizationResult) -> LocalizationResult:
        """A frame's own answer, without pose: nothing is agreed on yet, or any more."""
        state, reason = single.state, single.reason
        if self._is_lost:
            state = LocalizationState.LOST
            reason = f"no frame has supported the last pose for {self._settings.lost_after_s:g} s"
        elif state is LocalizationState.LOCALIZED:
            state, reason = LocalizationState.HYPOTHESES, f"{reason}; waiting for a second view to agree"
        return dataclasses.replace(
            single, state=state, reason=reason, T_map_camera=None, covariance=None, T_map_odom=None
        )

    def _answer(
        self, stamp_ns: int, T_odom_camera: Mat4, single: LocalizationResult, support: Support
    ) -> LocalizationResult:
        """The believed pose, carried on by odometry."""
        age = self._age_s(stamp_ns)
        since = f"supported {age:.1f} s ago" if age > 0 else f"{support.num_frames} views agree"
        return dataclasses.replace(
            single,
            state=LocalizationState.LOCALIZED,
            reason=f"{since}, probability {support.probability:.2f}",
            T_map_camera=support.T_map_odom @ T_odom_camera,
            covariance=_drifted_covariance(support, T_odom_camera),
            probability=support.probability,
            T_map_odom=support.T_map_odom,
        )


def _logit(probability: float) -> float:
    """Log odds."""
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(bounded / (1 - bounded)))


def _is_near(T_odom_a: Mat4, T_odom_b: Mat4) -> bool:
    """Whether two views are too alike to be counted twice."""
    distance, angle = pose_error(T_odom_a, T_odom_b)
    return distance < MIN_BASELINE_M and angle < MIN_BASELINE_RAD


def _mean_pose(members: Sequence[tuple[Mat4, float]], T_odom_camera: Mat4) -> Mat4:
    """Weighted mean of T_map_odom, taken where the camera is, so that far origins do not turn angles into metres."""
    poses = [T_map_odom @ T_odom_camera for T_map_odom, _ in members]
    weights = np.array([weight for _, weight in members])
    twists = np.stack([log_se3(invert(poses[0]) @ pose) for pose in poses])
    mean = poses[0] @ exp_se3(weights @ twists / weights.sum())
    return np.asarray(mean @ invert(T_odom_camera))


def _drifted_covariance(support: Support, T_odom_camera: Mat4) -> Float64Array:
    """Covariance of the newest member, grown by what was driven since."""
    distance, angle = pose_error(T_odom_camera, support.newest_observation.T_odom_camera)
    drift = [(DRIFT_PER_M * distance) ** 2] * 3 + [(DRIFT_PER_RAD * angle) ** 2] * 3
    return np.asarray(support.newest.covariance + np.diag(drift))
