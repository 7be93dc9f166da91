# SPDX-License-Identifier: Apache-2.0
"""Grouping keyframes into scenes: regions of the size of a room, by what the keyframes look at.

A keyframe belongs to the scene with which it shares most of its view, among the scenes whose centre lies within
`scene_radius` of the centroid of the points it sees; without shared views, to the nearest; without any centre in
reach, to a new scene. A scene's centre is the mean of all points seen from its keyframes and moves as they come in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.geometry.transforms import transform_points
from xover_core.landmark_map.covisibility import CovisibilityGraph
from xover_core.types import Float64Array, Keyframe, Scene

# A scene with fewer keyframes joins another within reach when the map is finished: it is the edge of a room.
MIN_KEYFRAMES_PER_SCENE = 4
# How far apart, in scene radii, centres may lie for a tiny scene to join a larger one.
_MERGE_REACH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewedPoints:
    """Sum and number of the points seen from one or more keyframes, in the map frame."""

    total: Float64Array
    count: int

    @property
    def centroid(self) -> Float64Array:
        """(3,) mean; the origin of nothing."""
        return self.total / max(self.count, 1)

    def plus(self, other: ViewedPoints) -> ViewedPoints:
        """Both together."""
        return ViewedPoints(total=self.total + other.total, count=self.count + other.count)


def viewed_points(keyframe: Keyframe) -> ViewedPoints:
    """What a keyframe looks at; its own position when it has no point."""
    points = keyframe.points_camera[np.isfinite(keyframe.points_camera[:, 2])]
    if not len(points):
        return ViewedPoints(total=keyframe.T_map_camera[:3, 3].copy(), count=1)
    return ViewedPoints(total=transform_points(keyframe.T_map_camera, points).sum(axis=0), count=len(points))


class SceneAssigner:
    """Assigns keyframes to scenes one by one, as they come."""

    def __init__(self, scene_radius: float, keyframes: Iterable[Keyframe] = (), scenes: Iterable[Scene] = ()) -> None:
        """Continue with the keyframes of a map, if given.

        Args:
            scene_radius: m.
            keyframes: that have a scene already.
            scenes: all of the map; those without keyframes only keep their id from being given again.
        """
        self._radius = scene_radius
        self._viewed: dict[int, ViewedPoints] = {}
        self._members: dict[int, int] = {}
        self._last_id = max((scene.scene_id for scene in scenes), default=0)
        for keyframe in keyframes:
            self.include(keyframe)

    def propose(self, keyframe: Keyframe, overlaps: Mapping[int, float]) -> Scene:
        """Scene of a new keyframe with its centre as it will be; nothing is remembered yet.

        Args:
            keyframe: its scene and id are ignored.
            overlaps: share of its points that other keyframes see, by keyframe id.
        """
        viewed = viewed_points(keyframe)
        scene_id = self._choose(viewed.centroid, overlaps)
        if scene_id in self._viewed:
            viewed = viewed.plus(self._viewed[scene_id])
        return Scene(scene_id=scene_id, center_map=viewed.centroid)

    def include(self, keyframe: Keyframe) -> None:
        """Remember a keyframe that has been stored in its scene."""
        viewed, scene_id = viewed_points(keyframe), keyframe.scene_id
        self._viewed[scene_id] = viewed.plus(self._viewed[scene_id]) if scene_id in self._viewed else viewed
        self._members[keyframe.keyframe_id] = scene_id
        self._last_id = max(self._last_id, scene_id)

    def _choose(self, centroid: Float64Array, overlaps: Mapping[int, float]) -> int:
        """Id of the scene for a view of `centroid`; a new id when no centre is within reach."""
        shared = dict.fromkeys(self._viewed, 0.0)
        for keyframe_id, share in overlaps.items():
            shared[self._members[keyframe_id]] += share
        best, best_rank = self._last_id + 1, (-1.0, 0.0)
        for scene_id, viewed in self._viewed.items():
            distance = float(np.linalg.norm(viewed.centroid - centroid))
            rank = (shared[scene_id], -distance)
            if distance <= self._radius and rank > best_rank:
                best, best_rank = scene_id, rank
        return best


def merge_tiny_scenes(
    keyframes: Sequence[Keyframe], scenes: Sequence[Scene], graph: CovisibilityGraph, scene_radius: float
) -> tuple[list[Keyframe], list[Scene]]:
    """Join scenes of very few keyframes to neighbours and recompute all centres.

    The smallest goes first, to the scene that shares most of its views, among those whose centre is near enough; one
    that stands alone stays, and so does one that has a name.

    Returns:
        The keyframes with their scene, and the scenes that have keyframes or a name, by id.
    """
    named = {scene.scene_id for scene in scenes if scene.building or scene.floor or scene.room}
    members: dict[int, list[int]] = {}
    viewed: dict[int, ViewedPoints] = {}
    for keyframe in keyframes:
        members.setdefault(keyframe.scene_id, []).append(keyframe.keyframe_id)
        seen = viewed_points(keyframe)
        viewed[keyframe.scene_id] = seen.plus(viewed[keyframe.scene_id]) if keyframe.scene_id in viewed else seen
    scene_of = {keyframe.keyframe_id: keyframe.scene_id for keyframe in keyframes}
    for scene_id in sorted(members, key=lambda i: (len(members[i]), i)):
        if scene_id in named or len(members[scene_id]) >= MIN_KEYFRAMES_PER_SCENE:
            continue
        shared = _shared_views(members[scene_id], scene_of, graph)
        target = _merge_target(scene_id, shared, viewed, _MERGE_REACH * scene_radius)
        if target is not None:
            scene_of.update(dict.fromkeys(members[scene_id], target))
            members[target] += members.pop(scene_id)
            viewed[target] = viewed[target].plus(viewed.pop(scene_id))
    moved = [dataclasses.replace(keyframe, scene_id=scene_of[keyframe.keyframe_id]) for keyframe in keyframes]
    kept = [
        dataclasses.replace(scene, center_map=viewed[scene.scene_id].centroid) if scene.scene_id in viewed else scene
        for scene in scenes
        if scene.scene_id in viewed or scene.scene_id in named
    ]
    return moved, kept


def _shared_views(
    keyframe_ids: Iterable[int], scene_of: Mapping[int, int], graph: CovisibilityGraph
) -> dict[int, float]:
    """How much of the views of some keyframes each scene shares, by scene id."""
    shared: dict[int, float] = {}
    for keyframe_id in keyframe_ids:
        for other_id, share in graph.covisible(keyframe_id).items():
            shared[scene_of[other_id]] = shared.get(scene_of[other_id], 0.0) + share
    return shared


def _merge_target(
    scene_id: int, shared: Mapping[int, float], viewed: Mapping[int, ViewedPoints], reach: float
) -> int | None:
    """The scene that a tiny one joins; None when no other centre is within reach (m)."""
    best, best_rank = None, (-1.0, 0.0)
    for other, other_viewed in viewed.items():
        distance = float(np.linalg.norm(other_viewed.centroid - viewed[scene_id].centroid))
        rank = (shared.get(other, 0.0), -distance)
        if other != scene_id and distance <= reach and rank > best_rank:
            best, best_rank = other, rank
    return best
