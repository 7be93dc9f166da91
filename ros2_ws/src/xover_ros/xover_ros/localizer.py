# SPDX-License-Identifier: Apache-2.0
"""The localizer: frames in, ranked pose hypotheses and the transform from map to odometry out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray

from xover_core.errors import GeometryError, MapChangedError, MapFormatError, XoverError
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.geometry.transforms import invert
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.localization.localizer import Localizer as CoreLocalizer
from xover_core.localization.localizer import load_localizer
from xover_core.sensors.assembly import AssembledFrame
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.types import LocalizationResult, LocalizationState, Mat4, Scene, SceneMatch
from xover_ros.diagnostics import WARN, StatusLine
from xover_ros.frame_inputs import PoseSources
from xover_ros.frame_node import FrameNode
from xover_ros.frame_pipeline import FramePipeline, Publish
from xover_ros.initial_pose import InitialPoseInput
from xover_ros.localizer_outputs import Answer, LocalizerOutputs, describe_result, match_picture
from xover_ros.localizer_services import LocalizerServices
from xover_ros.map_url import path_of_map_url
from xover_ros.node_settings import LOCALIZER_CORE_GROUPS, LocalizerNodeSettings
from xover_ros.pose_inputs import PoseInput
from xover_ros.qos import sensor_input
from xover_ros.result_messages import ResultFrames, state_of_result
from xover_ros.update_gate import GateLimits, UpdateGate

_LIVE_NODE = ("publish_tf", "transform_tolerance", "update_min_d", "update_min_a", "update_max_s", "max_rate_hz")
_LIVE_CORE = ("mapping", "retrieval", "scene_belief", "matching", "solver", "verification", "decision")
LIVE_PARAMETERS = frozenset((*_LIVE_NODE, *_LIVE_CORE))


class Localizer(FrameNode[LocalizerNodeSettings]):
    """Says where the robot is in a map, starting from nothing."""

    def __init__(self) -> None:
        """Make an unconfigured node."""
        super().__init__("localizer", LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS, LIVE_PARAMETERS)
        self._core: CoreLocalizer | None = None  # belongs to the worker; only replaced there
        self._outputs: LocalizerOutputs | None = None  # while active
        self._gate = UpdateGate(_limits(self._settings))
        self._last: Answer | None = None
        self._T_map_odom: Mat4 | None = None  # the last accepted one
        self._initial_pose: InitialPoseInput | None = None  # while active
        self._T_base_camera: Mat4 | None = None  # of the newest frame
        self._wants_matches = False
        self._map_path = Path()
        self._applied_core_settings = self._core_settings
        self._scene_names: dict[int, str] = {}  # given since the map was loaded
        self._offered = LocalizerServices(self, self._mailbox)

    # What services need.

    @property
    def pipeline(self) -> FramePipeline | None:
        """The worker; None while unconfigured."""
        return self._pipeline

    @property
    def core(self) -> CoreLocalizer:
        """The core's localizer; ask for it in the worker only."""
        if self._core is None:
            raise MapFormatError("no map: the localizer is not configured.")
        return self._core

    @property
    def map_path(self) -> Path:
        """The map file that is loaded."""
        return self._map_path

    @property
    def settings(self) -> LocalizerNodeSettings:
        """The node's settings as they are now."""
        return self._settings

    def load_core(self, path: Path) -> CoreLocalizer:
        """Load another map, replacing the present one only when it is good; in the worker."""
        self._applied_core_settings = self._core_settings
        self._core = load_localizer(path, self._applied_core_settings)
        self._map_path = path
        return self._core

    def use_map(self, landmark_map: LandmarkMap) -> None:
        """A new map has been loaded: show it and start from nothing."""
        self._scene_names.clear()
        if self._outputs is not None:
            self._outputs.show_map(landmark_map)
        self.forget_belief("another map was loaded.")

    def rename_scene(self, scene: Scene) -> None:
        """A scene has got another name in the map file: tell that one from now on."""
        self._scene_names[scene.scene_id] = scene.name

    def with_new_names(self, scenes: tuple[SceneMatch, ...]) -> tuple[SceneMatch, ...]:
        """Scenes with the names given since the map was loaded."""
        names = self._scene_names
        return tuple(dataclasses.replace(s, name=names.get(s.scene_id, s.name)) for s in scenes)

    def forget_belief(self, reason: str) -> None:
        """Start from nothing: no transform, no pose, until the next accepted answer."""
        if self._pipeline is not None:
            self._pipeline.forget()
            self._pipeline.submit(self._reset_core)
        self._last = self._T_map_odom = None
        self._gate.reset()
        if self._initial_pose is not None:
            self._initial_pose.clear()
        if self._outputs is not None:
            self._outputs.broadcaster.forget()
            self._publish_unknown(reason)

    def force_update(self) -> None:
        """Process the next frame although the robot may stand still."""
        self._gate.force_next()

    # Work.

    def _load(self) -> None:
        path = path_of_map_url(self._settings.map_file)
        header = self.load_core(path).landmark_map.header
        self._last = self._T_map_odom = self._T_base_camera = None
        self._scene_names.clear()
        self.get_logger().info(f"map {path}: id {header.map_id}, revision {header.revision}, model {header.model.name}")

    def _unload(self) -> None:
        self._core = None

    def _reload_core(self) -> None:
        """Put changed settings of the core into effect, which gathers evidence anew; in the worker.

        The last accepted transform stays until the next answer.
        """
        try:
            self.load_core(self._map_path)
        except XoverError as error:
            self.get_logger().error(f"the changed parameters have no effect: {error}")

    def _reset_core(self) -> None:
        if self._core is not None:
            self._core.reset()

    def _process(self, frame: AssembledFrame) -> Publish:
        try:
            result = self.core.process(frame.frame)
        except MapChangedError as error:
            # of a large map, parts are read when they are needed; small ones are in memory as they were
            self.get_logger().warning(f"{error} Doing so.")
            result = self.load_core(self._map_path).process(frame.frame)
        picture = match_picture(frame.frame.rgb, result, self.core.landmark_map) if self._wants_matches else None
        return lambda: self._publish(result, picture, frame.frame.camera_frame_id)

    def _publish(self, result: LocalizationResult, picture: NDArray[np.uint8] | None, camera_frame: str) -> None:
        """Publish an answer and remember it."""
        result = dataclasses.replace(result, scenes=self.with_new_names(result.scenes))
        if self._outputs is None or self._T_base_camera is None:
            return
        frames = ResultFrames(
            map_frame=self._settings.global_frame_id,
            camera_frame=camera_frame,
            T_camera_body=invert(self._T_base_camera),
        )
        self._last = Answer(result=result, frames=frames)
        if result.T_map_odom is not None:
            self._T_map_odom = result.T_map_odom
        self._outputs.publish(Answer(result=result, frames=frames, picture=picture))
        self._offered.answer_waiting(result)

    def _publish_unknown(self, reason: str) -> None:
        """Tell that nothing is known."""
        stamp_ns = self.get_clock().now().nanoseconds
        result = LocalizationResult(stamp_ns=stamp_ns, state=LocalizationState.UNKNOWN, reason=reason)
        if self._outputs is not None:
            self._outputs.publish_state(state_of_result(result, self._settings.global_frame_id))

    # Inputs.

    def _is_due(self, frame: AssembledFrame) -> bool:
        T_base_camera = self._find_extrinsics(frame.frame.camera_frame_id, frame.frame.stamp_ns)
        if T_base_camera is None:
            return False
        self._pass_on_hint(T_base_camera)
        self._wants_matches = self._outputs is not None and self._outputs.wants_matches
        is_localized = self._last is not None and self._last.result.state is LocalizationState.LOCALIZED
        return self._gate.admits(frame.frame.stamp_ns, frame.frame.T_odom_camera, is_localized=is_localized)

    def _find_extrinsics(self, camera_frame: str, stamp_ns: int) -> Mat4 | None:
        """Where the camera sits on the robot: T_base_camera; without it, the robot's pose cannot be told."""
        if self._inputs is None:
            return None
        try:
            T_base_camera = self._inputs.transforms.lookup(self._settings.base_frame_id, camera_frame, stamp_ns)
        except GeometryError as error:
            self._problems.report("no extrinsics", f"frame dropped: /tf, /tf_static: {error}")
            return None
        self._T_base_camera = T_base_camera
        return T_base_camera

    def _pass_on_hint(self, T_base_camera: Mat4) -> None:
        """Give a pose that somebody has told to the core, before the next frame."""
        hint = self._initial_pose.take_hint(T_base_camera) if self._initial_pose is not None else None
        if hint is not None and self._pipeline is not None:
            self._pipeline.submit(lambda: self.core.set_hint(hint))
            self.force_update()

    def _make_sources(self, transforms: TransformBuffer) -> PoseSources:
        settings = self._settings
        if not settings.odom_frame_id:
            return PoseSources()
        topic = self.resolve_topic_name(settings.odom_topic) if settings.odom_topic else ""
        name = topic or f"TF {settings.odom_frame_id} -> camera"
        odometry = CameraPoseSource(
            transforms,
            name=name,
            fixed_frame=settings.odom_frame_id,
            pose_stream_body=settings.base_frame_id if topic else None,
        )
        return PoseSources(odometry=odometry, skip=(settings.global_frame_id, settings.odom_frame_id))

    def _make_pose_input(self, sources: PoseSources, on_pose: Callable[[], None]) -> PoseInput | None:
        if sources.odometry is None or not self._settings.odom_topic:
            return None
        return PoseInput(
            self,
            self._settings.odom_topic,
            Odometry,
            sensor_input(self._settings.image_reliability, 100),
            source=sources.odometry,
            frame_id=self._settings.odom_frame_id,
            problems=self._problems,
            on_pose=on_pose,
        )

    def _begin(self) -> None:
        landmark_map = self._configured_pipeline().submit(lambda: self.core.landmark_map).result()
        self._outputs = LocalizerOutputs(self, self._settings, landmark_map)
        self._initial_pose = InitialPoseInput(self, self._settings.global_frame_id, self._problems)
        self._gate.reset()
        self._apply_settings()
        if self._last is None:
            self._publish_unknown("no frame has been processed yet.")
        else:
            self._outputs.publish(self._last)
        if self._T_map_odom is not None:
            self._outputs.broadcaster.update(self._T_map_odom)

    def _end(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        if self._initial_pose is not None:
            self._initial_pose.destroy()
        self._outputs = self._initial_pose = None

    def _handle_time_jump(self) -> None:
        self.forget_belief("time went back, so the robot may be anywhere.")

    def _apply_settings(self) -> None:
        if self._core_settings != self._applied_core_settings and self._pipeline is not None:
            self._applied_core_settings = self._core_settings
            self._pipeline.submit(self._reload_core)
        self._gate.limits = _limits(self._settings)
        if self._outputs is not None:
            self._outputs.broadcaster.is_enabled = self._settings.publish_tf
            self._outputs.broadcaster.tolerance_s = self._settings.transform_tolerance

    # Diagnostics.

    def _describe_work(self) -> StatusLine:
        backend = self._core_settings.inference.backend
        values: dict[str, object] = {"map_file": self._settings.map_file, "backend": backend}
        if self._outputs is not None:
            values |= self._outputs.describe_map()
        if self._last is None:
            return StatusLine(name="localization", level=WARN, message="nothing is known yet", values=values)
        return describe_result(self._last.result, self.get_clock().now().nanoseconds, values)


def _limits(settings: LocalizerNodeSettings) -> GateLimits:
    return GateLimits(
        max_rate_hz=settings.max_rate_hz,
        min_translation=settings.update_min_d,
        min_rotation=settings.update_min_a,
        max_wait_s=settings.update_max_s,
    )
