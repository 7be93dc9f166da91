# SPDX-License-Identifier: Apache-2.0
"""Stored views: points and normals of keyframes in the map frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import HALF_SIZE, look_at, room_keyframe
from localization_cases import CAMERA, T_MAP_KEYFRAME, room_query, room_view

from xover_core.encoders.patch_grid import make_patch_grid
from xover_core.geometry.camera import viewing_rays
from xover_core.localization.keyframe_store import grid_normals, make_stored_view

# exact points, stored as float32
TOLERANCE = 1e-4
# Patch centres lie between pixels, and depth is that of the nearest; on a wall seen at a slant that is m off.
HALF_PIXEL = 0.01
GRID = make_patch_grid(320, 240, 240)


def plane_points(normal: tuple[float, float, float], distance: float) -> np.ndarray:
    """Where the rays of all patches meet the plane `normal . p = -distance`."""
    rays = viewing_rays(GRID.keypoints_px, CAMERA)
    unit = np.array(normal) / np.linalg.norm(normal)
    return rays * (-distance / (rays @ unit))[:, None]


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.3, -0.2, -1), (-0.4, 0.3, -1), (0.0, -0.5, -0.8)])
def test_normals_of_a_plane_point_towards_the_camera(normal):
    normals = grid_normals(plane_points(normal, 2.0), (30, 40)).reshape(30, 40, 3)
    expected = np.array(normal) / np.linalg.norm(normal)
    np.testing.assert_allclose(normals[1:-1, 1:-1], np.broadcast_to(expected, (28, 38, 3)), atol=TOLERANCE)


def test_there_are_no_normals_at_the_border():
    normals = grid_normals(plane_points((0, 0, -1), 2.0), (30, 40)).reshape(30, 40, 3)
    for border in (normals[0], normals[-1], normals[:, 0], normals[:, -1]):
        assert np.isnan(border).all()


def test_there_are_no_normals_across_an_edge_or_next_to_a_hole():
    points = plane_points((0, 0, -1), 2.0).reshape(30, 40, 3)
    points[:, 20:] *= 2  # a farther wall
    points[10, 5] = np.nan
    normals = grid_normals(points.reshape(-1, 3), (30, 40)).reshape(30, 40, 3)
    assert np.isnan(normals[1:-1, 19:21]).all()
    assert np.isfinite(normals[1:-1, [18, 21]]).all()
    for v, u in ((10, 5), (9, 5), (11, 5), (10, 4), (10, 6)):
        assert np.isnan(normals[v, u]).all()


@pytest.mark.parametrize("grid_shape", [(1, 1), (1, 40), (40, 1), (2, 20), (20, 2), (3, 3)])
def test_small_grids_have_normals_only_inside(grid_shape):
    count = grid_shape[0] * grid_shape[1]
    normals = grid_normals(np.tile([0.0, 0.0, 2.0], (count, 1)), grid_shape)
    assert normals.shape == (count, 3)
    assert np.isnan(normals).all()  # the points coincide


def test_a_view_of_the_room_lies_on_its_walls():
    view = room_view(T_MAP_KEYFRAME)
    assert view.has_point.all()
    to_wall = np.abs(HALF_SIZE - np.abs(view.points_map)).min(axis=1)
    np.testing.assert_allclose(to_wall, 0, atol=HALF_PIXEL)
    known = np.isfinite(view.normals_map[:, 0])
    assert known.mean() > 0.6
    # inside of a wall the normal is the axis of the wall, inwards; across a corner it is between the two
    inward = -np.sign(view.points_map) * (np.abs(HALF_SIZE - np.abs(view.points_map)) < HALF_PIXEL)
    agreement = np.einsum("ni,ni->n", view.normals_map, inward)[known]
    assert np.median(agreement) == pytest.approx(1, abs=0.001)
    assert agreement.min() > 0


def test_normals_turn_with_the_camera():
    # the same picture, told to be somewhere else
    here = room_keyframe(look_at((0.0, 0.0, 0.0), 0.0))
    T_moved = look_at((5.0, 1.0, 0.0), 90.0)
    moved = make_stored_view(dataclasses.replace(here, T_map_camera=T_moved))
    R_turn = T_moved[:3, :3] @ here.T_map_camera[:3, :3].T
    np.testing.assert_allclose(moved.normals_map, make_stored_view(here).normals_map @ R_turn.T, atol=TOLERANCE)


def test_a_keyframe_without_depth_has_no_points():
    view = room_view(T_MAP_KEYFRAME, has_depth=False)
    assert not view.has_point.any()
    assert np.isnan(view.points_map).all()
    assert np.isnan(view.normals_map).all()


def test_descriptors_are_float32_of_the_finest_scale():
    view = make_stored_view(room_keyframe(look_at((0.0, 0.0, 0.0), 0.0)))
    assert view.descriptors.dtype == np.float32
    np.testing.assert_array_equal(view.descriptors, view.keyframe.descriptors[0])


def test_a_query_in_the_room_is_consistent_with_a_view():
    query, view = room_query(T_MAP_KEYFRAME), room_view(T_MAP_KEYFRAME)
    np.testing.assert_allclose(query.points_camera, view.keyframe.points_camera, atol=TOLERANCE)
