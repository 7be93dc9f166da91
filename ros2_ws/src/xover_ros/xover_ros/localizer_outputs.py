# SPDX-License-Identifier: Apache-2.0
"""Everything that the localizer publishes while it is active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray
from xover_msgs.msg import LocalizationState as StateMessage
from xover_msgs.msg import PoseHypothesisArray, RelativePose, SceneMatchArray

from xover_core.evaluation.match_pictures import draw_matches
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.types import LocalizationResult, LocalizationState
from xover_ros.diagnostics import ERROR, OK, WARN, StatusLine
from xover_ros.map_messages import landmark_cloud, landmark_markers
from xover_ros.node_settings import LocalizerNodeSettings
from xover_ros.qos import latched, reliable
from xover_ros.result_messages import (
    ResultFrames,
    hypotheses_of_result,
    pose_of_result,
    relative_pose_of_result,
    scenes_message,
    state_of_result,
)
from xover_ros.sensor_conversions import color_message
from xover_ros.transform_listener import MapOdomBroadcaster

_MAP_CHECK_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one frame led to.

    Attributes:
        result: the localizer's answer, with the names of scenes as they are now.
        frames: of which the messages speak.
        picture: (H, W, 3) uint8 of the matches, where somebody wants to see it.
    """

    result: LocalizationResult
    frames: ResultFrames
    picture: NDArray[np.uint8] | None = None


class LocalizerOutputs:
    """The publishers, between activation and deactivation."""

    def __init__(self, node: Node, settings: LocalizerNodeSettings, landmark_map: LandmarkMap) -> None:
        """Make the publishers; nothing is published yet."""
        self._node = node
        self._map = landmark_map
        self._map_frame = settings.global_frame_id
        self._has_published_map = False
        self._pose = node.create_publisher(PoseWithCovarianceStamped, "pose", latched())
        self._state = node.create_publisher(StateMessage, "state", latched())
        self._hypotheses = node.create_publisher(PoseHypothesisArray, "hypotheses", reliable())
        self._scene = node.create_publisher(SceneMatchArray, "scene", reliable())
        self._relative_pose = node.create_publisher(RelativePose, "relative_pose", reliable())
        self._matches = node.create_publisher(Image, "debug/matches", reliable(1))
        self._landmarks = node.create_publisher(MarkerArray, "landmarks", latched())
        self._landmark_cloud = node.create_publisher(PointCloud2, "landmark_cloud", latched())
        self._timer = node.create_timer(_MAP_CHECK_PERIOD_S, self._publish_map)
        self.broadcaster = MapOdomBroadcaster(
            node,
            settings.global_frame_id,
            settings.odom_frame_id,
            tolerance_s=settings.transform_tolerance,
            rate_hz=settings.tf_rate_hz,
        )
        self.broadcaster.is_enabled = settings.publish_tf

    @property
    def wants_matches(self) -> bool:
        """Whether somebody looks at the picture of the matches."""
        return bool(self._matches.get_subscription_count() > 0)

    def publish(self, answer: Answer) -> None:
        """Publish an answer; the state comes last, so whoever has it has everything."""
        result, frames = answer.result, answer.frames
        self._hypotheses.publish(hypotheses_of_result(result, frames))
        self._scene.publish(scenes_message(result.scenes, result.stamp_ns, frames.map_frame))
        if (relative_pose := relative_pose_of_result(result, frames)) is not None:
            self._relative_pose.publish(relative_pose)
        if answer.picture is not None:
            self._matches.publish(color_message(answer.picture, result.stamp_ns, frames.camera_frame))
        if (pose := pose_of_result(result, frames)) is not None:
            self._pose.publish(pose)
        if result.T_map_odom is not None:
            self.broadcaster.update(result.T_map_odom)
        self.publish_state(state_of_result(result, frames.map_frame))

    def publish_state(self, state: StateMessage) -> None:
        """Publish a state on its own."""
        self._state.publish(state)

    def show_map(self, landmark_map: LandmarkMap) -> None:
        """Publish another map from now on."""
        self._map, self._has_published_map = landmark_map, False

    def describe_map(self) -> dict[str, object]:
        """Identity and size of the map, for the diagnostics."""
        header = self._map.header
        return {
            "map_id": header.map_id,
            "map_revision": header.revision,
            "map_bytes": self._map.size_bytes,
            "keyframes": len(self._map.keyframes),
            "landmarks": len(self._map.blocks),
            "scenes": len(self._map.scenes),
            "model": header.model.name,
        }

    def destroy(self) -> None:
        """Take all publishers away."""
        self._node.destroy_timer(self._timer)
        self.broadcaster.destroy()
        for publisher in (
            self._pose,
            self._state,
            self._hypotheses,
            self._scene,
            self._relative_pose,
            self._matches,
            self._landmarks,
            self._landmark_cloud,
        ):
            self._node.destroy_publisher(publisher)

    def _publish_map(self) -> None:
        """Publish the map once, as soon as somebody wants to see it; later subscribers get it from the middleware."""
        publishers = (self._landmarks, self._landmark_cloud)
        if self._has_published_map or not any(publisher.get_subscription_count() for publisher in publishers):
            return
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._landmarks.publish(landmark_markers(self._map.landmarks, self._map.scenes, stamp_ns, self._map_frame))
        self._landmark_cloud.publish(landmark_cloud(self._map.landmarks, stamp_ns, self._map_frame))
        self._has_published_map = True


def match_picture(
    rgb: NDArray[np.uint8], result: LocalizationResult, landmark_map: LandmarkMap
) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8: the query beside the keyframe it was matched to; None without matches."""
    if result.matches is None:
        return None
    return draw_matches(rgb, landmark_map.keyframe(result.matches.keyframe_id), result.matches)


def describe_result(result: LocalizationResult, now_ns: int, values: dict[str, object]) -> StatusLine:
    """Status of the localization after an answer; `values` are added to its details."""
    best = result.hypotheses[0] if result.hypotheses else None
    details: dict[str, object] = {
        "state": result.state.name,
        "reason": result.reason,
        "probability": f"{result.probability:.3f}",
        "hypotheses": len(result.hypotheses),
        "inliers": best.num_inliers if best else 0,
        "answer_age_s": f"{(now_ns - result.stamp_ns) / 1e9:.2f}",
        "latency_ms": f"{result.latency_ms:.1f}",
    }
    details |= {f"latency_{stage}_ms": f"{ms:.1f}" for stage, ms in result.timings_ms}
    level = {LocalizationState.LOCALIZED: OK, LocalizationState.LOST: ERROR}.get(result.state, WARN)
    message = f"{result.state.name}: {result.reason}"
    return StatusLine(name="localization", level=level, message=message, values=details | values)
