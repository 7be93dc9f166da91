# SPDX-License-Identifier: Apache-2.0
"""Questions and tales about scenes as messages."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image, PointCloud2
from xover_msgs.srv import DescribeScene, QueryScene
from xover_ros.scene_queries import frame_of_query_image, query_of_request, told_of_request
from xover_ros.sensor_conversions import color_message

from xover_core.errors import SensorDataError
from xover_core.types import SceneModality

WIDTH, HEIGHT = 64, 48
RGB = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def _picture() -> Image:
    return color_message(RGB, 5, "phone")


def test_a_picture_of_unknown_camera_gets_a_plausible_one() -> None:
    frame = frame_of_query_image(_picture())
    assert 0.5 * WIDTH < frame.intrinsics.fx < 1.5 * WIDTH
    assert frame.stamp_ns == 5


def test_what_is_filled_in_is_asked() -> None:
    query = query_of_request(QueryScene.Request(text="a kitchen"))
    assert query.modalities == (SceneModality.TEXT,)
    request = QueryScene.Request(image=_picture(), floorplan=_picture(), pixels_per_m=25.0)
    query = query_of_request(request)
    assert query.modalities == (SceneModality.IMAGE, SceneModality.FLOORPLAN)
    assert query.frame is not None
    np.testing.assert_array_equal(query.frame.rgb, RGB)
    np.testing.assert_array_equal(query.floorplan, RGB)
    assert query.pixels_per_m == 25.0
    assert query_of_request(QueryScene.Request(floorplan=_picture())).pixels_per_m is None


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(SensorDataError, match="got none"):
        query_of_request(QueryScene.Request())
    with pytest.raises(SensorDataError, match="got none"):
        query_of_request(QueryScene.Request(text="  \n"))
    broken = _picture()
    broken.encoding = "hsv77"
    with pytest.raises(SensorDataError, match="hsv77"):
        query_of_request(QueryScene.Request(floorplan=broken))
    with pytest.raises(SensorDataError, match="point cloud"):
        query_of_request(QueryScene.Request(point_cloud=PointCloud2(data=[1, 2, 3])))


def test_what_is_told_of_a_scene() -> None:
    request = DescribeScene.Request(scene_id=3, text="a red sofa", floorplan=_picture(), pixels_per_m=20.0)
    text, plan = told_of_request(request)
    assert (text.scene_id, text.text) == (3, "a red sofa")
    np.testing.assert_array_equal(plan.image, RGB)
    assert plan.pixels_per_m == 20.0
    for nothing in (DescribeScene.Request(scene_id=3), DescribeScene.Request(scene_id=3, text=" ")):
        with pytest.raises(SensorDataError, match="expected"):
            told_of_request(nothing)
