# SPDX-License-Identifier: Apache-2.0
"""`LocalizationResult` -> messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from xover_msgs.msg import LocalizationState as StateMessage
from xover_msgs.msg import PoseHypothesis as HypothesisMessage
from xover_msgs.msg import PoseHypothesisArray, SceneMatchArray
from xover_msgs.msg import RelativePose as RelativePoseMessage
from xover_msgs.msg import SceneMatch as SceneMatchMessage

from xover_core.types import (
    LocalizationResult,
    Mat4,
    PoseHypothesis,
    SceneMatch,
)
from xover_ros.message_conversions import (
    header,
    move_covariance,
    pose_with_covariance,
    quaternion_message,
    vector_message,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFrames:
    """Which frames the messages speak of.

    Attributes:
        map_frame: name of the map frame.
        camera_frame: name of the query's optical frame.
        T_camera_body: the body whose pose is told, on the camera: the robot's base, or the identity for the camera.
    """

    map_frame: str
    camera_frame: str
    T_camera_body: Mat4


def camera_frames(map_frame: str, camera_frame: str) -> ResultFrames:
    """Frames of answers that tell the pose of the camera itself."""
    return ResultFrames(map_frame=map_frame, camera_frame=camera_frame, T_camera_body=np.eye(4))


def pose_of_result(result: LocalizationResult, frames: ResultFrames) -> PoseWithCovarianceStamped | None:
    """The accepted pose of the body; None while not LOCALIZED."""
    if result.T_map_camera is None or result.covariance is None:
        return None
    covariance = move_covariance(result.covariance, result.T_map_camera, frames.T_camera_body)
    pose = pose_with_covariance(result.T_map_camera @ frames.T_camera_body, covariance)
    return PoseWithCovarianceStamped(header=header(result.stamp_ns, frames.map_frame), pose=pose)


def state_of_result(result: LocalizationResult, map_frame: str) -> StateMessage:
    """State and reason."""
    return StateMessage(
        header=header(result.stamp_ns, map_frame),
        state=int(result.state),
        reason=result.reason,
        probability=float(result.probability),
    )


def hypotheses_of_result(result: LocalizationResult, frames: ResultFrames) -> PoseHypothesisArray:
    """Ranked hypotheses of the body's pose."""
    hypotheses = [_hypothesis_message(hypothesis, frames) for hypothesis in result.hypotheses]
    return PoseHypothesisArray(header=header(result.stamp_ns, frames.map_frame), hypotheses=hypotheses)


def _hypothesis_message(hypothesis: PoseHypothesis, frames: ResultFrames) -> HypothesisMessage:
    covariance = move_covariance(hypothesis.covariance, hypothesis.T_map_camera, frames.T_camera_body)
    return HypothesisMessage(
        pose=pose_with_covariance(hypothesis.T_map_camera @ frames.T_camera_body, covariance),
        probability=float(hypothesis.probability),
        scene_id=int(hypothesis.scene_id),
        keyframe_id=int(hypothesis.keyframe_id),
        num_inliers=int(hypothesis.num_inliers),
        reprojection_error_px=float(np.float32(hypothesis.reprojection_error_px)),
        depth_agreement=float(np.float32(hypothesis.depth_agreement)),
    )


def scenes_message(scenes: tuple[SceneMatch, ...], stamp_ns: int, map_frame: str) -> SceneMatchArray:
    """Ranked scenes."""
    matches = [
        SceneMatchMessage(
            scene_id=int(scene.scene_id),
            name=scene.name,
            probability=float(scene.probability),
            similarity=float(scene.similarity),
            modality=scene.modality,
        )
        for scene in scenes
    ]
    return SceneMatchArray(header=header(stamp_ns, map_frame), scenes=matches)


def relative_pose_of_result(result: LocalizationResult, frames: ResultFrames) -> RelativePoseMessage | None:
    """Camera relative to the best keyframe; None when the solver gave none."""
    relative = result.relative_pose
    if relative is None:
        return None
    return RelativePoseMessage(
        header=header(result.stamp_ns, frames.camera_frame),
        keyframe_id=int(relative.keyframe_id),
        rotation=quaternion_message(relative.T_keyframe_query),
        translation=vector_message(relative.T_keyframe_query[:3, 3]),
        is_metric=bool(relative.is_metric),
        num_inliers=int(relative.num_inliers),
        num_matches=int(relative.num_matches),
    )
