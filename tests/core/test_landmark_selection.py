# SPDX-License-Identifier: Apache-2.0
"""Tests of landmark selection: spacing, number for each scene, and all of it on keyframes of a box."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import HALF_SIZE, look_at, room_keyframe

from xover_core.config import MappingSettings
from xover_core.errors import ConfigError
from xover_core.landmark_map.landmark_arrays import concatenate_landmarks, take_landmarks
from xover_core.landmark_map.landmark_selection import build_landmarks, select_spread
from xover_core.types import Keyframe, Landmarks

SETTINGS = MappingSettings(landmark_radius=0.2, landmark_spacing=0.15, max_landmarks_per_scene=60)
# Landmarks are means of points on the walls, and patches of a corner may be averaged across it, m.
WALL_TOLERANCE = 0.2


@pytest.fixture(scope="module")
def keyframes() -> list[Keyframe]:
    """Five views of one scene, two of another."""
    views = [((0.2 * i, 0.0, 0.0), 10 * i, 1) for i in range(5)] + [((0, 0.1 * i, 0), 180 + 5 * i, 2) for i in range(2)]
    return [
        room_keyframe(look_at(position, heading), keyframe_id=i, scene_id=scene_id)
        for i, (position, heading, scene_id) in enumerate(views, start=1)
    ]


@pytest.fixture(scope="module")
def landmarks(keyframes: list[Keyframe]) -> Landmarks:
    return build_landmarks(keyframes, SETTINGS, lambda _: None)


@pytest.mark.parametrize("temperature", [1e-6, -0.01, 2.0])
def test_temperature_out_of_range(temperature: float) -> None:
    with pytest.raises(ConfigError, match="landmark_score_temperature"):
        MappingSettings(landmark_score_temperature=temperature)


def test_temperature_is_used(keyframes: list[Keyframe], landmarks: Landmarks) -> None:
    """A softer ranking gives lower scores: a positive shares its rank with all that are about as similar."""
    soft = build_landmarks(keyframes, dataclasses.replace(SETTINGS, landmark_score_temperature=0.3), lambda _: None)
    exact = build_landmarks(keyframes, dataclasses.replace(SETTINGS, landmark_score_temperature=0.0), lambda _: None)
    assert soft.scores.mean() < 0.8 * exact.scores.mean()
    assert landmarks.scores.mean() == pytest.approx(exact.scores.mean(), rel=0.05)


def spread(positions: list[float], scores: list[float], spacing: float, max_per_scene: int = 9) -> list[int]:
    points = np.zeros((len(positions), 3), np.float32)
    points[:, 0] = positions
    rows = select_spread(
        points,
        np.array(scores, np.float32),
        np.ones(len(positions), np.int64),
        spacing=spacing,
        max_per_scene=max_per_scene,
    )
    return rows.tolist()


def test_better_landmark_wins_its_surroundings() -> None:
    assert spread([0, 1, 2, 3], [0.5, 0.9, 0.6, 0.7], 1.5) == [1, 3]


def test_landmark_beaten_by_a_beaten_one_stays() -> None:
    assert spread([0, 1, 2], [0.9, 0.8, 0.7], 1.5) == [0, 2]


def test_number_and_order() -> None:
    assert spread([0, 10, 20, 30], [0.5, 0.9, 0.6, 0.7], 1.0, max_per_scene=3) == [1, 3, 2]


def test_no_spacing_keeps_all_and_nothing_gives_nothing() -> None:
    assert spread([0, 0, 0], [0.1, 0.3, 0.2], 0.0) == [1, 2, 0]
    assert spread([], [], 1.0) == []


def test_number_holds_for_each_scene() -> None:
    points = np.arange(12, dtype=np.float32).reshape(4, 3) * 10
    scores = np.array([0.1, 0.9, 0.5, 0.6], np.float32)
    rows = select_spread(points, scores, np.array([2, 1, 1, 2]), spacing=1.0, max_per_scene=1)
    assert rows.tolist() == [1, 3]


def test_landmarks_lie_on_the_walls_and_apart(landmarks: Landmarks) -> None:
    assert len(landmarks) > 30
    to_wall = np.min(np.abs(np.abs(landmarks.positions_map) - HALF_SIZE), axis=1)
    assert to_wall.max() < WALL_TOLERANCE
    distances = np.linalg.norm(landmarks.positions_map[:, None] - landmarks.positions_map[None], axis=2)
    assert distances[~np.eye(len(landmarks), dtype=bool)].min() > SETTINGS.landmark_spacing


def test_landmarks_hold_what_the_map_promises(landmarks: Landmarks, keyframes: list[Keyframe]) -> None:
    assert landmarks.landmark_ids.tolist() == list(range(1, len(landmarks) + 1))
    assert ((landmarks.scores > 0) & (landmarks.scores <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(landmarks.embeddings.astype(np.float32), axis=1), 1, atol=2e-3)
    assert np.bincount(landmarks.scene_ids).max() <= SETTINGS.max_landmarks_per_scene
    by_id = {keyframe.keyframe_id: keyframe for keyframe in keyframes}
    for i in range(len(landmarks)):
        views = landmarks.observations[landmarks.observation_offsets[i] : landmarks.observation_offsets[i + 1]]
        assert len(set(views[:, 0].tolist())) == len(views) >= 2
        scenes = [by_id[keyframe_id].scene_id for keyframe_id in views[:, 0]]
        assert scenes.count(landmarks.scene_ids[i]) * 2 >= len(scenes)
        for keyframe_id, patch in views:
            point = by_id[keyframe_id].T_map_camera @ np.append(by_id[keyframe_id].points_camera[patch], 1)
            assert np.linalg.norm(point[:3] - landmarks.positions_map[i]) <= 2 * SETTINGS.landmark_radius


def test_best_come_first_in_each_scene(landmarks: Landmarks) -> None:
    assert (np.diff(landmarks.scene_ids) >= 0).all()
    for scene_id in np.unique(landmarks.scene_ids):
        assert (np.diff(landmarks.scores[landmarks.scene_ids == scene_id]) <= 0).all()


def test_same_keyframes_give_the_same_landmarks(landmarks: Landmarks, keyframes: list[Keyframe]) -> None:
    again = build_landmarks(keyframes, SETTINGS, lambda _: None)
    for field in dataclasses.fields(Landmarks):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(landmarks, field.name))


def test_progress_ends_at_one_and_may_stop_the_work(keyframes: list[Keyframe]) -> None:
    shares: list[float] = []
    build_landmarks(keyframes, SETTINGS, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_landmarks(keyframes, SETTINGS, stop)


def test_keyframes_without_points_give_none(keyframes: list[Keyframe]) -> None:
    blind = [dataclasses.replace(keyframe, points_camera=keyframe.points_camera * np.nan) for keyframe in keyframes]
    for nothing in (blind, []):
        assert len(build_landmarks(nothing, SETTINGS, lambda _: None)) == 0
    none_wanted = dataclasses.replace(SETTINGS, max_landmarks_per_scene=0)
    assert len(build_landmarks(keyframes, none_wanted, lambda _: None)) == 0


def test_taking_and_joining_landmarks(landmarks: Landmarks) -> None:
    num = len(landmarks)
    parts = [take_landmarks(landmarks, np.arange(a, b)) for a, b in ((0, 5), (5, 5), (5, num))]
    joined = concatenate_landmarks(parts)
    for field in dataclasses.fields(Landmarks):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(landmarks, field.name))
    backwards = take_landmarks(landmarks, np.array([3, 1]))
    offsets = landmarks.observation_offsets
    expected = [landmarks.observations[offsets[i] : offsets[i + 1]] for i in (3, 1)]
    np.testing.assert_array_equal(backwards.observations, np.concatenate(expected))
