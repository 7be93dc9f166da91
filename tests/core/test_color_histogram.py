# SPDX-License-Identifier: Apache-2.0
"""Tests of histograms of colours."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.color_histogram import NUM_COLOR_CELLS, color_histogram


def test_shares_are_those_of_the_colours():
    colors = np.array([[255, 255, 255]] * 3 + [[0, 0, 0]], np.uint8)
    shares = color_histogram(colors)
    assert (shares.shape, shares.dtype) == ((NUM_COLOR_CELLS,), np.float32)
    assert sorted(shares[shares > 0].tolist()) == [0.25, 0.75]
    assert shares @ color_histogram(colors[:1]) == pytest.approx(0.75)


def test_pictures_and_points_of_any_order_are_the_same():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    points = np.random.default_rng(1).permutation(image.reshape(-1, 3))
    expected = color_histogram(image)
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_array_equal(color_histogram(points), expected)
    np.testing.assert_array_equal(color_histogram(points.astype(np.float32)), expected)
    np.testing.assert_array_equal(color_histogram(np.concatenate([points, points])), expected)


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)])
def test_extreme_colours_have_a_cell(color):
    assert color_histogram(np.array([color], np.uint8)).max() == 1


def test_unlike_colours_share_no_cell():
    cells = {int(color_histogram(np.array([c], np.uint8)).argmax()) for c in np.eye(3, dtype=np.uint8) * 255}
    assert len(cells) == 3
