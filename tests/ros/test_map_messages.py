# SPDX-License-Identifier: Apache-2.0
"""Landmarks as markers and as a cloud."""

from __future__ import annotations

import numpy as np
from visualization_msgs.msg import Marker
from xover_ros.map_messages import MAX_SPHERES, landmark_cloud, landmark_markers

from xover_core.types import Landmarks, Scene


def _landmarks(count: int) -> Landmarks:
    random = np.random.default_rng(2)
    return Landmarks(
        landmark_ids=np.arange(count),
        scene_ids=np.arange(count) % 3 + 1,
        positions_map=random.uniform(-5, 5, (count, 3)),
        radius=0.2,
        embeddings=np.zeros((count, 8), np.float16),
        scores=random.uniform(size=count).astype(np.float32),
        observation_offsets=np.zeros(count + 1, np.int64),
        observations=np.zeros((0, 2), np.int64),
    )


def test_the_cloud_holds_every_landmark() -> None:
    landmarks = _landmarks(7)
    message = landmark_cloud(landmarks, 1, "map")
    assert (message.width, message.row_step) == (7, 7 * message.point_step)
    offsets = {field.name: field.offset for field in message.fields}
    raw = np.frombuffer(message.data, np.uint8).reshape(7, message.point_step)
    xyz = raw[:, : 3 * 4].copy().view(np.float32)
    np.testing.assert_allclose(xyz, landmarks.positions_map, atol=1e-6)  # float32 at 5 m
    at = offsets["scene_id"]
    np.testing.assert_array_equal(raw[:, at : at + 4].copy().view(np.int32)[:, 0], landmarks.scene_ids)


def test_a_map_without_landmarks_gives_empty_messages() -> None:
    assert landmark_cloud(_landmarks(0), 1, "map").width == 0
    clear, spheres = landmark_markers(_landmarks(0), (), 1, "map").markers
    assert (clear.action, spheres.points) == (Marker.DELETEALL, [])


def test_markers_show_the_best_landmarks_and_the_names_of_scenes() -> None:
    landmarks = _landmarks(MAX_SPHERES + 10)
    scene = Scene(scene_id=2, center_map=np.array([1.0, 2.0, 0.0]), room="kitchen")
    _, spheres, text = landmark_markers(landmarks, (scene,), 1, "map").markers
    assert len(spheres.points) == len(spheres.colors) == MAX_SPHERES
    best = landmarks.positions_map[np.argmax(landmarks.scores)]
    assert (spheres.points[0].x, spheres.points[0].y) == (best[0], best[1])
    assert (text.text, text.pose.position.y) == ("kitchen", 2.0)
    assert len({(c.r, c.g, c.b) for c in spheres.colors}) == 3
