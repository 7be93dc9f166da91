# SPDX-License-Identifier: Apache-2.0
"""What the localizer answers, as messages."""

from __future__ import annotations

import numpy as np
import pytest
from xover_msgs.msg import LocalizationState as StateMessage
from xover_ros.message_conversions import pose_matrix, stamp_to_ns
from xover_ros.result_messages import (
    ResultFrames,
    hypotheses_of_result,
    pose_of_result,
    relative_pose_of_result,
    scenes_message,
    state_of_result,
)

from xover_core.geometry.transforms import exp_se3
from xover_core.types import LocalizationResult, LocalizationState, PoseHypothesis, RelativePose, SceneMatch

EXACT = 1e-12
STAMP_NS = 12_000_000_345
T_MAP_CAMERA = exp_se3(np.array([1.0, 2.0, 0.5, 0.1, 0.2, 0.3]))
T_CAMERA_BASE = exp_se3(np.array([0.0, 1.0, -0.2, 0.0, 0.3, 0.0]))
FRAMES = ResultFrames(map_frame="map", camera_frame="optical", T_camera_body=T_CAMERA_BASE)


def _result(**changes: object) -> LocalizationResult:
    values: dict[str, object] = {"stamp_ns": STAMP_NS, "state": LocalizationState.UNKNOWN, "reason": "a reason"}
    return LocalizationResult(**(values | changes))


def _hypothesis() -> PoseHypothesis:
    return PoseHypothesis(
        T_map_camera=T_MAP_CAMERA,
        covariance=np.eye(6) * 0.01,
        probability=0.75,
        scene_id=2,
        keyframe_id=9,
        num_inliers=33,
        inlier_ratio=0.5,
        reprojection_error_px=float("nan"),
        depth_agreement=0.9,
    )


@pytest.mark.parametrize("state", list(LocalizationState))
def test_the_states_have_the_same_numbers_as_in_the_core(state: LocalizationState) -> None:
    assert getattr(StateMessage, state.name) == state.value
    message = state_of_result(_result(state=state, probability=0.5), "map")
    assert (message.state, message.reason, message.probability) == (state.value, "a reason", 0.5)
    assert (stamp_to_ns(message.header.stamp), message.header.frame_id) == (STAMP_NS, "map")


def test_without_an_accepted_pose_there_is_no_pose_message() -> None:
    assert pose_of_result(_result(hypotheses=(_hypothesis(),)), FRAMES) is None


def test_the_pose_is_that_of_the_robot_not_of_the_camera() -> None:
    result = _result(state=LocalizationState.LOCALIZED, T_map_camera=T_MAP_CAMERA, covariance=np.eye(6))
    message = pose_of_result(result, FRAMES)
    assert message is not None
    np.testing.assert_allclose(pose_matrix(message.pose.pose), T_MAP_CAMERA @ T_CAMERA_BASE, atol=EXACT)


def test_hypotheses_keep_rank_evidence_and_missing_values() -> None:
    message = hypotheses_of_result(_result(hypotheses=(_hypothesis(), _hypothesis())), FRAMES)
    first = message.hypotheses[0]
    assert len(message.hypotheses) == 2
    assert (first.probability, first.scene_id, first.keyframe_id, first.num_inliers) == (0.75, 2, 9, 33)
    assert np.isnan(first.reprojection_error_px)
    assert first.depth_agreement == pytest.approx(0.9, abs=1e-6)  # float32
    assert hypotheses_of_result(_result(), FRAMES).hypotheses == []


def test_relative_pose_and_scenes() -> None:
    assert relative_pose_of_result(_result(), FRAMES) is None
    relative = RelativePose(
        keyframe_id=4, T_keyframe_query=T_MAP_CAMERA, is_metric=False, num_inliers=20, num_matches=80
    )
    message = relative_pose_of_result(_result(relative_pose=relative), FRAMES)
    assert message is not None
    assert (message.keyframe_id, message.is_metric, message.num_inliers, message.num_matches) == (4, False, 20, 80)
    assert message.translation.x == pytest.approx(T_MAP_CAMERA[0, 3])
    scene = SceneMatch(scene_id=3, name="kitchen", probability=0.6, similarity=0.4)
    scenes = scenes_message((scene,), STAMP_NS, "map").scenes
    assert [(s.scene_id, s.name, s.modality) for s in scenes] == [(3, "kitchen", "image")]
