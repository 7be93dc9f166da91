# SPDX-License-Identifier: Apache-2.0
"""The nodes with a scene encoder: a map is described while it is made, scenes are told, asked for, and published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Recordings, play
from drive import Drive
from fake_scene_node import MODEL
from node_process import NodeProcess
from probe import Probe
from sensor_msgs.msg import Image, PointCloud2
from xover_msgs.msg import SceneMatchArray
from xover_msgs.srv import DescribeScene, QueryScene
from xover_ros.map_messages import landmark_cloud
from xover_ros.sensor_conversions import color_message

from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.types import SceneModality

NS = "/scenes"
SCRIPT = Path(__file__).with_name("fake_scene_node.py")
WITH_MODEL = {"scene_encoder.model": MODEL, "max_rate_hz": 0.0, "image_reliability": "reliable"}
PURPLE = np.full((30, 40, 3), (140, 30, 160), np.uint8)


def _load(path: Path) -> LandmarkMap:
    with MapStorage.open(path) as storage:
        return storage.load()


def _plan() -> Image:
    return color_message(PURPLE, 0, "paper")


@pytest.fixture(scope="module")
def described_map(recordings: Recordings, probe: Probe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map made by a mapper with a scene encoder; its first scene was told by service while it was made."""
    folder = tmp_path_factory.mktemp("described")
    path = folder / "apartment.xover"
    with NodeProcess("mapper_node", folder / "log", {"map_file": path, **WITH_MODEL}, script=SCRIPT) as mapper:
        play(recordings.map_bag, folder)
        scene_id = _load(path).scenes[0].scene_id
        request = DescribeScene.Request(scene_id=scene_id, text="a purple piano")
        answer = probe.call(DescribeScene, "/describe_scene", request)
        assert answer.result == DescribeScene.Response.RESULT_SUCCESS, answer.message
        assert answer.message == "the scene was described."
        unknown = probe.call(DescribeScene, "/describe_scene", DescribeScene.Request(scene_id=4711, text="a sofa"))
        assert unknown.result == DescribeScene.Response.RESULT_UNKNOWN_SCENE
        assert mapper.stop() == 0, mapper.log
    return path


@pytest.fixture(scope="module")
def drive(recordings: Recordings, probe: Probe) -> Drive:
    return Drive(probe, recordings, NS)


@pytest.fixture(scope="module")
def localizer(drive: Drive, described_map: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    parameters = {"map_file": described_map, "update_min_d": 0.0, "update_min_a": 0.0, **WITH_MODEL}
    log = tmp_path_factory.mktemp("localizer") / "log"
    with NodeProcess(
        "localizer_node", log, parameters, namespace=NS, remaps=drive.camera.remaps, script=SCRIPT
    ) as node:
        node.wait_for_log("revision")
        drive.wait_for_listener()
        yield node
        assert node.stop() == 0, node.log
        assert "Traceback" not in node.log


def ask(probe: Probe, **filled: object) -> QueryScene.Response:
    return probe.call(QueryScene, f"{NS}/query_scene", QueryScene.Request(**filled))


def test_the_mapper_describes_what_it_maps(described_map: Path) -> None:
    content = _load(described_map)
    assert content.header.scene_model is not None
    assert content.header.scene_model.name == MODEL
    seen = (SceneModality.IMAGE, SceneModality.POINT_CLOUD)
    expected = {(scene.scene_id, modality) for scene in content.scenes for modality in seen}
    expected.add((content.scenes[0].scene_id, SceneModality.TEXT))
    assert {(e.scene_id, e.modality) for e in content.scene_embeddings} == expected


def test_scenes_are_published_with_what_spoke(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    messages = probe.collect(SceneMatchArray, f"{NS}/scene")
    probe.spin(0.5)
    for _ in range(3):
        drive.step()
    probe.wait_until(lambda: messages, "scenes")
    scenes = messages[-1].scenes
    assert scenes
    assert {scene.modality for scene in scenes} <= {"image", "point_cloud", "text"}
    assert 0 < sum(scene.probability for scene in scenes) <= 1


def test_a_text_is_answered(localizer: NodeProcess, described_map: Path, probe: Probe) -> None:
    answer = ask(probe, text="the purple piano")
    assert answer.result == QueryScene.Response.RESULT_SUCCESS, answer.message
    best = answer.scenes.scenes[0]
    assert (best.scene_id, best.modality) == (_load(described_map).scenes[0].scene_id, "text")
    assert -1 <= best.similarity <= 1


def test_pictures_floorplans_and_clouds_are_answered(
    localizer: NodeProcess, described_map: Path, drive: Drive, probe: Probe
) -> None:
    picture = color_message(drive.item.frame.rgb, 0, "phone")
    cloud = landmark_cloud(_load(described_map).landmarks, 0, "map")
    for filled in (
        {"image": picture},
        {"floorplan": _plan()},
        {"point_cloud": cloud},
        {"text": "a room", "image": picture, "floorplan": _plan(), "pixels_per_m": 20.0},
    ):
        answer = ask(probe, **filled)
        assert answer.result == QueryScene.Response.RESULT_SUCCESS, answer.message
        assert answer.scenes.scenes


def test_what_cannot_be_read_is_refused(localizer: NodeProcess, probe: Probe) -> None:
    for filled in ({}, {"text": "?!"}, {"point_cloud": PointCloud2(data=[1, 2])}):
        answer = ask(probe, **filled)
        assert answer.result == QueryScene.Response.RESULT_INVALID_REQUEST
        assert answer.message


def test_what_is_told_is_found_at_once(localizer: NodeProcess, described_map: Path, probe: Probe) -> None:
    last = _load(described_map).scenes[-1].scene_id
    request = DescribeScene.Request(scene_id=last, text="yellow bananas", floorplan=_plan(), pixels_per_m=20.0)
    answer = probe.call(DescribeScene, f"{NS}/describe_scene", request)
    assert answer.result == DescribeScene.Response.RESULT_SUCCESS, answer.message
    for filled, modality in (({"text": "yellow bananas"}, "text"), ({"floorplan": _plan()}, "floorplan")):
        best = ask(probe, **filled).scenes.scenes[0]
        assert (best.scene_id, best.modality) == (last, modality)
    stored = {(e.scene_id, e.modality) for e in _load(described_map).scene_embeddings}
    assert {(last, SceneModality.TEXT), (last, SceneModality.FLOORPLAN)} <= stored


def test_tales_that_say_nothing_are_refused(localizer: NodeProcess, probe: Probe) -> None:
    codes = DescribeScene.Response
    for request, code in (
        (DescribeScene.Request(scene_id=1), codes.RESULT_INVALID_REQUEST),
        (DescribeScene.Request(scene_id=1, text="?!"), codes.RESULT_INVALID_REQUEST),
        (DescribeScene.Request(scene_id=4711, text="a sofa"), codes.RESULT_UNKNOWN_SCENE),
    ):
        answer = probe.call(DescribeScene, f"{NS}/describe_scene", request)
        assert answer.result == code, answer.message
        assert answer.message
