# SPDX-License-Identifier: Apache-2.0
"""`xover scenes`: small apartments, tiny scans as scenes, settings, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from made_up_scans import make_matterport, make_scannet
from room_cases import make_scan

from xover_core.cli.main import EXIT_ERROR, main
from xover_core.config_io import load_settings_over
from xover_core.datasets.scan_folder import ScanFolder
from xover_core.training import room_scans
from xover_core.training.procedural_scenes import ProceduralScenesSettings
from xover_core.training.recording_scenes import RecordingSceneSettings
from xover_core.training.room_scans import RoomScansSettings
from xover_core.training.scene_folder import SceneFolder

SMALL = {"num_frames": 3, "width": 64, "height": 48, "max_rooms": 1, "num_workers": 0, "relit_probability": 0.0}
# the frames of the made-up scans are some centimetres and degrees apart
SCAN = {"width": 64, "height": 48, "min_step": 0.05}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def sets(values):
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_apartments_are_rendered_once(tmp_path, capsys):
    folder = tmp_path / "new" / "scenes"
    assert main(["scenes", "--out", str(folder), *sets({**SMALL, "num_scenes": 1, "first_seed": 3})]) == 0
    assert "1 of 1 scenes" in capsys.readouterr().out
    first = (folder / "apartment-00003.safetensors").stat().st_mtime_ns
    assert main(["scenes", "--out", str(folder), *sets({**SMALL, "num_scenes": 2, "first_seed": 3})]) == 0
    assert "2 of 2 scenes" in capsys.readouterr().out
    scenes = SceneFolder(folder)
    assert scenes.names == ("apartment-00003", "apartment-00004")
    assert scenes.scene(1).images.shape == (3, 48, 64, 3)
    assert (folder / "apartment-00003.safetensors").stat().st_mtime_ns == first
    sessions = [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]
    assert [session["settings"]["num_scenes"] for session in sessions] == [1, 2]
    assert sessions[0]["version"]


def test_rooms_are_scanned_once(tmp_path, capsys, monkeypatch):
    seeds = []

    def scan_rooms(seed, settings):
        seeds.append((seed, settings.width))
        return [make_scan(f"room-{seed:05d}-02", seed=seed), make_scan(f"room-{seed:05d}-02-rescan", seed=seed)]

    monkeypatch.setattr(room_scans, "scan_rooms", scan_rooms)
    folder = tmp_path / "new" / "scans"
    values = {"num_apartments": 1, "first_seed": 3, "width": 96, "num_workers": 0}
    assert main(["scenes", "--rooms", "--out", str(folder), *sets(values)]) == 0
    assert "2 scans of 1 apartments" in capsys.readouterr().out
    assert main(["scenes", "--rooms", "--out", str(folder), *sets(values | {"num_apartments": 2})]) == 0
    assert "4 scans of 2 apartments" in capsys.readouterr().out
    assert seeds == [(3, 96), (4, 96)]
    assert ScanFolder(folder).scan(0).scan_id == "room-00003-02-rescan"
    sessions = [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]
    assert [session["settings"]["num_apartments"] for session in sessions] == [1, 2]
    assert sessions[0]["source"] == "rooms of procedural apartments"


def test_apartments_without_a_scan_are_an_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(room_scans, "scan_rooms", lambda seed, settings: [])
    command = ["scenes", "--rooms", "--out", str(tmp_path), *sets({"num_apartments": 2, "num_workers": 0})]
    assert main(command) == EXIT_ERROR
    assert "expected some of 2 apartments, got none" in capsys.readouterr().err


@pytest.mark.parametrize("make_tree", [make_matterport, make_scannet])
def test_a_scan_becomes_a_scene(tmp_path, capsys, make_tree):
    (tmp_path / "scan").mkdir()
    scan, folder = make_tree(tmp_path / "scan"), tmp_path / "scenes"
    command = ["scenes", "--out", str(folder), "--recording", str(scan), *sets(SCAN)]
    assert main(command) == 0
    assert "3 of 3 frames" in capsys.readouterr().out
    assert main([*command, "--name", "kitchen"]) == 0
    scenes = SceneFolder(folder)
    assert scenes.names == ("kitchen", "scan")
    assert len(scenes.scene(0)) == 3
    assert scenes.overlap(0).min() > 0
    assert main(command) == EXIT_ERROR
    assert "--name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "defaults"),
    [
        ([], ProceduralScenesSettings()),
        (["--recording", "any"], RecordingSceneSettings()),
        (["--rooms"], RoomScansSettings()),
    ],
)
def test_settings_are_shown_as_they_are_read(tmp_path, capsys, arguments, defaults):
    (tmp_path / "mine.yaml").write_text("width: 160\nheight: 80\n")
    chosen = ["--settings", str(tmp_path / "mine.yaml"), "--set", "height=120"]
    assert main(["scenes", "--show-settings", *arguments, *chosen]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    shown = load_settings_over(tmp_path / "shown.yaml", defaults)
    assert (shown.width, shown.height) == (160, 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "num_scene=3"], "unknown setting"),
        (["--recording", "nowhere"], "nowhere"),
        (["--rooms", "--recording", "any"], "leave out --recording"),
        (["--rooms", "--set", "num_scenes=3"], "unknown setting"),
        (["--settings", "nowhere.yaml"], "nowhere.yaml"),
        (sets({**SMALL, "num_scenes": 1, "width": 60}), "expected 1, got none"),
    ],
)
def test_what_is_refused(tmp_path, capsys, arguments, message):
    assert main(["scenes", "--out", str(tmp_path / "scenes"), *arguments]) == EXIT_ERROR
    assert message in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["scenes", "--out", str(tmp_path / "file"), *sets(SMALL)]) == EXIT_ERROR
    assert "cannot be written to" in capsys.readouterr().err
