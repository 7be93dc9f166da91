# SPDX-License-Identifier: Apache-2.0
"""Whether ROS is here at all, and how this package sets up its middleware."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2; run `make env`, or source one")
pytest.importorskip("xover_msgs", reason="needs xover_msgs; build the workspace with colcon")
pytest.importorskip("xover_ros", reason="needs xover_ros; build the workspace with colcon")

from xover_ros.shared_memory import PROFILE_VARIABLE, shared_memory_profile, use_shared_memory_profile

IMAGE_BYTES = 1280 * 720 * 3


def test_the_profile_holds_several_large_images() -> None:
    root = ET.parse(shared_memory_profile()).getroot()
    sizes = [int(element.text or 0) for element in root.iter() if element.tag.endswith("segment_size")]
    assert len(sizes) == 1
    assert sizes[0] >= 4 * IMAGE_BYTES


def test_the_profile_is_used_unless_the_user_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
    assert use_shared_memory_profile()
    assert os.environ[PROFILE_VARIABLE] == str(shared_memory_profile())
    monkeypatch.setenv(PROFILE_VARIABLE, "/mine.xml")
    assert not use_shared_memory_profile()
    assert os.environ[PROFILE_VARIABLE] == "/mine.xml"


def test_the_runner_does_not_load_numpy_before_it_has_chosen_threads() -> None:
    code = "import sys, xover_ros.node_runner; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
