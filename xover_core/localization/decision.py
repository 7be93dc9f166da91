# SPDX-License-Identifier: Apache-2.0
"""Evidence of one frame -> state and reason. The only place where a single frame becomes an answer."""

from __future__ import annotations

from typing import Protocol

from xover_core.config import DecisionSettings
from xover_core.errors import SensorDataError
from xover_core.geometry.transforms import invert
from xover_core.types import (
    LocalizationResult,
    LocalizationState,
    Mat4,
    PatchMatches,
    PoseHypothesis,
    RelativePose,
    RgbdFrame,
    SceneMatch,
)


class Evidence(Protocol):
    """What a decision looks at; see `localizer.FrameEvidence`."""

    @property
    def scenes(self) -> tuple[SceneMatch, ...]:
        """Ranked scenes."""
        ...

    @property
    def hypotheses(self) -> tuple[PoseHypothesis, ...]:
        """Ranked hypotheses, also improbable ones."""
        ...

    @property
    def relative_pose(self) -> RelativePose | None:
        """To the best keyframe."""
        ...

    @property
    def matches(self) -> PatchMatches | None:
        """With the best keyframe."""
        ...

    @property
    def timings_ms(self) -> tuple[tuple[str, float], ...]:
        """Stages."""
        ...


def decide(frame: RgbdFrame, evidence: Evidence, settings: DecisionSettings) -> LocalizationResult:
    """Answer one frame by itself."""
    reported = tuple(h for h in evidence.hypotheses if h.probability >= settings.min_hypothesis_probability)
    state, reason = _state(evidence, reported, settings)
    best = reported[0] if reported else None
    is_localized = best is not None and state is LocalizationState.LOCALIZED
    T_map_odom = None
    if best is not None and is_localized and frame.T_odom_camera is not None:
        T_map_odom = map_from_odom(best, frame)
    return LocalizationResult(
        stamp_ns=frame.stamp_ns,
        state=state,
        reason=reason,
        T_map_camera=best.T_map_camera if best is not None and is_localized else None,
        covariance=best.covariance if best is not None and is_localized else None,
        probability=evidence.hypotheses[0].probability if evidence.hypotheses else 0.0,
        T_map_odom=T_map_odom,
        hypotheses=reported,
        scenes=evidence.scenes,
        relative_pose=evidence.relative_pose,
        matches=evidence.matches,
        timings_ms=evidence.timings_ms,
    )


def map_from_odom(hypothesis: PoseHypothesis, frame: RgbdFrame) -> Mat4:
    """T_map_odom that a hypothesis implies.

    Raises:
        SensorDataError: the frame has no odometry.
    """
    if frame.T_odom_camera is None:
        raise SensorDataError(f"frame at {frame.stamp_ns} ns: expected odometry, got none.")
    return hypothesis.T_map_camera @ invert(frame.T_odom_camera)


def _state(
    evidence: Evidence, reported: tuple[PoseHypothesis, ...], settings: DecisionSettings
) -> tuple[LocalizationState, str]:
    """State and its reason in one sentence."""
    if reported and reported[0].probability >= settings.min_probability:
        best = reported[0]
        return LocalizationState.LOCALIZED, (
            f"{best.num_inliers} patches agree with keyframe {best.keyframe_id} and others,"
            f" probability {best.probability:.2f}"
        )
    if reported:
        return LocalizationState.HYPOTHESES, (
            f"{len(reported)} possible poses, the best with probability {reported[0].probability:.2f},"
            f" below {settings.min_probability:.2f}"
        )
    if evidence.scenes and evidence.scenes[0].probability >= settings.min_scene_probability:
        best_scene = evidence.scenes[0]
        return LocalizationState.SCENE_ONLY, (
            f"looks like {best_scene.name} with probability {best_scene.probability:.2f}, but no pose fits"
        )
    return LocalizationState.UNKNOWN, "nothing in the map looks like this view"
