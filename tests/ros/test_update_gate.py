# SPDX-License-Identifier: Apache-2.0
"""Which frames are processed."""

from __future__ import annotations

import numpy as np
import pytest
from xover_ros.update_gate import GateLimits, UpdateGate

from xover_core.geometry.transforms import exp_se3, make_pose
from xover_core.types import Mat4

SECOND_NS = 1_000_000_000


def _at(x: float, angle: float = 0.0) -> Mat4:
    return make_pose(exp_se3(np.array([0, 0, 0, 0, 0, angle]))[:3, :3], (x, 0, 0))


@pytest.fixture
def gate() -> UpdateGate:
    return UpdateGate(GateLimits(max_rate_hz=10.0, min_translation=0.25, min_rotation=0.2, max_wait_s=2.0))


def test_a_camera_at_the_limit_of_the_rate_passes_in_spite_of_jitter(gate: UpdateGate) -> None:
    random = np.random.default_rng(3)
    stamps = np.arange(50) * 0.1 + random.uniform(-0.004, 0.004, 50)
    passed = [gate.admits(int((1 + t) * SECOND_NS), None, is_localized=False) for t in stamps]
    assert all(passed)


def test_a_faster_camera_is_thinned_out(gate: UpdateGate) -> None:
    passed = [gate.admits(i * SECOND_NS // 30, None, is_localized=False) for i in range(90)]
    assert sum(passed) == 30


def test_standing_still_is_skipped_only_once_localized(gate: UpdateGate) -> None:
    assert gate.admits(0, _at(0), is_localized=True)
    assert gate.admits(SECOND_NS // 2, _at(0), is_localized=False)
    assert not gate.admits(SECOND_NS, _at(0.1, 0.1), is_localized=True)
    assert gate.admits(SECOND_NS, _at(0.3), is_localized=True)
    assert gate.admits(3 * SECOND_NS // 2, _at(0.3, 0.3), is_localized=True)


def test_after_a_while_a_frame_passes_without_motion(gate: UpdateGate) -> None:
    assert gate.admits(0, _at(0), is_localized=True)
    assert not gate.admits(SECOND_NS, _at(0), is_localized=True)
    assert gate.admits(2 * SECOND_NS, _at(0), is_localized=True)


def test_without_odometry_motion_cannot_be_asked_for(gate: UpdateGate) -> None:
    assert gate.admits(0, None, is_localized=True)
    assert gate.admits(SECOND_NS, None, is_localized=True)


def test_force_and_reset(gate: UpdateGate) -> None:
    assert gate.admits(0, _at(0), is_localized=True)
    gate.force_next()
    assert gate.admits(1, _at(0), is_localized=True)
    assert not gate.admits(2, _at(0), is_localized=True)
    gate.reset()
    assert gate.admits(0, _at(0), is_localized=True)
