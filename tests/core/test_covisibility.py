# SPDX-License-Identifier: Apache-2.0
"""Tests of covisibility: known views of a box, occlusion, symmetry, and the bookkeeping against a fresh start."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import CAMERA, look_at, room_frame, room_keyframe

from xover_core.landmark_map.covisibility import (
    CovisibilityGraph,
    View,
    view_of_depth,
    view_of_keyframe,
    visible_points,
)
from xover_core.types import Mat4

# One cell of the depth grid more or less at the border of the view.
SHARE_TOLERANCE = 0.05


def view_at(T_map_camera: Mat4, max_depth: float = 100.0) -> View:
    depth = room_frame(T_map_camera).depth
    assert depth is not None
    return view_of_depth(depth, CAMERA, T_map_camera, max_depth)


def share(seen: View, by: View) -> float:
    return float(visible_points(seen.points_map, [by]).mean())


@pytest.mark.parametrize("origin", [0.0, 5000.0])
def test_view_sees_all_of_itself_wherever_the_map_begins(origin: float) -> None:
    depth = room_frame(look_at((0.5, 0.2, 0.0), 30)).depth
    assert depth is not None
    view = view_of_depth(depth, CAMERA, look_at((origin, origin, 0.0), 30), 100.0)
    assert share(view, view) == pytest.approx(1.0, abs=SHARE_TOLERANCE)


def test_opposite_views_share_nothing() -> None:
    assert share(view_at(look_at((0, 0, 0), 0)), view_at(look_at((0, 0, 0), 180))) == 0


def test_quarter_of_the_view_stays_after_turning_by_three_quarters_of_it() -> None:
    fov_deg = np.degrees(2 * np.arctan(CAMERA.width / 2 / CAMERA.fx))
    near, far = view_at(look_at((0, 0, 0), 0)), view_at(look_at((0, 0, 0), 0.75 * fov_deg))
    # tan of a quarter of the view's angle and of half of it give the columns that stay
    expected = (np.tan(np.radians(fov_deg / 2)) - np.tan(np.radians(fov_deg / 4))) / 2 / np.tan(np.radians(fov_deg / 2))
    assert share(near, far) == pytest.approx(expected, abs=SHARE_TOLERANCE)


def test_what_is_behind_a_surface_is_not_seen() -> None:
    pose = look_at((0, 0, 0), 0)
    wall_in_front = view_of_depth(np.full((64, 80), 1.0, np.float32), CAMERA, pose, 100.0)
    assert share(view_at(pose), wall_in_front) == 0


def test_keyframe_gives_the_same_view_as_its_frame() -> None:
    pose = look_at((0.5, 0.2, 0.0), 30)
    of_frame, of_keyframe = view_at(pose), view_of_keyframe(room_keyframe(pose))
    assert share(of_frame, of_keyframe) > 1 - SHARE_TOLERANCE
    assert share(of_keyframe, of_frame) > 1 - SHARE_TOLERANCE


def test_readings_beyond_the_range_do_not_count() -> None:
    pose = look_at((0, 0, 0), 30)
    view = view_at(pose, max_depth=2.8)
    assert 0 < len(view.points_map) < len(view_at(pose).points_map)
    assert view.depth.max() <= 2.8


def test_no_view_and_no_point() -> None:
    view = view_at(look_at((0, 0, 0), 0))
    blind = view_of_depth(np.zeros((64, 80), np.float32), CAMERA, look_at((0, 0, 0), 0), 100.0)
    assert visible_points(view.points_map, []).shape == (0, len(view.points_map))
    assert visible_points(blind.points_map, [view]).shape == (1, 0)
    graph = CovisibilityGraph()
    assert graph.overlaps(view) == {}
    graph.add(1, blind)
    assert graph.overlaps(view) == {}
    assert graph.overlaps(blind) == {}
    assert graph.usefulness(1) == 0


def test_overlaps_name_the_keyframes_that_see_the_view() -> None:
    graph = CovisibilityGraph()
    for i, heading in enumerate((0, 20, 180), start=1):
        graph.add(i, view_at(look_at((0, 0, 0), heading)))
    overlaps = graph.overlaps(view_at(look_at((0, 0, 0), 0)))
    assert set(overlaps) == {1, 2}
    assert overlaps[1] > overlaps[2] > 0
    assert graph.covisible(1).keys() == {2}


def test_doubled_view_is_least_useful() -> None:
    graph = CovisibilityGraph()
    for i, heading in enumerate((0, 90, 180, 270, 91), start=1):
        graph.add(i, view_at(look_at((0, 0, 0), heading)))
    assert graph.usefulness(1) == pytest.approx(1.0, abs=SHARE_TOLERANCE)
    assert graph.usefulness(2) == pytest.approx(0.5, abs=SHARE_TOLERANCE)
    assert graph.least_useful() in (2, 5)


def test_adding_and_removing_gives_what_a_fresh_start_gives() -> None:
    views = [view_at(look_at((0.1 * i, 0, 0), 25 * i)) for i in range(8)]
    graph, fresh = CovisibilityGraph(), CovisibilityGraph()
    for i, view in enumerate(views):
        graph.add(i, view)
    for i in (3, 0):
        graph.remove(i)
    kept = [1, 2, 4, 5, 6, 7]
    for i in kept:
        fresh.add(i, views[i])
    assert len(graph) == len(fresh) == 6
    for i in kept:
        assert graph.covisible(i) == fresh.covisible(i)
        assert graph.usefulness(i) == fresh.usefulness(i)
    assert graph.overlaps(views[0]) == fresh.overlaps(views[0])
