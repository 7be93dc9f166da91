# SPDX-License-Identifier: Apache-2.0
"""Which keyframes look where a pose looks."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at

from xover_core.landmark_map.keyframe_table import KeyframeTable

HERE = look_at((0.1, 0.0, 0.0), 0.0)


@pytest.fixture
def table() -> KeyframeTable:
    poses = [look_at((0.0, 0.0, 0.0), 0.0), look_at((1.0, 0.0, 0.0), 20.0), look_at((0.2, 0.0, 0.0), 170.0),
             look_at((2.5, 2.0, 0.0), 0.0)]  # fmt: skip
    return table_at(poses)


def table_at(poses: list) -> KeyframeTable:
    ids = np.arange(1, len(poses) + 1)
    return KeyframeTable(keyframe_ids=ids, scene_ids=np.ones_like(ids), poses=np.array(poses).reshape(-1, 4, 4))


def ids_towards(table: KeyframeTable, **options) -> list[int]:
    limits = {"max_distance": 3.0, "max_angle": np.deg2rad(75), "max_views": 8, **options}
    return table.keyframe_ids[table.rows_towards(HERE, **limits)].tolist()


def test_views_towards_are_near_and_look_the_same_way(table: KeyframeTable) -> None:
    assert ids_towards(table) == [1, 2]
    assert ids_towards(table, max_distance=4.0) == [1, 2, 4]
    assert ids_towards(table, max_angle=np.pi) == [1, 2, 3]
    assert ids_towards(table, max_views=1) == [1]
    assert ids_towards(table, max_distance=0.05) == []
    assert ids_towards(table_at([])) == []


def test_what_is_far_away_changes_nothing(random: np.random.Generator) -> None:
    """Against a plain search over all keyframes, half of which are out of reach."""
    poses = [look_at(tuple(random.uniform(-6, 6, 3)), random.uniform(0, 360)) for _ in range(300)]
    distance = np.array([np.linalg.norm(pose[:3, 3] - HERE[:3, 3]) for pose in poses])
    turn = np.array([np.arccos(np.clip(pose[:3, 2] @ HERE[:3, 2], -1, 1)) for pose in poses])
    for max_views in (3, 8, 300):
        order = np.argsort(distance / 3.0 + turn / np.deg2rad(75), kind="stable")[:max_views]
        expected = [int(i) + 1 for i in order if distance[i] <= 3.0 and turn[i] <= np.deg2rad(75)]
        assert ids_towards(table_at(poses), max_views=max_views) == expected


def test_a_keyframe_is_found_by_its_id(table: KeyframeTable) -> None:
    assert table.row_of(3) == 2
    assert table.row_of(9) is None
    assert len(table) == 4
