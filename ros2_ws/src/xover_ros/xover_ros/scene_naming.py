# SPDX-License-Identifier: Apache-2.0
"""The answer of the service `name_scene`, which both nodes offer."""

from __future__ import annotations

from concurrent.futures import Future

from xover_msgs.srv import NameScene

from xover_core.errors import MapFormatError, XoverError
from xover_ros.mailbox import Mailbox


async def answer_name_scene(
    job: Future[None] | None, mailbox: Mailbox, response: NameScene.Response
) -> NameScene.Response:
    """Wait for the job that names a scene and say how it went.

    Args:
        job: None when the node is not configured.
        mailbox: of the node.
        response: to fill.
    """
    if job is None:
        response.result = NameScene.Response.RESULT_NO_MAP
        response.message = "no map: the node is not configured."
        return response
    try:
        await mailbox.awaitable(job)
    except MapFormatError as error:
        is_unknown = "no scene" in str(error)
        codes = NameScene.Response
        response.result = codes.RESULT_UNKNOWN_SCENE if is_unknown else codes.RESULT_CANNOT_WRITE
        response.message = str(error)
    except XoverError as error:
        response.result, response.message = NameScene.Response.RESULT_UNDEFINED_FAILURE, str(error)
    else:
        response.result, response.message = NameScene.Response.RESULT_SUCCESS, "the scene was named."
    return response
