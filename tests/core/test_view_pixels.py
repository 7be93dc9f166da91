# SPDX-License-Identifier: Apache-2.0
"""Tests of the small pictures that things are recognised by: places of pixels, what is missing, other sizes."""

from __future__ import annotations

import numpy as np
import pytest
from room_cases import make_view

from xover_core.encoders.view_pixels import PICTURE_PLANES, PICTURE_SIZE, small_picture, stack_planes, view_pixels
from xover_core.geometry.camera import back_project, resize_intrinsics
from xover_core.types import CameraIntrinsics, RgbdFrame

# float32 at some metres, in units of 3 m
TOLERANCE = 1e-5
CAMERA = CameraIntrinsics(fx=250.0, fy=240.0, cx=160.0, cy=118.0, width=320, height=240)


def make_frame(camera: CameraIntrinsics = CAMERA, has_depth: bool = True) -> RgbdFrame:
    view = make_view(1, camera)
    return RgbdFrame(stamp_ns=0, rgb=view.rgb, depth=view.depth if has_depth else None, intrinsics=camera)


def test_planes_hold_colors_and_places():
    frame = make_frame()
    planes = view_pixels(frame)
    assert (planes.shape, planes.dtype) == ((PICTURE_PLANES, *PICTURE_SIZE[::-1]), np.float32)
    # of each 2 x 2 pixels, the mean colour and one of the readings
    colors = frame.rgb.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3)) / 255 - 0.5
    np.testing.assert_allclose(planes[:3], colors.transpose(2, 0, 1), atol=1 / 255)
    rows, columns = np.nonzero(planes[6])
    small = resize_intrinsics(CAMERA, *PICTURE_SIZE)
    points = back_project(np.stack([columns, rows], axis=1), 3 * planes[5, rows, columns], small)
    np.testing.assert_allclose(3 * planes[3:6, rows, columns].T, points, atol=3 * TOLERANCE * 9)
    readings = frame.depth.reshape(120, 2, 160, 2).transpose(0, 2, 1, 3).reshape(120, 160, 4)
    assert (np.abs(readings - 3 * planes[5][..., None]).min(axis=2) < 1e-3).all()


@pytest.mark.parametrize("reading", [np.nan, -1.0, 0.0, 25.0, np.inf])
def test_what_is_no_reading_is_zero(reading):
    frame = make_frame()
    frame.depth[:] = reading
    assert not view_pixels(frame)[3:].any()


def test_without_depth_only_colors_are_left():
    planes, blind = view_pixels(make_frame()), view_pixels(make_frame(has_depth=False))
    np.testing.assert_array_equal(blind[:3], planes[:3])
    assert not blind[3:].any()


def test_a_larger_image_of_the_same_view_gives_the_same_places():
    camera = CameraIntrinsics(fx=100.0, fy=110.0, cx=70.0, cy=62.0, width=160, height=120)
    depth = np.full((120, 160), 2.5, np.float32)
    rgb = np.full((120, 160, 3), 90, np.uint8)
    small = stack_planes(*small_picture(rgb, depth), camera)
    larger = resize_intrinsics(camera, 480, 600)
    frame = RgbdFrame(
        stamp_ns=0, rgb=np.full((600, 480, 3), 90, np.uint8), depth=np.full((600, 480), 2.5, np.float32),
        intrinsics=larger,
    )  # fmt: skip
    np.testing.assert_allclose(view_pixels(frame), small, atol=TOLERANCE)
