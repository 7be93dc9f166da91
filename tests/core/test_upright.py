# SPDX-License-Identifier: Apache-2.0
"""Up, as cameras tell it."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at

from xover_core.geometry.transforms import exp_se3
from xover_core.geometry.upright import upright_rotation

# Cameras that look round level on average, up to rounding.
MAX_ERROR = 1e-9


def turning() -> list[np.ndarray]:
    return [look_at((0, 0, 0), heading) for heading in range(0, 360, 30)]


def test_a_level_world_stays() -> None:
    np.testing.assert_array_equal(upright_rotation(turning()), np.eye(3))


def test_a_camera_that_looks_down_all_the_time_changes_nothing() -> None:
    down = exp_se3(np.array([0, 0, 0, -np.deg2rad(30), 0, 0]))
    np.testing.assert_array_equal(upright_rotation([look_at((0, 0, 0), 0.0) @ down]), np.eye(3))


@pytest.mark.parametrize("twist", [(1.5, 0, 0), (0, -2.0, 0), (1.0, 1.0, 0.5), (np.pi, 0, 0), (0, np.pi, 0)])
def test_a_world_that_lies_on_its_side_is_raised(twist: tuple[float, float, float]) -> None:
    T_lying_level = exp_se3(np.array([0, 0, 0, *twist]))
    rotation = upright_rotation([T_lying_level @ pose for pose in turning()])
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=MAX_ERROR)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation @ T_lying_level[:3, 2], (0, 0, 1), atol=1e-6)


def test_the_world_of_a_first_camera_is_raised() -> None:
    """Its y points down."""
    np.testing.assert_allclose(upright_rotation([np.eye(4)]) @ (0.0, -1.0, 0.0), (0, 0, 1), atol=MAX_ERROR)


def test_nobody_knows() -> None:
    np.testing.assert_array_equal(upright_rotation([]), np.eye(3))
    rolling = [exp_se3(np.array([0, 0, 0, 0, 0, angle])) for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False)]
    np.testing.assert_array_equal(upright_rotation(rolling), np.eye(3))
