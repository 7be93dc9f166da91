# SPDX-License-Identifier: Apache-2.0
"""Where patches lie, and the resize that goes with it."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.patch_grid import MAX_SIZES, PATCH_STRIDE, make_patch_grid, resize_to_grid

SIZES = [(320, 240), (640, 480), (1280, 720), (848, 480), (333, 251), (240, 320), (80, 64), (1, 1), (7, 400)]


def test_centres_at_the_working_size_are_pixels_of_the_image():
    grid = make_patch_grid(320, 240, 240)
    assert grid.grid_shape == (30, 40)
    assert grid.working_size == (320, 240)
    np.testing.assert_allclose(grid.keypoints_px[:2], [(3.5, 3.5), (11.5, 3.5)])
    np.testing.assert_allclose(grid.keypoints_px[40], (3.5, 11.5))
    np.testing.assert_allclose(grid.keypoints_px, grid.centers_px)


def test_centres_of_a_larger_image_follow_the_rule_of_pixel_centres():
    grid = make_patch_grid(640, 480, 240)
    # (3.5 + 0.5) * 2 - 0.5
    np.testing.assert_allclose(grid.keypoints_px[0], (7.5, 7.5))
    np.testing.assert_allclose(grid.keypoints_px[-1], (640 - 1 - 7.5, 480 - 1 - 7.5))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_patches_cover_the_image_evenly(width, height):
    grid = make_patch_grid(width, height, 240)
    rows, cols = grid.grid_shape
    assert grid.centers_px.shape == grid.keypoints_px.shape == (rows * cols, 2)
    assert grid.keypoints_px.dtype == np.float32
    assert grid.working_size == (cols * PATCH_STRIDE, rows * PATCH_STRIDE)
    u, v = grid.keypoints_px.reshape(rows, cols, 2).transpose(2, 0, 1).astype(np.float64)
    np.testing.assert_allclose(u[0], (np.arange(cols) + 0.5) * width / cols - 0.5, atol=1e-3)
    np.testing.assert_allclose(v[:, 0], (np.arange(rows) + 0.5) * height / rows - 0.5, atol=1e-3)
    # half a patch at most is lost to rounding the width, except in images narrower than one patch
    if width * rows / height > 1:
        assert abs(cols - width * rows / height) <= 0.5


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_image_is_resized_to_the_working_size(width, height, random):
    grid = make_patch_grid(width, height, 240)
    resized = resize_to_grid(random.integers(0, 255, (height, width, 3), dtype=np.uint8), grid)
    assert resized.shape == (grid.working_size[1], grid.working_size[0], 3)
    assert resized.dtype == np.uint8


def test_an_image_of_the_working_size_is_left_alone(random):
    rgb = random.integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert resize_to_grid(rgb, make_patch_grid(320, 240, 240)) is rgb


def test_shrinking_averages_areas():
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize_to_grid(stripes, make_patch_grid(640, 480, 240)) == 100).all()


def test_grids_are_kept_for_so_many_sizes_and_no_more():
    assert make_patch_grid(640, 480, 240) is make_patch_grid(640, 480, 240)
    for width in range(100, 100 + 2 * MAX_SIZES):
        make_patch_grid(width, 100, 80)
    assert make_patch_grid.cache_info().currsize == MAX_SIZES
