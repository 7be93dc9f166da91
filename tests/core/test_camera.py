# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera: round trips, and the rule that pixel centres are integers."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.geometry.camera import (
    back_project,
    is_inside,
    project,
    resize_intrinsics,
    scale_pixels,
    viewing_rays,
)

# points are float32: a few 1e-7 of some hundred pixels
TOLERANCE_PX = 2e-4


def test_projection_undoes_back_projection(intrinsics, random):
    pixels = random.uniform((0, 0), (319, 239), size=(100, 2))
    depth = random.uniform(0.3, 8.0, size=100)
    points = back_project(pixels, depth, intrinsics)
    np.testing.assert_allclose(project(points, intrinsics), pixels, atol=TOLERANCE_PX)
    np.testing.assert_allclose(points[:, 2], depth, rtol=1e-6)


def test_principal_point_is_straight_ahead(intrinsics):
    pixel = project(np.array([[0.0, 0.0, 2.0]]), intrinsics)
    np.testing.assert_allclose(pixel, [[intrinsics.cx, intrinsics.cy]])


def test_right_and_down_are_positive(intrinsics):
    u, v = project(np.array([[0.1, 0.2, 1.0]]), intrinsics)[0]
    assert u == pytest.approx(intrinsics.cx + 26.0)
    assert v == pytest.approx(intrinsics.cy + 51.0)


@pytest.mark.parametrize("z", [0.0, -1.0, np.nan])
def test_points_not_before_the_camera_have_no_pixel(intrinsics, z):
    assert np.isnan(project(np.array([[0.1, 0.2, z]]), intrinsics)).all()


@pytest.mark.parametrize("depth", [0.0, -1.0, np.nan])
def test_no_depth_gives_no_point(intrinsics, depth):
    assert np.isnan(back_project(np.array([[10.0, 10.0]]), np.array([depth]), intrinsics)).all()


def test_nothing_in_nothing_out(intrinsics):
    assert project(np.zeros((0, 3)), intrinsics).shape == (0, 2)
    assert back_project(np.zeros((0, 2)), np.zeros(0), intrinsics).shape == (0, 3)
    assert is_inside(np.zeros((0, 2)), 320, 240).shape == (0,)


def test_resizing_the_camera_is_resizing_its_pixels(intrinsics, random):
    points = random.uniform((-1, -1, 1), (1, 1, 5), size=(50, 3))
    smaller = resize_intrinsics(intrinsics, 160, 90)
    expected = scale_pixels(project(points, intrinsics), 160 / 320, 90 / 240)
    np.testing.assert_allclose(project(points, smaller), expected, atol=TOLERANCE_PX)


def test_image_corners_stay_image_corners_when_scaled():
    corners = np.array([[-0.5, -0.5], [319.5, 239.5]])
    np.testing.assert_allclose(scale_pixels(corners, 0.5, 0.5), [[-0.5, -0.5], [159.5, 119.5]])


def test_inside_reaches_half_a_pixel_beyond_centres():
    pixels = np.array([[-0.5, 0.0], [-0.51, 0.0], [319.49, 239.49], [319.5, 0.0], [np.nan, 1.0]])
    assert is_inside(pixels, 320, 240).tolist() == [True, False, True, False, False]


def test_rays_go_through_their_pixels(intrinsics, random):
    pixels = random.uniform((0, 0), (319, 239), size=(20, 2))
    rays = viewing_rays(pixels, intrinsics)
    assert (rays[:, 2] == 1.0).all()
    np.testing.assert_allclose(project(3.0 * rays, intrinsics), pixels, atol=TOLERANCE_PX)
