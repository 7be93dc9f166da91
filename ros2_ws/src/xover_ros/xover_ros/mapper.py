# SPDX-License-Identifier: Apache-2.0
"""The mapper: posed frames in, a map file out, online; the file is valid whenever the process dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from xover_msgs.srv import DescribeScene, NameScene, SaveMap

from xover_core.errors import GeometryError, MapFormatError, XoverError
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.landmark_map.map_builder import MapBuilder, MapSummary, open_map_builder
from xover_core.landmark_map.scene_describer import tell_scene
from xover_core.sensors.assembly import AssembledFrame
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.types import Keyframe
from xover_ros.diagnostics import OK, WARN, StatusLine
from xover_ros.frame_inputs import PoseSources
from xover_ros.frame_node import FrameNode
from xover_ros.frame_pipeline import Publish
from xover_ros.map_url import path_of_map_url
from xover_ros.node_settings import MAPPER_CORE_GROUPS, MapperNodeSettings
from xover_ros.pose_inputs import PoseInput
from xover_ros.qos import sensor_input
from xover_ros.scene_naming import answer_name_scene
from xover_ros.scene_queries import answer_describe_scene, told_of_request
from xover_ros.update_gate import GateLimits, UpdateGate

LIVE_PARAMETERS = frozenset({"max_rate_hz", "finish_on_shutdown"})


class Mapper(FrameNode[MapperNodeSettings]):
    """Builds one map file from frames and the poses that somebody else gives."""

    def __init__(self) -> None:
        """Make an unconfigured node."""
        super().__init__("mapper", MapperNodeSettings(), MAPPER_CORE_GROUPS, LIVE_PARAMETERS)
        self._builder: MapBuilder | None = None  # belongs to the worker
        self._written: Path | None = None  # the file that this process has begun
        self._gate = UpdateGate(GateLimits(max_rate_hz=self._settings.max_rate_hz))
        self._num_keyframes = 0
        self._has_unfinished = False
        group = ReentrantCallbackGroup()
        self.create_service(SaveMap, "save_map", self._on_save_map, callback_group=group)
        self.create_service(NameScene, "name_scene", self._on_name_scene, callback_group=group)
        self.create_service(DescribeScene, "describe_scene", self._on_describe_scene, callback_group=group)

    # Work.

    def _load(self) -> None:
        path = path_of_map_url(self._settings.map_file)
        is_continued = path.exists() and (self._settings.append or path == self._written)
        frame_id = self._settings.global_frame_id
        self._builder = open_map_builder(path, self._core_settings, append=is_continued, frame_id=frame_id)
        self._written = path
        self._num_keyframes = self._builder.num_keyframes
        self.get_logger().info(f"mapping into {path}, which holds {self._num_keyframes} keyframes")

    def _unload(self) -> None:
        builder, self._builder = self._builder, None
        if builder is None:
            return
        try:
            if self._has_unfinished and self._settings.finish_on_shutdown:
                self.get_logger().info(f"finishing the map ({builder.num_keyframes} keyframes)")
                self._finish(builder)
        except XoverError as error:
            self.get_logger().error(f"the map could not be finished, its keyframes are kept: {error}")
        finally:
            path, is_empty = builder.storage.path, builder.num_keyframes == 0
            builder.storage.close()
        if is_empty:
            path.unlink(missing_ok=True)

    def _process(self, frame: AssembledFrame) -> Publish:
        if self._builder is None or frame.T_world_camera is None:
            raise GeometryError("no pose in the map is known for it.")
        keyframe = self._builder.add(frame.frame, frame.T_world_camera)
        num_keyframes = self._builder.num_keyframes
        self._has_unfinished |= keyframe is not None
        return lambda: self._note_keyframe(keyframe, num_keyframes)

    def _note_keyframe(self, keyframe: Keyframe | None, num_keyframes: int) -> None:
        self._num_keyframes = num_keyframes
        if keyframe is not None:
            self.get_logger().debug(f"keyframe {keyframe.keyframe_id} in scene {keyframe.scene_id}")

    def _finish(self, builder: MapBuilder) -> MapSummary:
        """Make scenes, landmarks and whitening; in the worker."""
        summary = builder.finish()
        self._has_unfinished = False
        self.get_logger().info(
            f"map finished: {summary.num_keyframes} keyframes, {summary.num_landmarks} landmarks,"
            f" {summary.num_scenes} scenes, {summary.size_bytes / 1e6:.1f} MB"
        )
        return summary

    # Inputs.

    def _is_due(self, frame: AssembledFrame) -> bool:
        return self._gate.admits(frame.frame.stamp_ns, None, is_localized=False)

    def _make_sources(self, transforms: TransformBuffer) -> PoseSources:
        settings = self._settings
        topic = self.resolve_topic_name(settings.pose_topic) if settings.pose_topic else ""
        name = topic or f"TF {settings.global_frame_id} -> camera"
        world = CameraPoseSource(
            transforms,
            name=name,
            fixed_frame=settings.global_frame_id,
            pose_stream_body=settings.base_frame_id if topic else None,
        )
        return PoseSources(world=world)

    def _make_pose_input(self, sources: PoseSources, on_pose: Callable[[], None]) -> PoseInput | None:
        if not self._settings.pose_topic or sources.world is None:
            return None
        return PoseInput(
            self,
            self._settings.pose_topic,
            PoseStamped,
            sensor_input(self._settings.image_reliability, 100),
            source=sources.world,
            frame_id=self._settings.global_frame_id,
            problems=self._problems,
            on_pose=on_pose,
        )

    def _begin(self) -> None:
        self._apply_settings()
        self._gate.reset()

    def _end(self) -> None:
        """Nothing was made in `_begin` that would have to go."""

    def _handle_time_jump(self) -> None:
        self._gate.reset()

    def _apply_settings(self) -> None:
        self._gate.limits = GateLimits(max_rate_hz=self._settings.max_rate_hz)

    def _describe_work(self) -> StatusLine:
        message = f"{self._num_keyframes} keyframes in the map"
        values: dict[str, object] = {
            "map_file": self._settings.map_file,
            "keyframes": self._num_keyframes,
            "unfinished": self._has_unfinished,
            "model": self._core_settings.encoder.model,
            "backend": self._core_settings.inference.backend,
        }
        return StatusLine(name="mapping", level=OK if self._num_keyframes else WARN, message=message, values=values)

    # Services.

    async def _on_save_map(self, request: SaveMap.Request, response: SaveMap.Response) -> SaveMap.Response:
        """Finish the map, and copy it if another file is named."""
        response.result = SaveMap.Response.RESULT_NOTHING_TO_SAVE
        if self._pipeline is None or self._num_keyframes == 0:
            response.message = "no map: the mapper is not configured or has stored no keyframe yet; see /diagnostics."
            return response
        try:
            summary = await self._mailbox.awaitable(self._pipeline.submit(lambda: self._save(request.map_url)))
        except (XoverError, OSError) as error:
            response.result, response.message = SaveMap.Response.RESULT_CANNOT_WRITE, str(error)
            return response
        if summary is None:
            response.message = "the mapper was cleaned up before the map could be finished."
            return response
        response.result = SaveMap.Response.RESULT_SUCCESS
        response.message = f"{summary.num_keyframes} keyframes and {summary.num_landmarks} landmarks were saved."
        response.num_keyframes = summary.num_keyframes
        response.num_landmarks = summary.num_landmarks
        response.num_scenes = summary.num_scenes
        return response

    def _save(self, url: str) -> MapSummary | None:
        """Finish the map and copy it to `url`, if one is given; in the worker, so nothing is written meanwhile."""
        if self._builder is None:
            return None
        target = path_of_map_url(url) if url else self._builder.storage.path
        summary = self._finish(self._builder)
        if target.resolve() != self._builder.storage.path.resolve():
            _copy_in_one_step(self._builder.storage.path, target)
        return summary

    async def _on_name_scene(self, request: NameScene.Request, response: NameScene.Response) -> NameScene.Response:
        """Name a scene in the map that is being built."""
        job = None if self._pipeline is None else self._pipeline.submit(lambda: self._name_scene(request))
        return await answer_name_scene(job, self._mailbox, response)

    def _name_scene(self, request: NameScene.Request) -> None:
        if self._builder is not None:
            names = (request.building, request.floor, request.room)
            self._builder.storage.set_scene_name(request.scene_id, *names)

    async def _on_describe_scene(
        self, request: DescribeScene.Request, response: DescribeScene.Response
    ) -> DescribeScene.Response:
        """Add a text or a floorplan to a scene of the map that is being built."""
        job = None if self._pipeline is None else self._pipeline.submit(lambda: self._describe_scene(request))
        return await answer_describe_scene(job, self._mailbox, response)

    def _describe_scene(self, request: DescribeScene.Request) -> bool:
        if self._builder is None:
            raise MapFormatError("no map: the mapper was cleaned up.")
        builder = self._builder
        return tell_scene(builder.storage, builder.scene_encoder, told_of_request(request), replace=request.replace)


def _copy_in_one_step(source: Path, target: Path) -> None:
    """Copy a file so that `target` is never seen half written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)
