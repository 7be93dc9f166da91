# SPDX-License-Identifier: Apache-2.0
"""Child processes of verbs: started with ROS arguments, stopped in order, failures shown with the end of their log."""

from __future__ import annotations

import importlib.util
import os
import sys
import time

import pytest

from xover_core.cli.ros_processes import RosProcess, check_ros, ros_environment
from xover_core.errors import BackendUnavailableError

TIMEOUT_S = 20.0
NODES = {
    "obedient": "import signal, sys\nprint(*sys.argv[1:], flush=True)\nsignal.sigwait({signal.SIGINT})\n",
    "short": "",
    "failing": "import sys\nprint('the reason')\nsys.exit(3)\n",
    "stubborn": "import signal, time\nsignal.signal(2, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)\n",
}


@pytest.fixture
def start(tmp_path):
    """Start one of NODES as a module."""
    for name, source in NODES.items():
        # blocks the signal before anything is printed, so that it cannot be missed
        guard = (
            "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n" if name == "obedient" else ""
        )
        (tmp_path / f"{name}.py").write_text(guard + source)

    def run(name: str, **parameters) -> RosProcess:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        log = tmp_path / f"{name}.log"
        remaps = {"rgb/image": "/camera/color"}
        return RosProcess(name, environment=environment, log_path=log, parameters=parameters, remaps=remaps)

    return run


def wait_for_output(path) -> str:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} stayed empty")


def test_arguments_reach_the_node_as_yaml(start, tmp_path):
    with start("obedient", map_file="/data/1", use_sim_time=True, rate=0.5) as process:
        text = wait_for_output(tmp_path / "obedient.log")
        process.interrupt(TIMEOUT_S)
    assert text.split() == [
        "--ros-args", "-r", "rgb/image:=/camera/color", "-p", "map_file:='/data/1'", "-p", "use_sim_time:=true",
        "-p", "rate:=0.5",
    ]  # fmt: skip


def test_a_node_that_ends_by_itself(start):
    with start("short") as process:
        process.wait(TIMEOUT_S)


def test_a_failing_node_shows_the_end_of_its_log(start):
    with (
        start("failing") as process,
        pytest.raises(BackendUnavailableError, match=r"ended with code 3.*\n.*the reason"),
    ):
        process.wait(TIMEOUT_S)


def test_a_node_that_is_gone_cannot_be_interrupted(start):
    with start("short") as process:
        process.wait(TIMEOUT_S)
        with pytest.raises(BackendUnavailableError, match="ended with code 0"):
            process.interrupt(TIMEOUT_S)


def test_a_stubborn_node_is_not_left_running(start, tmp_path):
    with start("stubborn") as process:
        wait_for_output(tmp_path / "stubborn.log")
        with pytest.raises(BackendUnavailableError, match="did not end within"):
            process.interrupt(0.2)
    with pytest.raises(BackendUnavailableError, match="ended with code -9"):
        process.check_running()


def test_a_file_tells_that_a_node_is_up(start, tmp_path):
    with start("obedient") as process:
        process.wait_for_file(tmp_path / "obedient.log", TIMEOUT_S)
        with pytest.raises(BackendUnavailableError, match=r"did not make .*never"):
            process.wait_for_file(tmp_path / "never", 0.1)


def test_a_node_that_fails_is_not_waited_for(start, tmp_path):
    with start("failing") as process, pytest.raises(BackendUnavailableError, match="ended with code 3"):
        process.wait_for_file(tmp_path / "never", TIMEOUT_S)


def test_nodes_stay_on_this_machine_and_in_the_users_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "77")
    environment = ros_environment()
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert environment["ROS_DOMAIN_ID"] == "77"
    monkeypatch.delenv("ROS_DOMAIN_ID")
    assert 1 <= int(ros_environment()["ROS_DOMAIN_ID"]) <= 101


def test_missing_ros_is_named_with_advice(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rclpy" else sys)
    with pytest.raises(BackendUnavailableError, match=r"rclpy missing; run `make env`"):
        check_ros()
