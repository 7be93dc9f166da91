# SPDX-License-Identifier: Apache-2.0
"""Grouping keyframes into scenes: regions of the size of a room.

The place of a keyframe is halfway between its camera and the centroid of the points it sees, so that turning round in
a room moves it by half the room only. A keyframe belongs to the scene with which it shares most of its view, among
the scenes whose mean place lies within `scene_radius` of its own; without shared views, to the nearest; with none
within reach, to a new scene. Means move as keyframes come in; nothing else is remembered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.geometry.transforms import transform_points
from xover_core.landmark_map.covisibility import CovisibilityGraph
from xover_core.types import Float64Array, Keyframe, Scene

# A scene with fewer keyframes joins another within reach when the map is finished: it is the edge of a room.
MIN_KEYFRAMES_PER_SCENE = 4
# How far apart, in scene radii, places may lie for a tiny scene to join a larger one.
_MERGE_REACH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneExtent:
    """Where one or more keyframes are and look, as sums in the map frame.

    Attributes:
        point_sum: (3,) of the points that they see.
        num_points: how many.
        place_sum: (3,) of the keyframes' places.
        num_keyframes: how many.
    """

    point_sum: Float64Array
    num_points: int
    place_sum: Float64Array
    num_keyframes: int

    @property
    def center(self) -> Float64Array:
        """(3,) centroid of the points."""
        return self.point_sum / self.num_points

    @property
    def place(self) -> Float64Array:
        """(3,) mean place of the keyframes."""
        return self.place_sum / self.num_keyframes

    def plus(self, other: SceneExtent | None) -> SceneExtent:
        """Both together."""
        if other is None:
            return self
        return SceneExtent(
            point_sum=self.point_sum + other.point_sum,
            num_points=self.num_points + other.num_points,
            place_sum=self.place_sum + other.place_sum,
            num_keyframes=self.num_keyframes + other.num_keyframes,
        )


def extent_of(keyframe: Keyframe) -> SceneExtent:
    """Extent of one keyframe; one without points looks at where it stands."""
    position = keyframe.T_map_camera[:3, 3]
    points = keyframe.points_camera[np.isfinite(keyframe.points_camera[:, 2])]
    seen = transform_points(keyframe.T_map_camera, points) if len(points) else position[None]
    place = (position + seen.mean(axis=0)) / 2
    return SceneExtent(point_sum=seen.sum(axis=0), num_points=len(seen), place_sum=place, num_keyframes=1)


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
        self._extents: dict[int, SceneExtent] = {}
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
        extent = extent_of(keyframe)
        scene_id = self._choose(extent.place, overlaps)
        return Scene(scene_id=scene_id, center_map=extent.plus(self._extents.get(scene_id)).center)

    def include(self, keyframe: Keyframe) -> None:
        """Remember a keyframe that has been stored in its scene."""
        scene_id = keyframe.scene_id
        self._extents[scene_id] = extent_of(keyframe).plus(self._extents.get(scene_id))
        self._members[keyframe.keyframe_id] = scene_id
        self._last_id = max(self._last_id, scene_id)

    def _choose(self, place: Float64Array, overlaps: Mapping[int, float]) -> int:
        """Id of the scene for a keyframe at `place`; a new id when none is within reach."""
        shared = dict.fromkeys(self._extents, 0.0)
        for keyframe_id, share in overlaps.items():
            shared[self._members[keyframe_id]] += share
        best, best_rank = self._last_id + 1, (-1.0, 0.0)
        for scene_id, extent in self._extents.items():
            distance = float(np.linalg.norm(extent.place - place))
            rank = (shared[scene_id], -distance)
            if distance <= self._radius and rank > best_rank:
                best, best_rank = scene_id, rank
        return best


def merge_tiny_scenes(
    keyframes: Sequence[Keyframe],
    scenes: Sequence[Scene],
    graph: CovisibilityGraph,
    scene_radius: float,
    described: Collection[int] = (),
) -> tuple[list[Keyframe], list[Scene]]:
    """Join scenes of very few keyframes to neighbours and recompute all centres.

    The smallest goes first, to the scene that shares most of its views, among those whose place is near enough; one
    that stands alone stays, and so does one that has a name or that a user described.

    Args:
        keyframes: all of the map.
        scenes: all of the map.
        graph: of the keyframes.
        scene_radius: m.
        described: ids of the scenes that a user described.

    Returns:
        The keyframes with their scene, and the scenes that have keyframes, a name or a description, by id.
    """
    named = {scene.scene_id for scene in scenes if scene.building or scene.floor or scene.room}.union(described)
    members: dict[int, list[int]] = {}
    extents: dict[int, SceneExtent] = {}
    for keyframe in keyframes:
        members.setdefault(keyframe.scene_id, []).append(keyframe.keyframe_id)
        extents[keyframe.scene_id] = extent_of(keyframe).plus(extents.get(keyframe.scene_id))
    scene_of = {keyframe.keyframe_id: keyframe.scene_id for keyframe in keyframes}
    for scene_id in sorted(members, key=lambda i: (len(members[i]), i)):
        if scene_id in named or len(members[scene_id]) >= MIN_KEYFRAMES_PER_SCENE:
            continue
        shared = _shared_views(members[scene_id], scene_of, graph)
        target = _merge_target(scene_id, shared, extents, _MERGE_REACH * scene_radius)
        if target is not None:
            scene_of.update(dict.fromkeys(members[scene_id], target))
            members[target] += members.pop(scene_id)
            extents[target] = extents[target].plus(extents.pop(scene_id))
    moved = [dataclasses.replace(keyframe, scene_id=scene_of[keyframe.keyframe_id]) for keyframe in keyframes]
    kept = [
        dataclasses.replace(scene, center_map=extents[scene.scene_id].center) if scene.scene_id in extents else scene
        for scene in scenes
        if scene.scene_id in extents or scene.scene_id in named
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
    scene_id: int, shared: Mapping[int, float], extents: Mapping[int, SceneExtent], reach: float
) -> int | None:
    """The scene that a tiny one joins; None when no other is within reach (m)."""
    best, best_rank = None, (-1.0, 0.0)
    for other, extent in extents.items():
        distance = float(np.linalg.norm(extent.place - extents[scene_id].place))
        rank = (shared.get(other, 0.0), -distance)
        if other != scene_id and distance <= reach and rank > best_rank:
            best, best_rank = other, rank
    return best
