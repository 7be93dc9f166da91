# SPDX-License-Identifier: Apache-2.0
"""`xover demo` in one room: two bags, mapper and localizer as processes over DDS, numbers and report."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("xover_msgs", reason="xover_msgs is not built")

pytestmark = [pytest.mark.ros, pytest.mark.timeout(500)]


@pytest.fixture
def own_domain(monkeypatch):
    """The demo chooses its own domain, as for a user who has set none."""
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setenv("ROS_PYTHON_CHECK_FIELDS", "1")


def test_the_demo_finds_its_way(own_domain, xover, tmp_path):
    code, out, err = xover("demo", "--rooms", 1, "--out", tmp_path)
    assert (code, err) == (0, "")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["mode"] == "ROS 2 nodes"
    assert content["queries"] > 20
    # one textured room, seen before: a localizer that works finds itself at once and stays there
    assert content["success"]["0.25m_10deg"] >= 0.8
    assert content["wrong"] == 0.0
    assert content["time_to_first_right_fix_s"] is not None
    assert content["latency_ms"]["p50"] > 0
    assert (tmp_path / "report.html").is_file()
    assert "right within 0.25 m, 10 deg" in out
    logs = "".join(log.read_text() for log in (tmp_path / "logs").iterdir())
    assert "Traceback" not in logs
