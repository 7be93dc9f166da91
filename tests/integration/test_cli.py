# SPDX-License-Identifier: Apache-2.0
"""The command line end to end on a tiny recording: map, info, localize; errors as one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

import xover_core
from xover_core.cli import config
from xover_core.cli.main import EXIT_ERROR, EXIT_INTERRUPTED, make_parser

VERBS = (
    *("demo", "map", "localize", "query", "scene", "evaluate", "protocol", "info", "config", "bag"),
    *("scenes", "train", "adapt", "install", "export"),
)
# a tiny map with hardly any motion needs keyframes close to each other
DENSE = ("--set", "mapping.min_translation=0.1", "--set", "mapping.min_rotation_deg=5")


@pytest.fixture(scope="module")
def map_file(place, tmp_path_factory):
    from xover_core.cli.main import main

    file = tmp_path_factory.mktemp("map") / "new folder" / "room.xover"
    assert main(["map", str(place / "map"), "--out", str(file), *DENSE]) == 0
    return file


def test_version():
    done = subprocess.run([sys.executable, "-m", "xover_core", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"xover {xover_core.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        make_parser().parse_args([verb, "--help"])
    assert stopped.value.code == 0
    assert "usage: xover" in capsys.readouterr().out


def test_config_is_yaml_with_everything_applied(xover, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("matching: {max_matches: 50, min_similarity: 0.5}\n")
    code, out, _ = xover("config", "--settings", file, "--set", "matching.max_matches=70")
    matching = yaml.safe_load(out)["matching"]
    assert code == 0
    assert (matching["max_matches"], matching["min_similarity"]) == (70, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("config", "--set", "nonsense=1"), "unknown setting 'nonsense'"),
        (("config", "--set", "no-equals-sign"), "expected KEY=VALUE"),
        (("config", "--set", "matching.max_matches=[1"), "cannot be read as YAML"),
        (("config", "--preset", "nope"), "unknown preset 'nope'"),
        (("info", "missing.xover"), "missing.xover"),
        (("map", "missing", "--out", "x.xover"), "missing: no recording there"),
        (("localize", "missing", "--map", "x.xover"), "missing: no recording there"),
        (("evaluate", "missing"), "xover evaluate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_known_errors_are_one_line_and_exit_code_2(xover, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = xover(*arguments)
    assert code == EXIT_ERROR
    assert out == ""
    assert err.startswith("xover: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_no_traceback(xover, monkeypatch):
    def interrupt(_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "dump_settings", interrupt)
    code, _, err = xover("config")
    assert (code, err) == (EXIT_INTERRUPTED, "xover: interrupted\n")


def test_what_the_system_says_of_a_file_is_one_line(xover, monkeypatch):
    def refuse(_settings):
        raise PermissionError(13, "Permission denied", "/maps/office.xover")

    monkeypatch.setattr(config, "dump_settings", refuse)
    code, _, err = xover("config")
    assert code == EXIT_ERROR
    assert err == "xover: /maps/office.xover: Permission denied; check the path and its permissions.\n"


def test_unknown_errors_keep_their_traceback(xover, monkeypatch):
    monkeypatch.setattr(config, "dump_settings", lambda _settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        xover("config")
    monkeypatch.setattr(config, "dump_settings", lambda _settings: os.read(-1, 1))
    with pytest.raises(OSError, match="Bad file descriptor"):
        xover("config")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m xover_core.cli.main config --help | head -n 1; {sys.executable} -c ''"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_map_is_not_overwritten(xover, place, map_file):
    before = map_file.read_bytes()
    code, _, err = xover("map", place / "map", "--out", map_file)
    assert code == EXIT_ERROR
    assert str(map_file) in err
    assert map_file.read_bytes() == before


def test_append_extends_a_map(xover, place, map_file, tmp_path):
    copy = tmp_path / "copy.xover"
    copy.write_bytes(map_file.read_bytes())
    code, out, _ = xover("map", place / "query", "--out", copy, "--append", *DENSE)
    assert code == 0
    before, after = (int(xover("info", f)[1].split("keyframes  ")[1].split()[0]) for f in (map_file, copy))
    assert after > before
    assert f"{after} keyframes from 8 frames" in out


def test_append_needs_a_map(xover, place, tmp_path):
    code, _, _ = xover("map", place / "map", "--out", tmp_path / "none.xover", "--append")
    assert code == EXIT_ERROR
    assert not (tmp_path / "none.xover").exists()


def test_a_recording_without_poses_leaves_no_map_behind(xover, place, tmp_path):
    file = tmp_path / "none.xover"
    code, _, err = xover("map", place / "map", "--out", file, "--pose-topic", "none")
    assert code == EXIT_ERROR
    assert "camera pose to map from" in err
    assert not file.exists()


def test_info_names_model_and_scenes(xover, map_file):
    code, out, _ = xover("info", map_file)
    assert code == 0
    assert "locus-compact, 128 values" in out
    assert re.search(r"landmarks +[1-9]\d*, smooth AP 0\.\d\d in the mean", out)
    assert "scene 1" in out


def test_localize_prints_a_line_for_each_frame_and_a_trajectory(xover, place, map_file, tmp_path):
    code, out, _ = xover("localize", place / "query", "--map", map_file, "--tum", tmp_path / "deep" / "answers.txt")
    assert code == 0
    states = [line.split()[1] for line in out.splitlines()]
    assert len(states) == 8
    trajectory = np.loadtxt(tmp_path / "deep" / "answers.txt", ndmin=2)
    assert len(trajectory) == states.count("LOCALIZED") > 0
    assert trajectory.shape[1] == 8
    np.testing.assert_allclose(np.linalg.norm(trajectory[:, 4:], axis=1), 1.0, atol=1e-5)
    assert (np.diff(trajectory[:, 0]) > 0).all()


def test_localize_json_has_ranked_hypotheses(xover, place, map_file):
    _, out, _ = xover("localize", place / "query", "--map", map_file, "--json", "--online")
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == 8
    for answer in answers:
        assert (answer["pose"] is not None) == (answer["state"] == "LOCALIZED")
        probabilities = [h["probability"] for h in answer["hypotheses"]]
        assert probabilities == sorted(probabilities, reverse=True)
