# SPDX-License-Identifier: Apache-2.0
"""The mapper node: a bag in, a map file out, whatever happens on the way."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_stub import CameraStub
from conftest import NUM_MAP_FRAMES, Recordings, play
from node_process import NodeProcess
from probe import Probe
from std_msgs.msg import Header
from xover_msgs.srv import NameScene, SaveMap

from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.map_storage import MapStorage

EVERY_FRAME = {"max_rate_hz": 0.0, "image_reliability": "reliable"}


def _load(path: Path) -> LandmarkMap:
    with MapStorage.open(path) as storage:
        return storage.load()


@pytest.fixture(scope="module")
def fed_mapper(
    recordings: Recordings, probe: Probe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NodeProcess, Path]]:
    """A mapper that has heard the whole recording and goes on to listen."""
    folder = tmp_path_factory.mktemp("fed")
    path = folder / "apartment.xover"
    with NodeProcess("mapper_node", folder / "mapper.log", {"map_file": path, **EVERY_FRAME}) as mapper:
        play(recordings.map_bag, folder)
        yield mapper, path


def test_the_map_is_finished_when_the_mapper_ends(map_file: Path) -> None:
    landmark_map = _load(map_file)
    assert len(landmark_map.keyframes) > NUM_MAP_FRAMES // 8
    assert len(landmark_map.landmarks) > 0
    assert landmark_map.header.frame_id == "map"
    assert [p.name for p in map_file.parent.glob("apartment*")] == ["apartment.xover"], "nothing else is left behind"


def test_every_frame_is_processed_in_lock_step(fed_mapper: tuple[NodeProcess, Path], probe: Probe) -> None:
    values = probe.values("mapper: frames")
    assert values == {"frames processed": str(NUM_MAP_FRAMES)}, fed_mapper[0].log


def test_saving_finishes_the_map_and_copies_it(
    fed_mapper: tuple[NodeProcess, Path], probe: Probe, tmp_path: Path
) -> None:
    target = tmp_path / "maps" / "copy.xover"
    answer = probe.call(SaveMap, "/save_map", SaveMap.Request(map_url=f"file://{target}"), timeout_s=60.0)
    assert answer.result == SaveMap.Response.RESULT_SUCCESS, answer.message
    landmark_map = _load(target)
    assert (len(landmark_map.keyframes), len(landmark_map.landmarks)) == (answer.num_keyframes, answer.num_landmarks)
    assert _load(fed_mapper[1]).header.revision == landmark_map.header.revision


def test_saving_where_nothing_can_be_written_says_so(fed_mapper: tuple[NodeProcess, Path], probe: Probe) -> None:
    answer = probe.call(SaveMap, "/save_map", SaveMap.Request(map_url="http://somewhere/a.xover"))
    assert answer.result == SaveMap.Response.RESULT_CANNOT_WRITE
    assert "file:///" in answer.message


def test_scenes_can_be_named_while_mapping(fed_mapper: tuple[NodeProcess, Path], probe: Probe) -> None:
    scene_id = _load(fed_mapper[1]).scenes[0].scene_id
    request = NameScene.Request(scene_id=scene_id, floor="1", room="kitchen")
    assert probe.call(NameScene, "/name_scene", request).result == NameScene.Response.RESULT_SUCCESS
    assert _load(fed_mapper[1]).scenes[0].name == "1/kitchen"
    answer = probe.call(NameScene, "/name_scene", NameScene.Request(scene_id=4711, room="nowhere"))
    assert answer.result == NameScene.Response.RESULT_UNKNOWN_SCENE
    assert "4711" in answer.message


def test_a_pose_in_another_frame_is_reported_by_name(
    recordings: Recordings, fed_mapper: tuple[NodeProcess, Path], probe: Probe
) -> None:
    from geometry_msgs.msg import PoseStamped

    publisher = probe.node.create_publisher(PoseStamped, "/ground_truth/pose", 10)
    probe.wait_until(publisher.get_subscription_count, "the mapper listens")
    publisher.publish(PoseStamped(header=Header(frame_id="world")))
    fed_mapper[0].wait_for_log("/ground_truth/pose: expected poses in frame 'map', got frame 'world'")
    assert probe.values("mapper: frames")["unusable pose"] == "1"


def test_lifecycle_round_trip_goes_on_with_the_map(fed_mapper: tuple[NodeProcess, Path], probe: Probe) -> None:
    num_keyframes = len(_load(fed_mapper[1]).keyframes)
    for transition, state in (
        ("deactivate", "inactive"),
        ("cleanup", "unconfigured"),
        ("configure", "inactive"),
        ("activate", "active"),
    ):
        assert probe.change_state("/mapper", transition), fed_mapper[0].log
        assert probe.state_of("/mapper") == state
    assert probe.values("mapper: mapping")["keyframes"] == str(num_keyframes)


def test_a_kill_in_the_middle_leaves_a_valid_map(recordings: Recordings, tmp_path: Path) -> None:
    path = tmp_path / "killed.xover"
    with NodeProcess("mapper_node", tmp_path / "mapper.log", {"map_file": path, **EVERY_FRAME}) as mapper:
        bag = {"bag": recordings.map_bag, "mode": "lock_step", "wait_for_nodes_s": 10.0}
        # on a busy machine a node takes longer to start than the player waits for it
        mapper.wait_for_log("mapping into")
        with NodeProcess("bag_player", tmp_path / "player.log", bag):
            deadline = time.monotonic() + 60.0
            while not path.exists() or len(_load(path).keyframes) < 3:
                assert time.monotonic() < deadline, mapper.log
                time.sleep(0.05)
            mapper.send(signal.SIGKILL)
            mapper.wait()
    num_keyframes = len(_load(path).keyframes)
    assert num_keyframes >= 3
    parameters = {"map_file": path, "append": True}
    with NodeProcess("mapper_node", tmp_path / "again.log", parameters) as mapper:
        mapper.wait_for_log(f"which holds {num_keyframes} keyframes")
        assert mapper.stop() == 0
    assert "Traceback" not in mapper.log


def test_an_existing_map_is_not_overwritten(map_file: Path, probe: Probe, tmp_path: Path) -> None:
    before = map_file.read_bytes()
    with NodeProcess("mapper_node", tmp_path / "log", {"map_file": map_file}, name="careful") as mapper:
        mapper.wait_for_log("cannot configure")
        assert probe.state_of("/careful") == "unconfigured"
        status = probe.status("careful: lifecycle")
        assert str(map_file) in status.message
        assert mapper.stop() == 0
    assert "Traceback" not in mapper.log
    assert map_file.read_bytes() == before


def test_without_frames_nothing_is_left_behind(probe: Probe, tmp_path: Path) -> None:
    path = tmp_path / "empty.xover"
    with NodeProcess("mapper_node", tmp_path / "log", {"map_file": path}, namespace="/idle") as mapper:
        mapper.wait_for_log("mapping into")
        request = SaveMap.Request()
        answer = probe.call(SaveMap, "/idle/save_map", request)
        assert answer.result == SaveMap.Response.RESULT_NOTHING_TO_SAVE
        assert mapper.stop(signal.SIGTERM) == 0
    assert not path.exists()


def test_frames_without_a_pose_are_dropped_with_the_reason(
    recordings: Recordings, probe: Probe, tmp_path: Path
) -> None:
    camera = CameraStub(probe, "/lost")
    parameters = {"map_file": tmp_path / "a.xover", "wait_for_transform": 0.1, **EVERY_FRAME}
    with NodeProcess("mapper_node", tmp_path / "log", parameters, name="lost", remaps=camera.remaps) as mapper:
        mapper.wait_for_log("mapping into")
        camera.send_extrinsics()
        probe.wait_until(lambda: camera.num_listeners, "the mapper listens")
        for i in range(3):
            camera.send_images(recordings.query[0], (i + 1) * 10**9)
        mapper.wait_for_log("/lost/pose: no pose has arrived yet")
        probe.wait_until(lambda: probe.values("lost: frames").get("no pose") == "3", "all are counted")
