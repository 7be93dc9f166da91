# SPDX-License-Identifier: Apache-2.0
"""Tests of fine rasters of drawings: laid down, cut, and where points of the drawing are in them."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.plan_raster import PLAN_FINENESS, PLAN_MULTIPLE, PLAN_SIZE, place_plan, plan_raster, window
from xover_core.errors import SensorDataError

SCALE = 25.0
# sums of ink in another order
INK_TOLERANCE = 1e-4


def _drawing(height_px: int, width_px: int) -> np.ndarray:
    """Walls of a room with a block in one corner, on wide paper."""
    image = np.full((height_px + 60, width_px + 80, 3), 255, np.uint8)
    image[20 : 20 + height_px, 50 : 50 + width_px] = 0
    image[23 : 17 + height_px, 53 : 47 + width_px] = 255
    image[30:36, 60:70] = 90
    return image


@pytest.mark.parametrize(("height", "width"), [(100, 60), (60, 100), (250, 30)])
def test_the_longer_side_lies_and_no_ink_is_lost(height, width):
    image = _drawing(height, width)
    raster = plan_raster(image, SCALE)
    assert raster.dtype == np.float32
    assert not np.array(raster.shape) % PLAN_MULTIPLE @ (1, 1)
    rows, columns = np.nonzero(raster > 0.5)
    assert np.ptp(columns) > np.ptp(rows)
    whole = rasterize(image, SCALE, fineness=PLAN_FINENESS)
    assert whole.shape == (PLAN_SIZE, PLAN_SIZE)
    np.testing.assert_allclose(raster.sum(), whole.sum(), rtol=INK_TOLERANCE)


def test_lying_and_upright_drawings_give_one_raster():
    image = _drawing(61, 101)
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    np.testing.assert_allclose(plan_raster(turned, SCALE), plan_raster(image, SCALE), atol=INK_TOLERANCE)


def test_a_window_holds_the_ink_of_all_rasters():
    rasters = np.zeros((2, PLAN_SIZE, PLAN_SIZE), np.float32)
    rasters[0, 112, 100:120] = 1
    rasters[1, 60:150, 112] = 1
    rows, columns = window(rasters)
    assert (rows.start, rows.stop) == (48, 176)
    assert (columns.start, columns.stop) == (88, 136)
    assert window(np.zeros_like(rasters))[0] == slice(104, 120)


def test_points_are_where_their_ink_is():
    image = _drawing(60, 100)
    raster = rasterize(image, 2 * SCALE, fineness=PLAN_FINENESS)
    block = np.array([[64.5, 32.5]])
    u, v = place_plan(image, 2 * SCALE, block)[0]
    assert raster[round(float(v)), round(float(u))] > 0.3
    away = place_plan(image, 2 * SCALE, block + 12)[0]
    assert raster[round(float(away[1])), round(float(away[0]))] == 0


def test_empty_paper_is_refused():
    with pytest.raises(SensorDataError, match="empty"):
        plan_raster(np.full((20, 30, 3), 255, np.uint8), SCALE)
