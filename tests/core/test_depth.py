# SPDX-License-Identifier: Apache-2.0
"""Depth: units, missing readings, sampling."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.geometry.depth import metres_from_raw, sample_depth, valid_share


@pytest.mark.parametrize(
    ("dtype", "raw", "scale"), [(np.uint16, 2500, 1000.0), (np.uint16, 12500, 5000.0), (np.float32, 2.5, 1.0)]
)
def test_units(dtype, raw, scale):
    metres = metres_from_raw(np.full((2, 3), raw, dtype), depth_scale=scale)
    assert metres.dtype == np.float32
    np.testing.assert_allclose(metres, 2.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0, 0.0])
def test_no_reading_is_zero(bad):
    assert metres_from_raw(np.array([[bad]], np.float32), depth_scale=1.0).tolist() == [[0.0]]


def test_raw_image_is_not_changed():
    raw = np.array([[np.nan, 1.0]], np.float32)
    metres_from_raw(raw, depth_scale=1.0)
    assert np.isnan(raw[0, 0])


def test_sampling_takes_the_nearest_pixel():
    depth = np.arange(12, dtype=np.float32).reshape(3, 4)
    pixels = np.array([[1.4, 0.6], [3.49, 2.49], [0.0, 0.0]])
    assert sample_depth(depth, pixels).tolist() == [5.0, 11.0, 0.0]


def test_sampling_outside_or_too_far_gives_no_reading():
    depth = np.full((3, 4), 5.0, np.float32)
    pixels = np.array([[-1.0, 0.0], [0.0, 3.0], [4.0, 0.0], [1.0, 1.0]])
    assert sample_depth(depth, pixels).tolist() == [0.0, 0.0, 0.0, 5.0]
    assert sample_depth(depth, pixels, max_depth=4.9).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_valid_share():
    assert valid_share(np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)) == 0.75
    assert valid_share(np.zeros((0, 0), np.float32)) == 0.0
