# SPDX-License-Identifier: Apache-2.0
"""The query's depth against the map's points, on a wall 2 m ahead."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at
from localization_cases import CAMERA, T_MAP_QUERY, room_query, room_view

from xover_core.config import VerificationSettings
from xover_core.geometry.transforms import exp_se3, transform_points
from xover_core.localization.pose_verification import DepthComparison, compare_depth

SETTINGS = VerificationSettings(depth_tolerance=0.1, depth_tolerance_relative=0.0)
T_MAP_CAMERA = exp_se3(np.array([1.0, 2.0, 3.0, 0.4, 0.2, -0.7]))
WALL = np.array([[-0.4, 0.2, 2.0], [0.0, 0.0, 2.0], [0.5, -0.3, 2.0], [0.2, 0.3, 2.0]])


def compare(depth, points_camera=WALL, settings=SETTINGS) -> DepthComparison:
    image = np.full((240, 320), depth, np.float32)
    return compare_depth(transform_points(T_MAP_CAMERA, points_camera), T_MAP_CAMERA, image, CAMERA, settings)


@pytest.mark.parametrize(
    ("depth", "counts"),
    [(2.0, (4, 0, 0)), (2.09, (4, 0, 0)), (1.91, (4, 0, 0)), (2.11, (0, 4, 0)), (1.89, (0, 0, 4)), (0.0, (0, 0, 0))],
)
def test_counts_of_a_wall(depth, counts):
    found = compare(depth)
    assert (found.num_agree, found.num_see_through, found.num_hidden) == counts
    assert found.num_compared == sum(counts)


def test_shares_are_of_what_was_compared():
    found = DepthComparison(num_agree=3, num_see_through=2, num_hidden=1)
    assert found.agreement == pytest.approx(0.5)
    assert found.see_through == pytest.approx(1 / 3)


@pytest.mark.parametrize("depth", [0.0, np.nan, -1.0])
def test_without_readings_nothing_is_known(depth):
    found = compare(depth)
    assert found.num_compared == 0
    assert np.isnan(found.agreement)
    assert np.isnan(found.see_through)


def test_far_points_may_differ_by_a_share_of_their_depth():
    settings = VerificationSettings(depth_tolerance=0.1, depth_tolerance_relative=0.05)
    assert compare(6.25, WALL * 3, settings).num_agree == 4
    assert compare(6.35, WALL * 3, settings).num_see_through == 4


def test_points_out_of_view_or_unknown_do_not_count():
    outside = np.array([[5.0, 0.0, 2.0], [0.0, -5.0, 2.0], [0.0, 0.0, -2.0], [0.0, 0.0, 0.0], [np.nan] * 3])
    assert compare(2.0, outside).num_compared == 0
    assert compare(2.0, np.concatenate([WALL, outside])).num_agree == 4
    assert compare(2.0, WALL[:0]).num_compared == 0


def test_each_point_is_compared_where_it_appears():
    depth = np.full((240, 320), 2.0, np.float32)
    depth[:, :161] = 3.0  # left of the principal point
    found = compare_depth(transform_points(T_MAP_CAMERA, WALL), T_MAP_CAMERA, depth, CAMERA, SETTINGS)
    assert (found.num_agree, found.num_see_through) == (3, 1)


def test_the_true_pose_agrees_and_a_wrong_one_does_not():
    query = room_query(T_MAP_QUERY)
    assert query.depth is not None
    points = room_view(look_at((-0.4, 0.0, 0.0), 10.0)).points_map
    settings = VerificationSettings()
    right = compare_depth(points, T_MAP_QUERY, query.depth, CAMERA, settings)
    wrong = compare_depth(points, look_at((1.0, 0.5, 0.0), 40.0), query.depth, CAMERA, settings)
    assert right.agreement > 0.99
    assert right.num_compared > 500
    assert wrong.agreement < 0.5
