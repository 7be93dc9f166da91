# SPDX-License-Identifier: Apache-2.0
"""Tests of the size budget: redundant keyframes go first, the space stays covered, landmarks fit beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from box_room import MODEL, look_at, new_storage, put_landmarks, room_keyframe

from xover_core.landmark_map.covisibility import CovisibilityGraph, view_of_keyframe
from xover_core.landmark_map.map_budget import trim_keyframes, trim_landmarks
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.types import Landmarks

BYTES_PER_MB = 1e6


def fill(storage: MapStorage, headings: list[float]) -> CovisibilityGraph:
    """Keyframes from the middle of the box."""
    graph = CovisibilityGraph()
    for heading in headings:
        keyframe = storage.add_keyframe(room_keyframe(look_at((0, 0, 0), heading)))
        graph.add(keyframe.keyframe_id, view_of_keyframe(keyframe))
    return graph


def many_landmarks(num: int) -> Landmarks:
    scores = np.random.default_rng(0).random(num).astype(np.float32)
    return Landmarks(
        landmark_ids=np.arange(1, num + 1),
        scene_ids=np.ones(num, np.int64),
        positions_map=np.zeros((num, 3)),
        radius=0.2,
        embeddings=np.zeros((num, MODEL.descriptor_dim), np.float16),
        scores=scores,
        observation_offsets=np.arange(num + 1) * 2,
        observations=np.tile([[1, 0], [2, 0]], (num, 1)),
    )


def test_no_budget_removes_nothing(tmp_path: Path) -> None:
    with new_storage(tmp_path / "map.xover") as storage:
        graph = fill(storage, [0, 0, 0])
        assert trim_keyframes(storage, graph, 0.0) == []
        landmarks = many_landmarks(10)
        assert trim_landmarks(landmarks, storage, 0.0) is landmarks


def test_redundant_keyframes_go_first(tmp_path: Path) -> None:
    lonely = [0, 90, 180, 270]
    crowded = [45 + i for i in range(12)]
    with new_storage(tmp_path / "map.xover") as storage:
        base = storage.used_bytes
        graph = fill(storage, lonely + crowded)
        size = (storage.used_bytes - base) / 16
        removed = trim_keyframes(storage, graph, (base + 6 * size) / 0.9 / BYTES_PER_MB)
        kept = [keyframe.keyframe_id for keyframe in storage.load().keyframes]
    assert sorted(kept + removed) == list(range(1, 17))
    assert len(removed) > 5
    assert {1, 2, 3, 4} < set(kept)
    assert len(graph) == len(kept)


def test_one_keyframe_stays_whatever_the_budget(tmp_path: Path) -> None:
    with new_storage(tmp_path / "map.xover") as storage:
        trim_keyframes(storage, fill(storage, [0, 50, 100]), 0.000001)
        assert storage.num_keyframes == 1


@pytest.mark.parametrize("budget_mb", [0.3, 1.0])
def test_best_landmarks_fill_what_keyframes_leave(tmp_path: Path, budget_mb: float) -> None:
    with new_storage(tmp_path / "map.xover") as storage:
        fill(storage, [0, 10])
        landmarks = many_landmarks(20_000)
        kept = trim_landmarks(landmarks, storage, budget_mb)
        put_landmarks(storage, kept)
        used = storage.used_bytes
    assert 0.9 * budget_mb * BYTES_PER_MB < used <= budget_mb * BYTES_PER_MB
    dropped = np.setdiff1d(landmarks.landmark_ids, kept.landmark_ids) - 1
    assert kept.scores.min() >= landmarks.scores[dropped].max()
    assert (np.diff(kept.landmark_ids) > 0).all()


def test_no_room_for_landmarks(tmp_path: Path) -> None:
    with new_storage(tmp_path / "map.xover") as storage:
        fill(storage, [0])
        assert len(trim_landmarks(many_landmarks(5), storage, 0.001)) == 0
