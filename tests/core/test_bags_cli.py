# SPDX-License-Identifier: Apache-2.0
"""`xover bag`: making and showing bags, and the command line of the player."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from xover_core.cli import bag, ros_processes
from xover_core.datasets.bag_access import summarize_bag
from xover_core.errors import BackendUnavailableError, DatasetError


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bag.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["bag", *arguments])
    return int(args.run(args))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two frames in the plain folder layout."""
    path = tmp_path / "place" / "map"
    (path / "rgb").mkdir(parents=True)
    (path / "depth").mkdir()
    for index in range(2):
        cv2.imwrite(str(path / "rgb" / f"{index:06d}.png"), np.full((24, 32, 3), 90, np.uint8))
        cv2.imwrite(str(path / "depth" / f"{index:06d}.png"), np.full((24, 32), 1500, np.uint16))
    (path / "poses.txt").write_text("0 1.0 0 0 0 0 0 0 1\n1 1.5 0 0 1 0 0 0 1\n")
    (path / "intrinsics.txt").write_text("30 30 15.5 11.5 32 24 1000\n")
    return path


def test_make_and_info(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("make", str(out), "--from", str(folder), "--storage", "mcap", "--compressed") == 0
    assert "2 frames of place/map" in capsys.readouterr().out
    assert (out / "out.mcap").is_file()
    assert run("info", str(out)) == 0
    text = capsys.readouterr().out
    for part in ("0.5 s from 1.000 s", "/camera/color/image_raw/compressed", "32x24", "without odometry", "with pose"):
        assert part in text


def test_info_of_a_bag_without_images(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("make", str(tmp_path / "out"), "--from", str(folder))
    assert run("info", str(tmp_path / "out"), "--depth-topic", "/nope") == 0
    assert "not a recording that xover can read" in capsys.readouterr().out


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no bag there"):
        run("info", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match="not a rosbag2"):
        run("info", str(tmp_path))


def test_make_from_an_apartment(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run("make", str(tmp_path / "out"), "--apartment", "1", "--num-frames", "2", "--walk", "3")
    topics = {topic.name: topic.num_messages for topic in summarize_bag(tmp_path / "out").topics}
    assert topics["/camera/color/image_raw"] == topics["/odom"] == topics["/ground_truth/pose"] == 2


def test_play_needs_ros(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("make", str(tmp_path / "out"), "--from", str(folder))
    monkeypatch.setattr(ros_processes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"rclpy.* missing"):
        run("play", str(tmp_path / "out"))


def test_play_starts_the_player_node(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Player:
        def __init__(self, command: list[str]) -> None:
            commands.append(command)

        def wait(self) -> int:
            return 3

        def poll(self) -> int:
            return 3

    monkeypatch.setattr(ros_processes, "check_ros", lambda: None)
    monkeypatch.setattr(subprocess, "Popen", Player)
    run("make", str(tmp_path / "out"), "--from", str(folder))
    assert run("play", str(tmp_path / "out"), "--rate", "2", "--lock-step", "--topics", "/odom") == 3
    (command,) = commands
    assert command[1:4] == ["-m", "xover_ros.bag_player", "--ros-args"]
    given = dict(word.split(":=", 1) for word in command if ":=" in word)
    values = {name: json.loads(value) for name, value in given.items()}
    assert values["bag"] == str(tmp_path / "out")
    assert (values["rate"], values["mode"], values["topics"], values["loop"]) == (2.0, "lock_step", "/odom", False)
