# SPDX-License-Identifier: Apache-2.0
"""The services of the localizer. Each hands its work to the worker and awaits it; none of them blocks the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import rclpy.task
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Empty, Trigger
from xover_msgs.srv import DescribeScene, LoadMap, LocalizeImage, NameScene, QueryScene

from xover_core.errors import MapFormatError, ModelError, SensorDataError, XoverError
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.landmark_map.scene_describer import tell_scene
from xover_core.localization.localizer import Localizer as CoreLocalizer
from xover_core.types import LocalizationResult, LocalizationState, Scene
from xover_ros.image_queries import frame_of_localize_image
from xover_ros.mailbox import Mailbox
from xover_ros.map_url import path_of_map_url
from xover_ros.message_conversions import stamp_to_ns
from xover_ros.result_messages import (
    camera_frames,
    hypotheses_of_result,
    scenes_message,
    state_of_result,
)
from xover_ros.scene_naming import answer_name_scene
from xover_ros.scene_queries import answer_describe_scene, query_of_request, rank_scenes, told_of_request

if TYPE_CHECKING:
    from xover_ros.localizer import Localizer

TRIGGER_TIMEOUT_S = 5.0
_NOWHERE = np.zeros(3)  # of a scene of which only the name matters
_NOT_CONFIGURED = "no map: the localizer is not configured."

ResultT = TypeVar("ResultT")


class LocalizerServices:
    """Makes the services when the node is made; those that need a map say so while there is none."""

    def __init__(self, node: Localizer, mailbox: Mailbox) -> None:
        """Make the services."""
        self._node = node
        self._mailbox = mailbox
        self._waiting: list[rclpy.task.Future] = []
        group = ReentrantCallbackGroup()
        for service_type, name, callback in (
            (Empty, "reinitialize_global_localization", self._on_reinitialize),
            (Empty, "request_nomotion_update", self._on_nomotion_update),
            (Trigger, "trigger_localization", self._on_trigger),
            (LoadMap, "load_map", self._on_load_map),
            (LocalizeImage, "localize_image", self._on_localize_image),
            (QueryScene, "query_scene", self._on_query_scene),
            (NameScene, "name_scene", self._on_name_scene),
            (DescribeScene, "describe_scene", self._on_describe_scene),
        ):
            node.create_service(service_type, name, callback, callback_group=group)

    def answer_waiting(self, result: LocalizationResult) -> None:
        """Tell everybody who waits for the next answer."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(result)

    def _on_reinitialize(self, request: Empty.Request, response: Empty.Response) -> Empty.Response:  # noqa: ARG002
        """Forget where the robot is."""
        self._node.forget_belief("a new start was asked for.")
        return response

    def _on_nomotion_update(self, request: Empty.Request, response: Empty.Response) -> Empty.Response:  # noqa: ARG002
        """Process the next frame even if the robot has not moved."""
        self._node.force_update()
        return response

    async def _on_trigger(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        """Process the next frame and say what came out."""
        if not self._node.is_active:
            response.message = "the localizer is not active."
            return response
        result = await self._next_result()
        if result is None:
            response.message = f"no frame could be processed within {TRIGGER_TIMEOUT_S:.0f} s; see /diagnostics."
            return response
        response.success = result.state is LocalizationState.LOCALIZED
        response.message = f"{result.state.name}: {result.reason}"
        return response

    def _next_result(self) -> Awaitable[LocalizationResult | None]:
        """The answer to the next frame; None when none is processed for `TRIGGER_TIMEOUT_S`."""
        future = rclpy.task.Future(executor=self._node.executor)
        self._waiting.append(future)
        self._node.force_update()

        def give_up() -> None:
            self._node.destroy_timer(timer)
            if not future.done():
                self._waiting.remove(future)
                future.set_result(None)

        timer = self._node.create_timer(TRIGGER_TIMEOUT_S, give_up, clock=Clock(clock_type=ClockType.STEADY_TIME))
        return future

    async def _on_load_map(self, request: LoadMap.Request, response: LoadMap.Response) -> LoadMap.Response:
        """Replace the map."""
        codes = LoadMap.Response
        response.result = codes.RESULT_UNDEFINED_FAILURE
        try:
            path = path_of_map_url(request.map_url)
            landmark_map = await self._in_worker(lambda: self._node.load_core(path).landmark_map)
        except ModelError as error:
            response.result, response.message = codes.RESULT_INVALID_MAP_METADATA, str(error)
        except MapFormatError as error:
            is_missing = not request.map_url or not _exists(request.map_url)
            response.result = codes.RESULT_MAP_DOES_NOT_EXIST if is_missing else codes.RESULT_INVALID_MAP_DATA
            response.message = str(error)
        except XoverError as error:
            response.message = str(error)
        else:
            self._node.use_map(landmark_map)
            response.result = codes.RESULT_SUCCESS
            response.message = f"map {landmark_map.header.map_id} with {len(landmark_map.keyframes)} keyframes."
        return response

    async def _on_localize_image(
        self, request: LocalizeImage.Request, response: LocalizeImage.Response
    ) -> LocalizeImage.Response:
        """Localize one picture without touching the belief."""
        codes = LocalizeImage.Response
        response.result = codes.RESULT_NO_MAP
        depth_scale = self._node.settings.depth_scale
        try:
            result = await self._in_worker(
                lambda: self._node.core.localize_image(frame_of_localize_image(request, depth_scale=depth_scale))
            )
        except SensorDataError as error:
            response.result, response.message = codes.RESULT_INVALID_REQUEST, str(error)
            return response
        except XoverError as error:
            response.message = str(error)
            return response
        frames = camera_frames(self._node.settings.global_frame_id, request.image.header.frame_id)
        scenes = self._node.with_new_names(result.scenes)
        response.result, response.message = codes.RESULT_SUCCESS, f"{result.state.name}: {result.reason}"
        response.state = state_of_result(result, frames.map_frame)
        response.hypotheses = hypotheses_of_result(result, frames)
        response.scenes = scenes_message(scenes, result.stamp_ns, frames.map_frame)
        return response

    async def _on_query_scene(self, request: QueryScene.Request, response: QueryScene.Response) -> QueryScene.Response:
        """Rank the scenes for whatever is filled in."""
        codes = QueryScene.Response
        response.result = codes.RESULT_NO_MAP
        try:
            found = await self._in_worker(lambda: rank_scenes(self._node.core, query_of_request(request)))
        except SensorDataError as error:
            response.result, response.message = codes.RESULT_INVALID_REQUEST, str(error)
            return response
        except ModelError as error:
            response.result, response.message = codes.RESULT_NOT_AVAILABLE, str(error)
            return response
        except XoverError as error:
            response.message = str(error)
            return response
        scenes = self._node.with_new_names(found)
        stamp_ns = stamp_to_ns(request.image.header.stamp)
        response.result, response.message = codes.RESULT_SUCCESS, f"{len(scenes)} scenes are ranked."
        response.scenes = scenes_message(scenes, stamp_ns, self._node.settings.global_frame_id)
        return response

    async def _on_name_scene(self, request: NameScene.Request, response: NameScene.Response) -> NameScene.Response:
        """Name a scene in the map file."""
        pipeline, path = self._node.pipeline, self._node.map_path
        job = None if pipeline is None else pipeline.submit(lambda: _name_scene(path, request))
        response = await answer_name_scene(job, self._mailbox, response)
        if response.result == NameScene.Response.RESULT_SUCCESS:
            names = {"building": request.building, "floor": request.floor, "room": request.room}
            self._node.rename_scene(Scene(scene_id=request.scene_id, center_map=_NOWHERE, **names))
        return response

    async def _on_describe_scene(
        self, request: DescribeScene.Request, response: DescribeScene.Response
    ) -> DescribeScene.Response:
        """Add a text or a floorplan to a scene of the map file, and search in it from now on."""
        pipeline, path = self._node.pipeline, self._node.map_path
        job = None if pipeline is None else pipeline.submit(lambda: _describe_scene(self._node.core, path, request))
        return await answer_describe_scene(job, self._mailbox, response)

    def _in_worker(self, job: Callable[[], ResultT]) -> Awaitable[ResultT]:
        """Have the worker do a job.

        Raises:
            MapFormatError: the node is not configured.
        """
        if self._node.pipeline is None:
            raise MapFormatError(_NOT_CONFIGURED)
        return self._mailbox.awaitable(self._node.pipeline.submit(job))


def _name_scene(path: Path, request: NameScene.Request) -> None:
    """Write the names of a scene to the map file."""
    with MapStorage.open(path, read_only=False) as storage:
        storage.set_scene_name(request.scene_id, request.building, request.floor, request.room)


def _describe_scene(core: CoreLocalizer, path: Path, request: DescribeScene.Request) -> bool:
    """Write to the map file what is told of a scene; returns whether the scene is found by it from now on."""
    told = told_of_request(request)
    encoder = core.scene_encoder()
    with MapStorage.open(path, read_only=False) as storage:
        is_embedded = tell_scene(storage, encoder, told, replace=request.replace)
        embeddings = storage.scenes.read_embeddings()
    if encoder is not None and is_embedded:
        core.use_embeddings(embeddings, encoder)
    return is_embedded


def _exists(url: str) -> bool:
    try:
        return path_of_map_url(url).exists()
    except MapFormatError:
        return False
