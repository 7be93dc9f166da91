# SPDX-License-Identifier: Apache-2.0
"""Rate and age of a stream, and what diagnostics say of it."""

from __future__ import annotations

import pytest
from xover_ros.diagnostics import ERROR, OK, stream_status
from xover_ros.stream_monitor import StreamMonitor

TIMEOUT_S = 5.0


def test_rate_and_age() -> None:
    now = [0.0]
    monitor = StreamMonitor("/rgb/image", lambda: now[0])
    for i in range(100):
        now[0] = i * 0.1
        monitor.note()
    assert monitor.rate_hz == pytest.approx(10.0)
    assert monitor.age_s == 0.0
    now[0] += 20
    assert monitor.age_s == pytest.approx(20.0)
    assert monitor.rate_hz < 3.0


def test_a_silent_stream_is_named() -> None:
    now = [0.0]
    monitor = StreamMonitor("/camera/depth", lambda: now[0])
    assert stream_status(monitor, TIMEOUT_S).level == OK
    now[0] = 6.0
    status = stream_status(monitor, TIMEOUT_S)
    assert status.level == ERROR
    assert "/camera/depth" in status.message
    assert "since the start" in status.message
    assert stream_status(monitor, TIMEOUT_S, is_needed=False).level == OK
    monitor.note()
    now[0] = 12.0
    assert "for 6 s" in stream_status(monitor, TIMEOUT_S).message
