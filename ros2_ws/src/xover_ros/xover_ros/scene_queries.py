# SPDX-License-Identifier: Apache-2.0
"""Questions and tales about scenes that come by service: requests -> what the core understands, and answers."""

from __future__ import annotations

from concurrent.futures import Future

from sensor_msgs.msg import Image
from xover_msgs.srv import DescribeScene, QueryScene

from xover_core.errors import MapFormatError, SensorDataError, XoverError
from xover_core.landmark_map.scene_data import SceneSource, floorplan_source, text_source
from xover_core.localization.localizer import Localizer
from xover_core.localization.scene_finder import SceneQuery, frame_of_picture
from xover_core.sensors.image_decoding import decode_color
from xover_core.types import RgbdFrame, SceneMatch, SceneModality
from xover_ros.mailbox import Mailbox
from xover_ros.point_clouds import colored_points
from xover_ros.sensor_conversions import raw_image


def query_of_request(request: QueryScene.Request) -> SceneQuery:
    """What a request of `query_scene` asks.

    Raises:
        SensorDataError: nothing is filled in, or something that cannot be read.
    """
    query = SceneQuery(
        text=request.text,
        frame=frame_of_query_image(request.image) if request.image.data else None,
        floorplan=decode_color(raw_image(request.floorplan)) if request.floorplan.data else None,
        pixels_per_m=request.pixels_per_m or None,
        cloud=colored_points(request.point_cloud) if request.point_cloud.data else None,
    )
    if not query.modalities:
        raise SensorDataError("query: expected a text, image, floorplan or point cloud, got none; fill in one of them.")
    return query


def frame_of_query_image(message: Image) -> RgbdFrame:
    """The frame of a picture of which nothing else is known.

    Raises:
        SensorDataError: an encoding that cannot be read.
    """
    image = raw_image(message)
    return frame_of_picture(decode_color(image), image.stamp_ns)


def rank_scenes(core: Localizer, query: SceneQuery) -> tuple[SceneMatch, ...]:
    """The scenes of the map that fit a query, best first.

    A picture alone is looked at with everything that the localizer has, keyframes and poses included.

    Raises:
        SensorDataError: the text has no word.
        ModelError: this map or model does not know the modality.
    """
    if query.frame is not None and query.modalities == (SceneModality.IMAGE,):
        return core.localize_image(query.frame).scenes
    return tuple(core.find_scenes(query))


def told_of_request(request: DescribeScene.Request) -> list[SceneSource]:
    """What a request of `describe_scene` tells.

    Raises:
        SensorDataError: nothing is filled in, or something that cannot be read.
    """
    told = []
    if request.text:
        told.append(text_source(request.scene_id, request.text))
    if request.floorplan.data:
        image = decode_color(raw_image(request.floorplan))
        told.append(floorplan_source(request.scene_id, image, request.pixels_per_m or None))
    if not told:
        raise SensorDataError("description: expected a text or a floorplan, got neither; fill in one of them.")
    return told


async def answer_describe_scene(
    job: Future[bool] | None, mailbox: Mailbox, response: DescribeScene.Response
) -> DescribeScene.Response:
    """Wait for the job that describes a scene and say how it went.

    Args:
        job: returns whether the description can be searched for; None when the node is not configured.
        mailbox: of the node.
        response: to fill.
    """
    codes = DescribeScene.Response
    if job is None:
        response.result, response.message = codes.RESULT_NO_MAP, "no map: the node is not configured."
        return response
    try:
        is_embedded = await mailbox.awaitable(job)
    except SensorDataError as error:
        response.result, response.message = codes.RESULT_INVALID_REQUEST, str(error)
    except MapFormatError as error:
        is_unknown = "no scene" in str(error)
        response.result = codes.RESULT_UNKNOWN_SCENE if is_unknown else codes.RESULT_CANNOT_WRITE
        response.message = str(error)
    except XoverError as error:
        response.result, response.message = codes.RESULT_UNDEFINED_FAILURE, str(error)
    else:
        response.result, response.message = codes.RESULT_SUCCESS, "the scene was described."
        if not is_embedded:
            response.message += " It is not found by that yet: the map needs a scene encoder (scene_encoder.model)."
    return response
