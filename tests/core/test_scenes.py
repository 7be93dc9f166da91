# SPDX-License-Identifier: Apache-2.0
"""Tests of scenes: rooms far apart, the edge of a room, shared views, names."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import HALF_SIZE, look_at, room_keyframe

from xover_core.geometry.transforms import make_pose
from xover_core.landmark_map.covisibility import CovisibilityGraph, view_of_keyframe
from xover_core.landmark_map.scenes import SceneAssigner, extent_of, merge_tiny_scenes
from xover_core.types import Keyframe, Scene

RADIUS = 3.0
# Rooms are boxes of the same kind, this far apart, m.
ROOM_DISTANCE = 20.0
# Sums of some hundred float32 points, m.
CENTRE_TOLERANCE = 1e-5


def view_in_room(room: int, heading: float, *, keyframe_id: int, scene_id: int = 1) -> Keyframe:
    """A keyframe from the middle of one of several boxes in a row."""
    keyframe = room_keyframe(look_at((0, 0, 0), heading), keyframe_id=keyframe_id, scene_id=scene_id)
    shift = make_pose(np.eye(3), (ROOM_DISTANCE * room, 0, 0))
    return dataclasses.replace(keyframe, T_map_camera=shift @ keyframe.T_map_camera)


def assign(assigner: SceneAssigner, keyframe: Keyframe, overlaps: dict[int, float] | None = None) -> Scene:
    scene = assigner.propose(keyframe, overlaps or {})
    assigner.include(dataclasses.replace(keyframe, scene_id=scene.scene_id))
    return scene


def graph_of(keyframes: list[Keyframe]) -> CovisibilityGraph:
    graph = CovisibilityGraph()
    for keyframe in keyframes:
        graph.add(keyframe.keyframe_id, view_of_keyframe(keyframe))
    return graph


def test_rooms_far_apart_are_scenes() -> None:
    assigner = SceneAssigner(RADIUS)
    rooms = [0, 0, 1, 1, 0]
    scenes = [assign(assigner, view_in_room(room, 90 * i, keyframe_id=i + 1)) for i, room in enumerate(rooms)]
    assert [scene.scene_id for scene in scenes] == [1, 1, 2, 2, 1]


def test_centre_is_the_mean_of_all_points_seen() -> None:
    keyframes = [view_in_room(0, heading, keyframe_id=i) for i, heading in enumerate((0.0, 100.0), start=1)]
    assigner = SceneAssigner(RADIUS)
    scene = [assign(assigner, keyframe) for keyframe in keyframes][-1]
    points = [keyframe.points_camera @ keyframe.T_map_camera[:3, :3].T for keyframe in keyframes]
    np.testing.assert_allclose(scene.center_map, np.concatenate(points).mean(axis=0), atol=CENTRE_TOLERANCE)


def test_proposing_remembers_nothing() -> None:
    assigner = SceneAssigner(RADIUS)
    keyframe = view_in_room(0, 0, keyframe_id=1)
    assert assigner.propose(keyframe, {}).scene_id == assigner.propose(keyframe, {}).scene_id == 1


def test_shared_views_decide_between_scenes_within_reach() -> None:
    near, far = view_in_room(0, 0, keyframe_id=1), view_in_room(0, 120, keyframe_id=2, scene_id=2)
    assigner = SceneAssigner(10.0, [near, far])
    query = view_in_room(0, 20, keyframe_id=3)
    assert assigner.propose(query, {}).scene_id == 1
    assert assigner.propose(query, {1: 0.2, 2: 0.6}).scene_id == 2


def test_shared_views_do_not_reach_across_the_radius() -> None:
    assigner = SceneAssigner(RADIUS, [view_in_room(0, 0, keyframe_id=1)])
    assert assigner.propose(view_in_room(1, 0, keyframe_id=2), {1: 0.9}).scene_id == 2


def test_ids_of_empty_scenes_are_not_given_again() -> None:
    assigner = SceneAssigner(RADIUS, [], [Scene(scene_id=4, center_map=np.zeros(3), room="hall")])
    assert assigner.propose(view_in_room(0, 0, keyframe_id=1), {}).scene_id == 5


def test_keyframe_without_points_counts_where_it_stands() -> None:
    keyframe = view_in_room(1, 0, keyframe_id=1)
    keyframe.points_camera[:] = np.nan
    np.testing.assert_array_equal(extent_of(keyframe).center, (ROOM_DISTANCE, 0, 0))


def merged(
    keyframes: list[Keyframe], radius: float = RADIUS, named: tuple[int, ...] = ()
) -> tuple[list[int], list[Scene]]:
    """Scene of each keyframe, and the scenes, after merging."""
    ids = sorted({keyframe.scene_id for keyframe in keyframes} | set(named))
    scenes = [Scene(scene_id=i, center_map=np.zeros(3), room="named" if i in named else "") for i in ids]
    moved, kept = merge_tiny_scenes(keyframes, scenes, graph_of(keyframes), radius)
    return [keyframe.scene_id for keyframe in moved], kept


@pytest.fixture
def room_with_an_edge() -> list[Keyframe]:
    """Five keyframes in scene 1 and one, in the same box, that became scene 2."""
    large = [view_in_room(0, 15 * i, keyframe_id=i + 1) for i in range(5)]
    return [*large, view_in_room(0, 80, keyframe_id=6, scene_id=2)]


def test_edge_of_a_room_joins_it(room_with_an_edge: list[Keyframe]) -> None:
    ids, scenes = merged(room_with_an_edge)
    assert ids == [1] * 6
    assert [scene.scene_id for scene in scenes] == [1]
    assert (np.abs(scenes[0].center_map) <= HALF_SIZE).all()
    assert scenes[0].center_map.any(), "the centre should have been computed anew"


def test_scene_with_a_name_stays(room_with_an_edge: list[Keyframe]) -> None:
    ids, scenes = merged(room_with_an_edge, named=(2, 9))
    assert ids == [1] * 5 + [2]
    assert [scene.scene_id for scene in scenes] == [1, 2, 9]


def test_scene_that_stands_alone_stays(room_with_an_edge: list[Keyframe]) -> None:
    far = view_in_room(1, 0, keyframe_id=7, scene_id=3)
    ids, scenes = merged([*room_with_an_edge, far])
    assert ids == [1] * 6 + [3]
    assert [scene.scene_id for scene in scenes] == [1, 3]


def test_no_keyframes() -> None:
    assert merged([]) == ([], [])
