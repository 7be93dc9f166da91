# SPDX-License-Identifier: Apache-2.0
"""The localizer node fed frame by frame: bad input, time, hints, services, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from camera_stub import COLOR, OPTICAL
from conftest import Recordings
from drive import STEP_NS, Drive
from geometry_msgs.msg import PoseWithCovarianceStamped
from node_process import NodeProcess
from probe import Probe
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Empty, Trigger
from visualization_msgs.msg import MarkerArray
from xover_msgs.msg import LocalizationState
from xover_msgs.srv import LoadMap, LocalizeImage, NameScene, QueryScene
from xover_ros.message_conversions import pose_matrix, pose_message, stamp_to_ns
from xover_ros.sensor_conversions import color_message

from xover_core.datasets.bag_frames import forward_camera
from xover_core.geometry.transforms import invert, pose_error
from xover_core.landmark_map.map_storage import MapStorage

NS = "/live"
NODE = f"{NS}/localizer"
FRAMES = "live/localizer: frames"
EVERY_FRAME = {"max_rate_hz": 0.0, "update_min_d": 0.0, "update_min_a": 0.0, "image_reliability": "reliable"}
MAX_DISTANCE_M, MAX_ANGLE_RAD = 0.25, np.radians(5)  # see test_replay.py


@pytest.fixture(scope="module")
def drive(recordings: Recordings, probe: Probe) -> Drive:
    """The robot."""
    return Drive(probe, recordings, NS)


@pytest.fixture(scope="module")
def own_map(map_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the map, which tests may change."""
    path = tmp_path_factory.mktemp("own") / "own.xover"
    path.write_bytes(map_file.read_bytes())
    return path


