# SPDX-License-Identifier: Apache-2.0
"""Tests of what the light CrossOver sees of clouds, floorplans and objects."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.encoders.cloud_voxels import VOXEL_DIM, voxelize
from xover_core.encoders.floorplan_raster import RASTER_PIXELS_PER_M, RASTER_SIZE, rasterize
from xover_core.encoders.object_inputs import CROP_SIZE, NUM_POINTS, object_crop, object_points
from xover_core.errors import SensorDataError

# float32 means
TOLERANCE = 1e-5
# of the ink of a drawing at two scales: mean over the raster
RASTER_TOLERANCE = 0.02
BLACK_WALL_M = 0.15


def make_cloud(count=500, seed=0):
    """Points on a grid of 1/1024 m, so that moving by whole metres is exact."""
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(0, (4, 3, 2.5), (count, 3)) * 1024) / 1024
    return points.astype(np.float32), rng.integers(0, 256, (count, 3), dtype=np.uint8)


def by_voxel(voxels):
    return {tuple(row): feature for row, feature in zip(voxels.coordinates.tolist(), voxels.features, strict=True)}


def assert_same_voxels(ours, theirs):
    ours, theirs = by_voxel(ours), by_voxel(theirs)
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        np.testing.assert_allclose(values, theirs[key], atol=TOLERANCE)


def test_points_of_a_voxel_are_averaged():
    points = np.array([[0, 0, 0], [0.04, 0.02, 0.06], [0.36, 0, 0]], np.float32)
    colors = np.array([[255, 0, 0], [0, 0, 255], [51, 51, 51]], np.uint8)
    voxels = by_voxel(voxelize(points, colors))
    assert set(voxels) == {(0, 0, 0), (3, 0, 0)}
    np.testing.assert_allclose(voxels[0, 0, 0][:3], [0, -0.5, 0], atol=TOLERANCE)
    np.testing.assert_allclose(voxels[0, 0, 0][3], 0.03, atol=TOLERANCE)
    np.testing.assert_allclose(voxels[0, 0, 0][4:], [-0.3, -0.4, -0.2], atol=TOLERANCE)
    np.testing.assert_allclose(voxels[3, 0, 0][:3], -0.3, atol=TOLERANCE)


def test_every_voxel_comes_once_and_from_zero_up():
    voxels = voxelize(*make_cloud())
    assert voxels.coordinates.dtype == np.int32
    assert voxels.features.shape == (len(voxels.coordinates), VOXEL_DIM)
    assert voxels.features.dtype == np.float32
    assert len(np.unique(voxels.coordinates, axis=0)) == len(voxels.coordinates)
    assert voxels.coordinates.min(axis=0).tolist() == [0, 0, 0]
    assert voxels.coordinates.max(axis=0).tolist() == [39, 29, 24]
    # within a voxel, up to rounding
    assert np.abs(voxels.features[:, 4:]).max() <= 0.5 + TOLERANCE


def test_the_order_of_points_does_not_matter():
    points, colors = make_cloud()
    order = np.random.default_rng(1).permutation(len(points))
    assert_same_voxels(voxelize(points[order], colors[order]), voxelize(points, colors))


@pytest.mark.parametrize("shift", [(3, 0, 0), (0, -7, 0), (12, 5, 0), (0, 0, 2)])
def test_where_the_origin_is_does_not_matter(shift):
    points, colors = make_cloud()
    assert_same_voxels(voxelize(points + np.float32(shift), colors), voxelize(points, colors))


def test_colours_may_be_floats():
    points, colors = make_cloud()
    assert_same_voxels(voxelize(points, colors.astype(np.float32)), voxelize(points, colors))


def test_a_stray_point_below_is_not_the_floor():
    points, colors = make_cloud()
    stray = np.concatenate([points, [[1.0, 1.0, -3.0]]]).astype(np.float32)
    heights = voxelize(stray, np.concatenate([colors, colors[:1]])).features[:, 3]
    np.testing.assert_allclose(heights.max(), voxelize(points, colors).features[:, 3].max(), atol=0.05)


def test_one_point_is_a_cloud():
    voxels = voxelize(np.array([[5, 6, 7]], np.float32), np.array([[0, 255, 0]], np.uint8))
    assert voxels.coordinates.tolist() == [[0, 0, 0]]
    np.testing.assert_allclose(voxels.features[0], [-0.5, 0.5, -0.5, 0, -0.5, -0.5, -0.5], atol=TOLERANCE)


# Floorplans -----------------------------------------------------------------------------------------------------------


def draw_plan(pixels_per_m, margin_m=0.5, width_m=4.0, height_m=3.0):
    """Walls of a room, and a table."""
    shape = [round((side + 2 * margin_m) * pixels_per_m) for side in (height_m, width_m)]
    image = np.full((*shape, 3), 255, np.uint8)

    def fill(x, y, w, h, value):
        low, high = np.rint(np.array([[y, x], [y + h, x + w]]) * pixels_per_m + margin_m * pixels_per_m).astype(int)
        image[low[0] : high[0], low[1] : high[1]] = value

    fill(0, 0, width_m, height_m, 0)
    fill(BLACK_WALL_M, BLACK_WALL_M, width_m - 2 * BLACK_WALL_M, height_m - 2 * BLACK_WALL_M, 255)
    fill(0.5, 0.5, 1.0, 0.6, 128)
    return image


def extent(raster):
    """Rows and columns with ink: (first, last) of both."""
    rows, columns = np.nonzero(raster > 0.2)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_a_plan_is_in_the_middle_at_its_scale():
    raster = rasterize(draw_plan(40.0), 40.0)
    assert (raster.shape, raster.dtype) == ((RASTER_SIZE, RASTER_SIZE), np.float32)
    assert 0 <= raster.min() <= raster.max() <= 1
    top, bottom, left, right = extent(raster)
    assert abs(bottom - top + 1 - 3 * RASTER_PIXELS_PER_M) <= 2
    assert abs(right - left + 1 - 4 * RASTER_PIXELS_PER_M) <= 2
    assert abs(top + bottom - (RASTER_SIZE - 1)) <= 2
    assert abs(left + right - (RASTER_SIZE - 1)) <= 2


@pytest.mark.parametrize("pixels_per_m", [12.5, 20.0, 80.0])
def test_the_scale_of_the_drawing_does_not_matter(pixels_per_m):
    reference = rasterize(draw_plan(40.0), 40.0)
    assert np.abs(rasterize(draw_plan(pixels_per_m), pixels_per_m) - reference).mean() < RASTER_TOLERANCE
    # of another scale it is another plan
    assert np.abs(rasterize(draw_plan(40.0), 60.0) - reference).mean() > 1.5 * RASTER_TOLERANCE


def test_the_paper_around_a_plan_does_not_matter():
    reference = rasterize(draw_plan(40.0), 40.0)
    moved = np.pad(draw_plan(40.0), ((37, 3), (0, 91), (0, 0)), constant_values=255)
    np.testing.assert_allclose(rasterize(moved, 40.0), reference, atol=TOLERANCE)


def test_a_plan_of_unknown_scale_has_a_usual_size():
    for scale in (15.0, 60.0):
        top, bottom, left, right = extent(rasterize(draw_plan(scale)))
        assert abs(right - left + 1 - 4.5 * RASTER_PIXELS_PER_M) <= 2
        assert abs(bottom - top + 1 - 4.5 * RASTER_PIXELS_PER_M * 3 / 4) <= 2


def test_a_hall_is_cut_off():
    raster = rasterize(draw_plan(20.0, width_m=20.0), 20.0)
    assert extent(raster)[2:] == (0, RASTER_SIZE - 1)


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        (np.zeros((5, 5), np.uint8), 10.0, "RGB image"),
        (np.zeros((5, 5, 4), np.uint8), 10.0, "RGB image"),
        (np.zeros((5, 5, 3), np.float32), 10.0, "RGB image"),
        (np.full((5, 5, 3), 255, np.uint8), 10.0, "empty image"),
        (np.zeros((5, 5, 3), np.uint8), 0.0, "pixels_per_m"),
        (np.zeros((5, 5, 3), np.uint8), -1.0, "pixels_per_m"),
        (np.zeros((5, 5, 3), np.uint8), float("nan"), "pixels_per_m"),
        (np.zeros((5, 5, 3), np.uint8), float("inf"), "pixels_per_m"),
    ],
)
def test_what_is_no_plan_is_refused(image, scale, message):
    with pytest.raises(SensorDataError, match=message) as error:
        rasterize(image, scale)
    assert "\n" not in str(error.value)


# Objects --------------------------------------------------------------------------------------------------------------


def sample(points, colors=None, seed=0):
    return object_points(points, colors, np.random.default_rng(seed))


def test_objects_are_centred_in_the_unit_sphere():
    points, colors = make_cloud(300)
    rows = sample(points, colors)
    assert (rows.shape, rows.dtype) == ((NUM_POINTS, 6), np.float32)
    assert np.linalg.norm(rows[:, :3], axis=1).max() == pytest.approx(1, abs=TOLERANCE)
    np.testing.assert_allclose(sample(points * 4 + 8, colors), rows, atol=TOLERANCE)
    assert len(np.unique(rows, axis=0)) == NUM_POINTS
    given = {tuple(row) for row in colors.astype(np.float32) / np.float32(255) - np.float32(0.5)}
    assert {tuple(row) for row in rows[:, 3:]} <= given


def test_colours_belong_to_their_points():
    points, _ = make_cloud(300)
    colors = np.repeat(np.where(points[:, :1] > points[:, 0].mean(), 255, 0), 3, axis=1).astype(np.uint8)
    rows = sample(points, colors)
    np.testing.assert_array_equal(rows[:, 3] > 0, rows[:, 0] > 0)


def test_without_colours_they_are_zero():
    points, _ = make_cloud(300)
    assert not sample(points)[:, 3:].any()


@pytest.mark.parametrize("count", [1, 5])
def test_few_points_are_drawn_again(count):
    points, colors = make_cloud(count)
    rows = sample(points, colors)
    assert rows.shape == (NUM_POINTS, 6)
    assert np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) == count


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (32, 32), (300, 200)])
def test_crops_are_stretched(size):
    image = np.zeros((*size, 3), np.uint8)
    image[:, : (size[1] + 1) // 2] = 200
    crop = object_crop(image)
    assert (crop.shape, crop.dtype) == ((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    assert (crop[:, 0] == 200).all()
    assert size[1] == 1 or not crop[:, -1].any()
