# SPDX-License-Identifier: Apache-2.0
"""The health check: what it makes of diagnostics, and its sentences and exit codes beside a real localizer."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from camera_stub import CameraStub
from conftest import Recordings
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from node_process import NodeProcess
from probe import Probe
from xover_ros.diagnostics import ERROR, OK, WARN
from xover_ros.health import judge

TIMEOUT_S = 20.0


def status(level: bytes, message: str, **values: str) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, message=message, values=pairs)


def active_localizer(**others: DiagnosticStatus) -> dict[str, DiagnosticStatus]:
    work = status(WARN, "UNKNOWN: too few matches.", map_file="/maps/a.xover", map_id="m1", keyframes="12")
    return {"lifecycle": status(OK, "active", state="active"), "localization": work, **others}


def ask(*arguments: str) -> tuple[int, str]:
    """Run the tool as users do; returns exit code and output."""
    command = [sys.executable, "-m", "xover_ros.health", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_an_active_node_that_knows_nothing_yet_is_healthy() -> None:
    verdict = judge(active_localizer(**{"input /rgb": status(OK, "10.0 Hz")}))
    assert verdict.is_healthy
    assert verdict.sentence == "active; map /maps/a.xover (m1), 12 keyframes; UNKNOWN: too few matches."


def test_a_node_that_is_not_active_is_ill() -> None:
    verdict = judge({"lifecycle": status(OK, "inactive", state="inactive")})
    assert not verdict.is_healthy
    assert verdict.sentence.startswith("inactive, not active; activate it")


def test_a_failed_transition_is_told_as_it_was_reported() -> None:
    sentence = "cannot configure: map /maps/a.xover: no such file."
    verdict = judge({"lifecycle": status(ERROR, sentence, state="unconfigured")})
    assert (verdict.is_healthy, verdict.sentence) == (False, sentence)


def test_a_silent_input_makes_a_node_ill_unless_inputs_are_ignored() -> None:
    statuses = active_localizer(
        **{"input /rgb": status(OK, "10.0 Hz"), "input /depth": status(ERROR, "/depth: no message for 9 s")}
    )
    verdict = judge(statuses)
    assert (verdict.is_healthy, verdict.sentence) == (False, "/depth: no message for 9 s")
    assert judge(statuses, needs_inputs=False).is_healthy


def test_a_mapper_is_judged_by_its_own_words() -> None:
    work = status(OK, "3 keyframes in the map", map_file="/maps/new.xover", keyframes="3")
    verdict = judge({"lifecycle": status(OK, "active", state="active"), "mapping": work})
    assert verdict.sentence == "active; map /maps/new.xover, 3 keyframes; 3 keyframes in the map"


def test_no_node_of_that_name() -> None:
    code, output = ask("--node", "/nowhere/localizer", "--timeout", "1")
    assert code == 1
    assert output.startswith("nowhere/localizer: nothing on /diagnostics within 1 s; does it run,")
    assert output.count("\n") == 1


def test_a_localizer_without_its_map(tmp_path: Path) -> None:
    missing = tmp_path / "missing.xover"
    with NodeProcess("localizer_node", tmp_path / "log", {"map_file": missing}, namespace="/sick") as process:
        process.wait_for_log("cannot configure")
        code, output = ask("--node", "sick/localizer", "--timeout", f"{TIMEOUT_S / 2}")
    assert code == 1
    assert output.startswith("sick/localizer: cannot configure: ")
    assert str(missing) in output


def test_a_localizer_with_and_without_a_camera(
    recordings: Recordings, map_file: Path, probe: Probe, tmp_path: Path
) -> None:
    camera = CameraStub(probe, "/fit")
    parameters = {"map_file": map_file, "input_timeout_s": 1.0}
    arguments = ("--node", "/fit/localizer", "--timeout", f"{TIMEOUT_S / 2}")
    with NodeProcess("localizer_node", tmp_path / "log", parameters, namespace="/fit", remaps=camera.remaps) as process:
        process.wait_for_log("revision")
        time.sleep(parameters["input_timeout_s"])
        code, output = ask(*arguments)
        assert (code, "no message since the start" in output) == (1, True), output
        assert ask(*arguments, "--ignore-inputs")[0] == 0
        camera.send_extrinsics()
        stamps = itertools.count(10**9, 100_000_000)
        timer = probe.node.create_timer(0.1, lambda: camera.send(recordings.query[0], next(stamps)))
        probe.spin(1.0)
        healthy = _ask_beside(probe, arguments)
        probe.node.destroy_timer(timer)
        assert process.stop() == 0
    assert healthy[0] == 0, healthy
    assert f"fit/localizer: active; map {map_file} (" in healthy[1]


def _ask_beside(probe: Probe, arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run the tool while the probe goes on publishing."""
    command = [sys.executable, "-m", "xover_ros.health", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        probe.wait_until(lambda: process.poll() is not None, "the health check ends", TIMEOUT_S)
        assert process.stdout is not None
        return process.returncode, process.stdout.read()


@pytest.mark.parametrize("arguments", [["--timeout", "soon"], ["--nod"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "xover_ros.health", *arguments]
    assert subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S).returncode == 2
