# SPDX-License-Identifier: Apache-2.0
"""Starting, managing and ending nodes, and what goes wrong on the way."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path

import pytest
from camera_stub import COLOR, CameraStub
from conftest import Recordings
from drive import Drive
from lifecycle_msgs.srv import ChangeState
from node_process import NodeProcess
from probe import Probe
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import Trigger
from xover_msgs.msg import LocalizationState
from xover_msgs.srv import LocalizeImage
from xover_ros.mapper import Mapper

EVERY_FRAME = {"max_rate_hz": 0.0, "update_min_d": 0.0, "update_min_a": 0.0, "image_reliability": "reliable"}


def test_nodes_do_not_hide_what_rclpy_keeps_in_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rclpy's nodes have attributes such as _services and _parameters, and a subclass that reuses one breaks them."""
    import rclpy

    rclpy.init(context=(context := Context()))
    monkeypatch.setattr("rclpy.node.get_default_context", lambda: context)
    plain, mapper = LifecycleNode("plain", context=context), Mapper()
    try:
        shared = vars(plain).keys() & vars(mapper).keys()
        different = {name for name in shared if type(vars(plain)[name]) is not type(vars(mapper)[name])}
        assert different == set()
    finally:
        plain.destroy_node()
        mapper.destroy_node()
        rclpy.shutdown(context=context)


def test_round_trips_under_a_manager(recordings: Recordings, map_file: Path, probe: Probe, tmp_path: Path) -> None:
    """Configured, activated, deactivated and cleaned up from outside, twice; the belief outlives a deactivation."""
    drive = Drive(probe, recordings, "/managed")
    parameters = {"map_file": map_file, "autostart": False, **EVERY_FRAME}
    node = "/managed/localizer"
    log = tmp_path / "log"
    with NodeProcess("localizer_node", log, parameters, namespace="/managed", remaps=drive.camera.remaps) as process:
        assert probe.state_of(node) == "unconfigured"
        assert probe.call(Trigger, "/managed/trigger_localization").message == "the localizer is not active."
        answer = probe.call(LocalizeImage, "/managed/localize_image")
        assert answer.result == LocalizeImage.Response.RESULT_NO_MAP
        for _ in range(2):
            assert probe.change_state(node, "configure"), process.log
            assert probe.change_state(node, "activate"), process.log
            drive.wait_for_listener()
            probe.wait_until(lambda: drive.states[-1].state == LocalizationState.UNKNOWN, "it starts from nothing")
            drive.localize()
            assert probe.change_state(node, "deactivate"), process.log
            num_states, num_transforms = len(drive.states), len(drive.transforms)
            drive.camera.send(drive.item, drive.advance())
            probe.spin(0.5)
            assert (len(drive.states), len(drive.transforms)) == (num_states, num_transforms)
            assert probe.change_state(node, "activate")
            probe.spin(0.5)
            assert len(drive.states) > num_states, "the belief is told again"
            assert drive.states[-1].state == LocalizationState.LOCALIZED
            assert probe.change_state(node, "deactivate")
            assert probe.change_state(node, "cleanup")
            assert probe.state_of(node) == "unconfigured"
        assert process.stop() == 0
    assert "Traceback" not in process.log


def test_a_transition_that_is_not_possible_does_no_harm(map_file: Path, probe: Probe, tmp_path: Path) -> None:
    parameters = {"map_file": map_file, "autostart": False}
    with NodeProcess("localizer_node", tmp_path / "log", parameters, namespace="/odd") as process:
        node = "/odd/localizer"
        assert probe.state_of(node) == "unconfigured"
        assert not probe.change_state(node, "deactivate")
        assert not probe.call(ChangeState, f"{node}/change_state", ChangeState.Request()).success
        assert probe.state_of(node) == "unconfigured"
        assert probe.change_state(node, "configure")
        assert process.stop() == 0
    assert "Traceback" not in process.log


def test_a_missing_map_leaves_the_node_unconfigured_with_the_reason(probe: Probe, tmp_path: Path) -> None:
    missing = tmp_path / "missing.xover"
    with NodeProcess("localizer_node", tmp_path / "log", {"map_file": missing}, namespace="/nomap") as process:
        process.wait_for_log("cannot configure")
        assert probe.state_of("/nomap/localizer") == "unconfigured"
        assert str(missing) in probe.status("nomap/localizer: lifecycle").message
        assert not probe.change_state("/nomap/localizer", "configure")
        assert process.stop() == 0
    assert "Traceback" not in process.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.9])
