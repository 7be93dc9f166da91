# SPDX-License-Identifier: Apache-2.0
"""Thresholds to states; a pose in state LOCALIZED only."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at, room_frame
from localization_cases import T_MAP_QUERY, hypothesis

from xover_core.config import DecisionSettings
from xover_core.errors import SensorDataError
from xover_core.geometry.transforms import exp_se3
from xover_core.localization.decision import decide, map_from_odom
from xover_core.localization.localizer import FrameEvidence
from xover_core.types import LocalizationState, RgbdFrame, SceneMatch

SETTINGS = DecisionSettings(min_probability=0.9, min_hypothesis_probability=0.2, min_scene_probability=0.7)
T_ODOM_CAMERA = exp_se3(np.array([3.0, 1.0, 0.0, 0.0, 0.0, 1.0]))


def make_frame(T_odom_camera=T_ODOM_CAMERA) -> RgbdFrame:
    frame = room_frame(look_at((0.0, 0.0, 0.0), 0.0))
    return RgbdFrame(
        stamp_ns=42, rgb=frame.rgb, depth=frame.depth, intrinsics=frame.intrinsics, T_odom_camera=T_odom_camera
    )


def evidence(*probabilities: float, scene: float = 0.1) -> FrameEvidence:
    return FrameEvidence(
        scenes=(SceneMatch(scene_id=1, name="kitchen", probability=scene, similarity=0.4),),
        hypotheses=tuple(hypothesis(T_MAP_QUERY, p, keyframe_id=i) for i, p in enumerate(probabilities, start=1)),
        relative_pose=None,
        matches=None,
        timings_ms=(("encode", 1.0),),
    )


@pytest.mark.parametrize(
    ("probabilities", "scene", "state"),
    [
        ((0.95, 0.3), 0.1, LocalizationState.LOCALIZED),
        ((0.9,), 0.1, LocalizationState.LOCALIZED),
        ((0.89, 0.3), 0.1, LocalizationState.HYPOTHESES),
        ((0.2,), 0.9, LocalizationState.HYPOTHESES),
        ((0.19,), 0.9, LocalizationState.SCENE_ONLY),
        ((), 0.7, LocalizationState.SCENE_ONLY),
        ((0.19,), 0.69, LocalizationState.UNKNOWN),
        ((), 0.0, LocalizationState.UNKNOWN),
    ],
)
def test_thresholds_decide_the_state(probabilities, scene, state):
    result = decide(make_frame(), evidence(*probabilities, scene=scene), SETTINGS)
    assert result.state is state
    is_localized = state is LocalizationState.LOCALIZED
    assert (result.T_map_camera is not None) == is_localized
    assert (result.covariance is not None) == is_localized
    assert (result.T_map_odom is not None) == is_localized
    assert result.probability == (probabilities[0] if probabilities else 0.0)
    assert result.reason
    assert "\n" not in result.reason


def test_only_hypotheses_worth_a_mention_are_reported():
    result = decide(make_frame(), evidence(0.95, 0.5, 0.1), SETTINGS)
    assert [h.keyframe_id for h in result.hypotheses] == [1, 2]


def test_the_answer_is_that_of_the_best_hypothesis():
    frame, given = make_frame(), evidence(0.95, 0.5)
    result = decide(frame, given, SETTINGS)
    np.testing.assert_array_equal(result.T_map_camera, T_MAP_QUERY)
    np.testing.assert_array_equal(result.covariance, given.hypotheses[0].covariance)
    np.testing.assert_allclose(result.T_map_odom @ T_ODOM_CAMERA, T_MAP_QUERY, atol=1e-12)
    assert result.stamp_ns == 42
    assert result.scenes == given.scenes
    assert result.timings_ms == given.timings_ms


def test_without_odometry_there_is_a_pose_but_no_map_from_odom():
    result = decide(make_frame(None), evidence(0.95), SETTINGS)
    assert result.state is LocalizationState.LOCALIZED
    assert result.T_map_odom is None
    with pytest.raises(SensorDataError, match="expected odometry"):
        map_from_odom(result.hypotheses[0], make_frame(None))


def test_a_map_without_scenes_can_answer():
    given = FrameEvidence(scenes=(), hypotheses=(), relative_pose=None, matches=None, timings_ms=())
    assert decide(make_frame(), given, SETTINGS).state is LocalizationState.UNKNOWN


def test_reasons_name_what_decided():
    assert "keyframe 1" in decide(make_frame(), evidence(0.95), SETTINGS).reason
    assert "below 0.90" in decide(make_frame(), evidence(0.5), SETTINGS).reason
    assert "kitchen" in decide(make_frame(), evidence(scene=0.8), SETTINGS).reason
