# SPDX-License-Identifier: Apache-2.0
"""A part of a map on its way into another file: keyframes with what belongs to them, under ids of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from xover_core.landmark_map.landmark_arrays import take_landmarks
from xover_core.landmark_map.map_tables import MapTables
from xover_core.landmark_map.scene_data import SceneUpdate
from xover_core.landmark_map.scene_tables import SceneTables
from xover_core.types import Keyframe, Landmarks, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPart:
    """Scenes that no other part has, with their keyframes and landmarks.

    Attributes:
        scenes: with ids that the file does not have yet.
        keyframes: get new ids when they are stored; those that they have tie this part together.
        landmarks: with ids that the file does not have yet; observations by other keyframes are left out.
        described: views of these keyframes and embeddings of these scenes.
    """

    scenes: tuple[Scene, ...]
    keyframes: tuple[Keyframe, ...]
    landmarks: Landmarks
    described: SceneUpdate = field(default_factory=SceneUpdate)


def write_part(part: MapPart, tables: MapTables, scene_tables: SceneTables) -> None:
    """Write a part; the transaction is the caller's."""
    for scene in part.scenes:
        tables.write_scene(scene)
    new_ids = {keyframe.keyframe_id: tables.write_keyframe(keyframe) for keyframe in part.keyframes}
    landmarks = _with_new_ids(part.landmarks, new_ids)
    for scene_id in np.unique(landmarks.scene_ids).tolist():
        tables.write_landmarks(take_landmarks(landmarks, np.flatnonzero(landmarks.scene_ids == scene_id)), scene_id)
    views = {new_ids[i]: view for i, view in part.described.views.items() if i in new_ids}
    scene_tables.write_update(dataclasses.replace(part.described, views=views))


def _with_new_ids(landmarks: Landmarks, new_ids: Mapping[int, int]) -> Landmarks:
    """The landmarks with observations by the new ids; those by keyframes without one are left out."""
    rows = np.repeat(np.arange(len(landmarks)), np.diff(landmarks.observation_offsets))
    ids = np.array([new_ids.get(i, 0) for i in landmarks.observations[:, 0].tolist()], np.int64)
    stays = ids > 0
    counts = np.bincount(rows[stays], minlength=len(landmarks))
    return dataclasses.replace(
        landmarks,
        observations=np.stack([ids[stays], landmarks.observations[stays, 1]], axis=1),
        observation_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
