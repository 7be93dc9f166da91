# SPDX-License-Identifier: Apache-2.0
"""Tests of clouds from depth images: known points, one for each voxel, and the box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from room_cases import CAMERA, make_view

from xover_core.datasets.scene_scan import ScanView
from xover_core.training import scan_cloud
from xover_core.training.scan_cloud import fuse_cloud

# float32 at a few metres, m
TOLERANCE = 1e-5
EVERYWHERE = np.full(3, -10.0), np.full(3, 10.0)


def flat_view(depth: float = 2.0, number: int = 1) -> ScanView:
    """A wall 2 m before a camera at (number, 2, 1.5) that looks along z; ids are the column, plus one."""
    columns = np.indices((CAMERA.height, CAMERA.width))[1]
    view = make_view(number)
    return replace(view, depth=np.full(columns.shape, depth, np.float32), instance=(columns + 1).astype(np.int32))


def fuse(views, lower=EVERYWHERE[0], upper=EVERYWHERE[1], seed=0):
    return fuse_cloud(views, lower, upper, np.random.default_rng(seed))


def test_points_are_where_the_camera_sees_them():
    view = flat_view()
    cloud = fuse([view])
    # 2 m / 30 px is more than the voxels' 4 cm: every pixel is kept
    assert len(cloud.points) == CAMERA.width * CAMERA.height
    assert (cloud.points.dtype, cloud.colors.dtype, cloud.instance.dtype) == (np.float32, np.uint8, np.int32)
    local = cloud.points - view.T_scan_camera[:3, 3]
    np.testing.assert_allclose(local[:, 2], 2.0, atol=TOLERANCE)
    u, v = local[:, 0] / 2 * CAMERA.fx + CAMERA.cx, local[:, 1] / 2 * CAMERA.fy + CAMERA.cy
    np.testing.assert_allclose(u, cloud.instance - 1, atol=100 * TOLERANCE)
    np.testing.assert_array_equal(cloud.colors, view.rgb[np.rint(v).astype(int), np.rint(u).astype(int)])


def test_pixels_without_reading_give_no_point():
    view = flat_view()
    view.depth[:, ::2] = 0
    cloud = fuse([view])
    assert len(cloud.points) == CAMERA.width * CAMERA.height // 2
    assert set(np.unique(cloud.instance)) == set(range(2, 33, 2))


def test_voxels_keep_one_point():
    views = [flat_view(0.5), flat_view(0.5), flat_view(0.5, number=2)]
    cloud = fuse(views)
    voxels = np.floor(cloud.points / np.float32(0.04)).astype(int)
    assert len(np.unique(voxels, axis=0)) == len(voxels)
    # both places are there, and none twice
    alone = len(fuse(views[:1]).points), len(fuse(views[2:]).points)
    assert len(cloud.points) == sum(alone)
    assert max(alone) < CAMERA.width * CAMERA.height


def test_only_the_box_is_kept():
    lower, upper = np.array([0.5, 1.5, 0.0]), np.array([1.2, 2.5, 4.0])
    cloud = fuse([flat_view()], lower, upper)
    everything = fuse([flat_view()]).points
    assert len(cloud.points) == ((everything >= lower) & (everything <= upper)).all(axis=1).sum() > 20
    assert (cloud.points >= lower).all()
    assert (cloud.points <= upper).all()


def test_an_empty_box_gives_an_empty_cloud():
    cloud = fuse([flat_view()], np.full(3, 50.0), np.full(3, 60.0))
    assert (cloud.points.shape, cloud.colors.shape, cloud.instance.shape) == ((0, 3), (0, 3), (0,))


def test_a_seed_decides_what_is_kept():
    views = [flat_view(0.5)]
    np.testing.assert_array_equal(fuse(views).points, fuse(views).points)
    assert not np.array_equal(fuse(views).points, fuse(views, seed=1).points)


def test_too_many_points_are_thinned_everywhere(monkeypatch):
    monkeypatch.setattr(scan_cloud, "_MAX_POINTS", 100)
    cloud = fuse([flat_view()])
    assert len(cloud.points) == 100
    # of random places, not of the first rows
    assert np.ptp(cloud.points[:, 1]) > 0.8 * 2 * (CAMERA.height - 1) / CAMERA.fy


@pytest.mark.parametrize("missing", ["depth", "instance"])
def test_views_must_be_complete(missing):
    with pytest.raises(AssertionError, match="scanning renders"):
        fuse([replace(flat_view(), **{missing: None})])