def test_a_signal_at_any_moment_leaves_no_traceback(
    number: signal.Signals, delay_s: float, map_file: Path, tmp_path: Path
) -> None:
    with NodeProcess("localizer_node", tmp_path / "log", {"map_file": map_file}) as process:
        time.sleep(delay_s)
        code = process.stop(number)
    # before the node is up, the signal simply ends the process
    assert code in (0, -number), process.log
    assert "Traceback" not in process.log


def test_wrong_parameters_end_the_start_with_one_line(tmp_path: Path) -> None:
    with NodeProcess("localizer_node", tmp_path / "log", {"update_min_d": -1.0}) as process:
        assert process.wait() == 1
    assert process.log.strip().splitlines() == [
        "cannot start: setting LocalizerNodeSettings.update_min_d: expected at least 0.0, got -1.0."
    ]


def test_a_broken_parameter_file_ends_the_start_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("localizer: [unclosed", encoding="utf-8")
    with NodeProcess("localizer_node", tmp_path / "log", arguments=("--params-file", str(file))) as process:
        assert process.wait() == 1
    assert "cannot start: " in process.log
    assert "Traceback" not in process.log


def test_typos_in_a_parameter_file_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "typo.yaml"
    text = "/**/localizer:\n  ros__parameters:\n    autostart: false\n    decision:\n      min_probabilty: 0.8\n"
    file.write_text(text, encoding="utf-8")
    with NodeProcess("localizer_node", tmp_path / "log", arguments=("--params-file", str(file))) as process:
        process.wait_for_log(
            "parameter 'decision.min_probabilty' is not known to node localizer and has no effect;"
            " did you mean 'decision.min_probability'?"
        )
        assert process.stop() == 0
    assert process.log.count("[WARN]") == 1


def test_a_missing_topic_is_named_in_log_and_diagnostics(
    recordings: Recordings, map_file: Path, probe: Probe, tmp_path: Path
) -> None:
    """The depth topic is misspelled; everything else is there."""
    camera = CameraStub(probe, "/deaf")
    remaps = {**camera.remaps, "depth/image": "/deaf/camera/depth/image_rwa"}
    parameters = {"map_file": map_file, "input_timeout_s": 1.0, "sync_queue_size": 2}
    with NodeProcess("localizer_node", tmp_path / "log", parameters, namespace="/deaf", remaps=remaps) as process:
        process.wait_for_log("revision")
        camera.send_extrinsics()
        stamps = itertools.count(10**9, 100_000_000)
        timer = probe.node.create_timer(0.1, lambda: camera.send(recordings.query[0], next(stamps)))
        for sentence in (
            "/deaf/camera/depth/image_rwa: no message since the start",
            "no depth on /deaf/camera/depth/image_rwa within 20 ms of it (0 received so far)",
        ):
            probe.wait_until(lambda text=sentence: text in process.log, sentence)
        status = probe.status("deaf/localizer: input /deaf/camera/depth/image_rwa")
        assert status.level == b"\x02"
        assert "/deaf/camera/depth/image_rwa" in status.message
        assert probe.status(f"deaf/localizer: input /deaf{COLOR}").level == b"\x00"
        probe.node.destroy_timer(timer)
        assert process.stop() == 0


def test_extrinsics_that_come_late_are_waited_for(
    recordings: Recordings, map_file: Path, probe: Probe, tmp_path: Path
) -> None:
    """Without /tf_static for the camera nothing can be told; as soon as it is there, the node works."""
    camera = CameraStub(probe, "/late")
    frame = "late_optical"
    states = probe.collect_latched(LocalizationState, "/late/state")
    # a base frame that nobody else in these tests publishes
    parameters = {"map_file": map_file, "base_frame_id": "late_base", "odom_frame_id": "", **EVERY_FRAME}
    with NodeProcess(
        "localizer_node", tmp_path / "log", parameters, namespace="/late", remaps=camera.remaps
    ) as process:
        process.wait_for_log("revision")
        probe.wait_until(lambda: camera.num_listeners, "somebody listens")
        probe.spin(0.2)
        camera.send_images(recordings.query[0], 10**9)
        process.wait_for_log("nobody has published frame late_base")
        assert probe.values("late/localizer: frames")["no extrinsics"] == "1"
        camera.send_extrinsics(base="late_base", optical=frame)
        probe.spin(0.3)
        camera.send_images(recordings.query[1], 2 * 10**9, optical=frame)
        probe.wait_until(lambda: states[-1].header.stamp.sec == 2, "the frame is answered")
        assert process.stop() == 0
