# SPDX-License-Identifier: Apache-2.0
"""Depth brought to the colour camera: known surfaces, the exact way against the general one, what stays empty."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_up_scans import SCANNET_COLOR, SCANNET_DEPTH, SHIFTED, camera_pose, wall_depth

from xover_core.errors import GeometryError, SensorDataError
from xover_core.geometry.depth_registration import DepthRegistration
from xover_core.geometry.transforms import invert
from xover_core.types import CameraIntrinsics

# The wall's depth changes by less than this over the two depth pixels that rounding may cost, m.
TWO_PIXELS = 0.06
# Half a pixel, for the exact way, m.
HALF_PIXEL = 0.015
# What the wider colour camera has in common with the depth camera: 0.980 of its columns times 0.966 of its rows.
MIN_SHARED = 0.94


def depth_image(number=1):
    return wall_depth(SCANNET_DEPTH, camera_pose(number)).astype(np.float32)


def test_cameras_in_one_place_share_their_rays():
    found = DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, np.eye(4)).apply(depth_image())
    truth = wall_depth(SCANNET_COLOR, camera_pose(1))
    assert found.dtype == np.float32
    assert (found > 0).mean() > MIN_SHARED
    assert np.abs(found - truth)[found > 0].max() < HALF_PIXEL


def test_a_camera_aside_sees_the_same_wall():
    found = DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, invert(SHIFTED)).apply(depth_image())
    truth = wall_depth(SCANNET_COLOR, camera_pose(1) @ SHIFTED)
    assert (found > 0).mean() > 0.9
    assert np.abs(found - truth)[found > 0].max() < TWO_PIXELS
    ignored = DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, np.eye(4)).apply(depth_image())
    both = (found > 0) & (ignored > 0)
    assert np.abs(found - truth)[both].mean() < np.abs(ignored - truth)[both].mean()


def test_the_general_way_agrees_with_the_exact_one():
    nearly = np.eye(4)
    nearly[0, 3] = 1e-5
    exact, general = (
        DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, T).apply(depth_image()) for T in (np.eye(4), nearly)
    )
    both = (exact > 0) & (general > 0)
    assert both.mean() > MIN_SHARED
    assert np.abs(exact - general)[both].max() < TWO_PIXELS


def test_the_nearer_surface_hides_the_other():
    camera = CameraIntrinsics(fx=50.0, fy=50.0, cx=31.5, cy=23.5, width=64, height=48)
    depth = np.full((48, 64), 4.0, np.float32)
    depth[:, 20:30] = 1.0
    aside = np.eye(4)
    aside[0, 3] = 0.2  # the post moves by 10 px, the wall by 2.5 px
    found = DepthRegistration(camera, camera, aside).apply(depth)
    np.testing.assert_array_equal(found[24, 31:39], 1.0)
    np.testing.assert_array_equal(found[24, 24:29], 0.0)  # behind where the post was, nothing was measured
    assert found[24, 50] == found[24, 15] == 4.0


def test_no_reading_stays_none():
    for T in (np.eye(4), SHIFTED):
        registration = DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, T)
        assert not registration.apply(np.zeros((48, 64), np.float32)).any()
        one = np.zeros((48, 64), np.float32)
        one[20, 30] = 2.0
        found = registration.apply(one)
        assert 0 < (found > 0).sum() < 40
        np.testing.assert_allclose(found[found > 0], 2.0, atol=0.02)


def test_other_sizes_and_transforms_are_refused():
    registration = DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, np.eye(4))
    with pytest.raises(SensorDataError, match="126x96, but its calibration says 64x48"):
        registration.apply(np.ones((96, 126), np.float32))
    with pytest.raises(GeometryError, match="rigid"):
        DepthRegistration(SCANNET_DEPTH, SCANNET_COLOR, np.zeros((4, 4)))
    assert cv2.Rodrigues(SHIFTED[:3, :3])[0].any(), "the shifted camera must be turned too"