@pytest.fixture(scope="module")
def localizer(drive: Drive, own_map: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A localizer that listens to the robot."""
    parameters = {"map_file": own_map, "wait_for_transform": 0.3, **EVERY_FRAME}
    log = tmp_path_factory.mktemp("localizer") / "log"
    with NodeProcess("localizer_node", log, parameters, namespace=NS, remaps=drive.camera.remaps) as node:
        node.wait_for_log("revision")
        drive.wait_for_listener()
        yield node
        assert node.stop() == 0, node.log
        assert "Traceback" not in node.log


@pytest.fixture
def localized(localizer: NodeProcess, drive: Drive) -> Drive:
    """The robot, after the localizer has found out where it is."""
    drive.localize()
    return drive


# Bad input: one clear line with the topic and the reason, counted, and the node goes on.


def test_an_unknown_encoding(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    item, stamp_ns = drive.item, drive.stamp_ns
    message = color_message(item.frame.rgb, stamp_ns, OPTICAL)
    message.encoding = "hsv77"
    drive.camera.send_odometry(item, stamp_ns)
    drive.camera.send_info(item.frame.intrinsics, stamp_ns)
    drive.camera.send_depth(item.frame.depth, stamp_ns)
    drive.camera.send_color(message)
    drive.wait_until_done()
    drive.advance()
    localizer.wait_for_log(f"{NS}{COLOR}: colour image: encoding 'hsv77' cannot be used as colour; accepted are rgb8")
    assert probe.values(FRAMES)["unusable colour image"] == "1"


def test_an_image_of_another_size_than_its_camera_info(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    item, stamp_ns = drive.item, drive.stamp_ns
    drive.camera.send_odometry(item, stamp_ns)
    drive.camera.send_info(item.frame.intrinsics, stamp_ns)
    drive.camera.send_depth(item.frame.depth, stamp_ns)
    drive.camera.send_color(color_message(item.frame.rgb[::2, ::2].copy(), stamp_ns, OPTICAL))
    drive.wait_until_done()
    drive.advance()
    localizer.wait_for_log("its size is 160x120, but its camera info says 320x240")
    assert probe.values(FRAMES)["unusable colour image"] == "2"


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_depth_without_a_reading(localizer: NodeProcess, drive: Drive, probe: Probe, value: float) -> None:
    before = int(probe.values(FRAMES).get("empty depth image", 0))
    item, stamp_ns = drive.item, drive.stamp_ns
    drive.camera.send_odometry(item, stamp_ns)
    drive.camera.send_info(item.frame.intrinsics, stamp_ns)
    drive.camera.send_color(color_message(item.frame.rgb, stamp_ns, OPTICAL))
    drive.camera.send_depth(np.full_like(item.frame.depth, value), stamp_ns)
    drive.wait_until_done()
    drive.advance()
    localizer.wait_for_log("no pixel has a valid reading")
    assert probe.values(FRAMES)["empty depth image"] == str(before + 1)


def test_an_uncalibrated_camera(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    item = drive.item
    drive.camera.send_images(item, drive.stamp_ns)
    drive.camera.send_odometry(item, drive.stamp_ns)
    drive.wait_until_done()
    info = CameraInfo(width=320, height=240, header=Header(frame_id=OPTICAL))
    answer = probe.call(
        LocalizeImage, f"{NS}/localize_image", LocalizeImage.Request(image=_color(drive), camera_info=info)
    )
    drive.advance()
    assert answer.result == LocalizeImage.Response.RESULT_INVALID_REQUEST
    assert "not calibrated" in answer.message


def test_odometry_in_another_frame(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    drive.camera.send_odometry(drive.item, drive.stamp_ns, frame_id="wheel_odom")
    localizer.wait_for_log(f"{NS}/odom: expected poses in frame 'odom', got frame 'wheel_odom'")
    assert probe.values(FRAMES)["unusable pose"] == "1"


def test_a_frame_without_odometry_is_dropped_in_the_end(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    drive.camera.send_images(drive.item, drive.stamp_ns)
    drive.wait_until_done()
    drive.advance()
    localizer.wait_for_log(f"frame dropped: {NS}/odom: asked for")
    assert probe.values(FRAMES)["no odometry"] == "1"


def test_late_odometry_is_waited_for(localizer: NodeProcess, drive: Drive, probe: Probe) -> None:
    drive.camera.send_images(drive.item, drive.stamp_ns)
    probe.spin(0.1)
    drive.camera.send_odometry(drive.item, drive.stamp_ns)
    drive.wait_until_done()
    assert stamp_to_ns(drive.states[-1].header.stamp) == drive.stamp_ns
    drive.advance()


def test_after_all_that_the_node_still_localizes(localizer: NodeProcess, drive: Drive) -> None:
    drive.localize()
    assert drive.poses


# Belief, time, hints.


def test_reinitialize_makes_it_silent_until_the_next_accepted_answer(localized: Drive, probe: Probe) -> None:
    probe.call(Empty, f"{NS}/reinitialize_global_localization")
    probe.wait_until(lambda: localized.states[-1].state == LocalizationState.UNKNOWN, "it knows nothing")
    probe.spin(0.2)
    num_poses, num_transforms = len(localized.poses), len(localized.transforms)
    probe.spin(0.5)
    assert (len(localized.poses), len(localized.transforms)) == (num_poses, num_transforms)
    localized.localize()
    probe.spin(0.5)
    assert len(localized.poses) > num_poses
    assert len(localized.transforms) > num_transforms + 4, "repeated at a fixed rate"


def test_time_that_goes_back_clears_everything(localizer: NodeProcess, localized: Drive, probe: Probe) -> None:
    num_states = len(localized.states)
    localized.stamp_ns -= 40_000_000_000
    # the first frame has no odometry: it must be given up by the new time, not wait for the old one
    localized.camera.send_images(localized.item, localized.stamp_ns)
    localized.wait_until_done()
    localized.advance()
    localized.step()
    localizer.wait_for_log("time went back")
    assert any("time went back" in state.reason for state in localized.states[num_states:])
    assert int(probe.values(FRAMES)["time went back"]) == 1
    state = localized.localize()
    assert stamp_to_ns(state.header.stamp) == localized.stamp_ns - STEP_NS


def test_a_hint_in_another_frame_is_refused(localizer: NodeProcess, localized: Drive, probe: Probe) -> None:
    publisher = probe.node.create_publisher(PoseWithCovarianceStamped, f"{NS}/initialpose", 10)
    probe.wait_until(publisher.get_subscription_count, "the localizer takes hints")
    publisher.publish(PoseWithCovarianceStamped(header=Header(frame_id="odom")))
    localizer.wait_for_log(f"{NS}/initialpose: ignored: expected a pose in frame 'map', got frame 'odom'")
    broken = PoseWithCovarianceStamped(header=Header(frame_id="map"))
    broken.pose.pose.orientation.w = 0.0
    publisher.publish(broken)
    localizer.wait_for_log(f"{NS}/initialpose: quaternion")
    values = probe.values(FRAMES)
    assert (values["wrong frame in initialpose"], values["unusable initialpose"]) == ("1", "1")


def test_a_good_hint_does_no_harm_and_is_no_answer(localizer: NodeProcess, localized: Drive, probe: Probe) -> None:
    probe.call(Empty, f"{NS}/reinitialize_global_localization")
    publisher = probe.node.create_publisher(PoseWithCovarianceStamped, f"{NS}/initialpose", 10)
    probe.wait_until(publisher.get_subscription_count, "the localizer takes hints")
    num_poses = len(localized.poses)
    hint = PoseWithCovarianceStamped(header=Header(frame_id="map"))
    hint.pose.pose = pose_message(localized.item.T_world_camera @ invert(forward_camera()))
    hint.pose.covariance = (np.eye(6) * 0.25).ravel()
    publisher.publish(hint)
    probe.spin(0.3)
    assert len(localized.poses) == num_poses
    localized.localize()


# Services.


def test_trigger_answers_with_the_next_frame(localized: Drive, probe: Probe) -> None:
    client = probe.node.create_client(Trigger, f"{NS}/trigger_localization")
    probe.wait_until(client.service_is_ready, "the service is there")
    future = client.call_async(Trigger.Request())
    probe.spin(0.2)
    localized.step()
    probe.wait_until(future.done, "the answer")
    assert future.result().success == (localized.states[-1].state == LocalizationState.LOCALIZED)
    assert localized.states[-1].reason in future.result().message


def test_trigger_without_frames_says_so(localizer: NodeProcess, probe: Probe) -> None:
    answer = probe.call(Trigger, f"{NS}/trigger_localization")
    assert not answer.success
    assert "no frame" in answer.message


def test_standing_still_is_skipped_once_localized_unless_asked_for(localized: Drive, probe: Probe) -> None:
    assert probe.set_parameter(NODE, "update_min_d", 100.0) == ""
    assert probe.set_parameter(NODE, "update_min_a", 3.1) == ""
    assert probe.set_parameter(NODE, "update_max_s", 0.0) == ""
    try:
        num_states = len(localized.states)
        localized.step()
        assert len(localized.states) == num_states
        probe.call(Empty, f"{NS}/request_nomotion_update")
        localized.step()
        assert len(localized.states) == num_states + 1
    finally:
        assert probe.set_parameter(NODE, "update_min_d", 0.0) == ""
        assert probe.set_parameter(NODE, "update_min_a", 0.0) == ""


def test_localize_image_answers_for_the_camera_and_touches_nothing(localized: Drive, probe: Probe) -> None:
    num_states = len(localized.states)
    item = localized.item
    intrinsics = item.frame.intrinsics
    info = CameraInfo(width=intrinsics.width, height=intrinsics.height, k=intrinsics.matrix.ravel())
    request = LocalizeImage.Request(image=_color(localized), camera_info=info)
    answer = probe.call(LocalizeImage, f"{NS}/localize_image", request)
    assert answer.result == LocalizeImage.Response.RESULT_SUCCESS, answer.message
    assert answer.hypotheses.hypotheses, answer.message
    distance, angle = pose_error(pose_matrix(answer.hypotheses.hypotheses[0].pose.pose), item.T_world_camera)
    assert distance < MAX_DISTANCE_M
    assert angle < MAX_ANGLE_RAD
    probe.spin(0.2)
    assert len(localized.states) == num_states
    empty = probe.call(LocalizeImage, f"{NS}/localize_image", LocalizeImage.Request())
    assert empty.result == LocalizeImage.Response.RESULT_INVALID_REQUEST


def test_query_scene(localized: Drive, probe: Probe) -> None:
    answer = probe.call(QueryScene, f"{NS}/query_scene", QueryScene.Request(image=_color(localized)))
    assert answer.result == QueryScene.Response.RESULT_SUCCESS, answer.message
    assert answer.scenes.scenes
    text = probe.call(QueryScene, f"{NS}/query_scene", QueryScene.Request(text="a kitchen"))
    assert text.result == QueryScene.Response.RESULT_SUCCESS, text.message
    assert {scene.scene_id for scene in text.scenes.scenes} == {scene.scene_id for scene in answer.scenes.scenes}
    wordless = probe.call(QueryScene, f"{NS}/query_scene", QueryScene.Request(text="?!"))
    assert wordless.result == QueryScene.Response.RESULT_INVALID_REQUEST
    nothing = probe.call(QueryScene, f"{NS}/query_scene")
    assert nothing.result == QueryScene.Response.RESULT_INVALID_REQUEST


def test_a_new_name_is_stored_and_told_at_once(localized: Drive, own_map: Path, probe: Probe) -> None:
    with MapStorage.open(own_map) as storage:
        scene_ids = [scene.scene_id for scene in storage.load().scenes]
    for scene_id in scene_ids:
        request = NameScene.Request(scene_id=scene_id, building="house", room="hall")
        answer = probe.call(NameScene, f"{NS}/name_scene", request)
        assert answer.result == NameScene.Response.RESULT_SUCCESS, answer.message
    scenes = probe.call(QueryScene, f"{NS}/query_scene", QueryScene.Request(image=_color(localized))).scenes.scenes
    assert {scene.name for scene in scenes} == {"house/hall"}
    with MapStorage.open(own_map) as storage:
        assert {scene.name for scene in storage.load().scenes} == {"house/hall"}
    unknown = probe.call(NameScene, f"{NS}/name_scene", NameScene.Request(scene_id=4711))
    assert unknown.result == NameScene.Response.RESULT_UNKNOWN_SCENE


def test_maps_that_cannot_be_loaded_leave_the_old_one(localized: Drive, probe: Probe, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.xover"
    garbage.write_bytes(b"no map at all " * 100)
    for url, code in (
        (str(tmp_path / "missing.xover"), LoadMap.Response.RESULT_MAP_DOES_NOT_EXIST),
        (f"file://{garbage}", LoadMap.Response.RESULT_INVALID_MAP_DATA),
        ("", LoadMap.Response.RESULT_MAP_DOES_NOT_EXIST),
    ):
        answer = probe.call(LoadMap, f"{NS}/load_map", LoadMap.Request(map_url=url))
        assert answer.result == code, answer.message
        assert answer.message
    assert localized.step().state == LocalizationState.LOCALIZED


def test_another_map_starts_from_nothing(localized: Drive, map_file: Path, probe: Probe) -> None:
    answer = probe.call(LoadMap, f"{NS}/load_map", LoadMap.Request(map_url=str(map_file)))
    assert answer.result == LoadMap.Response.RESULT_SUCCESS, answer.message
    probe.wait_until(lambda: localized.states[-1].state == LocalizationState.UNKNOWN, "it starts from nothing")
    localized.localize()


# Parameters and pictures.


def test_parameters_change_while_running_or_are_refused_with_a_reason(localized: Drive, probe: Probe) -> None:
    assert probe.set_parameter(NODE, "decision.min_probability", 0.95) == ""
    assert "range" in probe.set_parameter(NODE, "decision.min_probability", 1.5).lower()
    assert "takes effect when the node is configured" in probe.set_parameter(NODE, "base_frame_id", "base")
    assert "takes effect when the node is configured" in probe.set_parameter(NODE, "encoder.image_height", 120)
    assert probe.set_parameter(NODE, "publish_tf", "maybe") != ""
    localized.localize()


def test_publish_tf_switches_the_transform_off_and_on(localized: Drive, probe: Probe) -> None:
    assert probe.set_parameter(NODE, "publish_tf", False) == ""
    probe.spin(0.3)
    before = len(localized.transforms)
    probe.spin(0.5)
    assert len(localized.transforms) == before
    assert probe.set_parameter(NODE, "publish_tf", True) == ""
    probe.wait_until(lambda: len(localized.transforms) > before, "the transform is back")


def test_the_map_is_shown_to_whoever_looks(localized: Drive, probe: Probe) -> None:
    markers = probe.collect_latched(MarkerArray, f"{NS}/landmarks")
    clouds = probe.collect_latched(PointCloud2, f"{NS}/landmark_cloud")
    probe.wait_until(lambda: markers and clouds, "landmarks")
    assert clouds[-1].width > 0
    assert clouds[-1].header.frame_id == "map"


def test_matches_are_drawn_for_whoever_looks(localized: Drive, probe: Probe) -> None:
    pictures = probe.collect(Image, f"{NS}/debug/matches")
    probe.spin(0.5)
    localized.step()
    localized.step()
    probe.wait_until(lambda: pictures, "a picture")
    assert (pictures[-1].encoding, pictures[-1].height) == ("rgb8", 240)


def test_diagnostics_tell_state_map_model_and_inputs(localized: Drive, own_map: Path, probe: Probe) -> None:
    values = probe.values("live/localizer: localization")
    assert values["state"] == "LOCALIZED"
    assert values["model"]
    assert int(values["keyframes"]) > 0
    assert len(values["map_id"]) == 36
    assert float(values["latency_ms"]) > 0
    rates = probe.values(f"live/localizer: input {NS}{COLOR}")
    assert int(rates["messages"]) > 10


def _color(drive: Drive) -> Image:
    """The frame that comes next, as a picture."""
    return color_message(drive.item.frame.rgb, drive.stamp_ns, OPTICAL)
