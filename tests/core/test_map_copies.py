# SPDX-License-Identifier: Apache-2.0
"""Maps made of copies: whole in themselves, and like the place only as far as they are meant to be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from box_room import MODEL, TileEncoder, look_at, put_landmarks, room_keyframe

from xover_core.config import MappingSettings
from xover_core.errors import MapFormatError
from xover_core.evaluation.map_copies import SCENE_COSINE, CopySettings, multiply_map, rotation_with_cosine
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.landmark_selection import build_landmarks
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.scene_data import SceneEmbedding, SceneUpdate
from xover_core.types import ModelInfo, Scene, SceneModality

SCENE_MODEL = ModelInfo(name="scenes", checksum="2" * 64, descriptor_dim=768, radii=())
NUM_COPIES = 3
# Descriptors are stored in 16 bits.
COSINE_TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A finished map of the box with one scene and its embedding."""
    path = tmp_path_factory.mktemp("place") / "place.xover"
    settings = MappingSettings(max_landmarks_per_scene=60, landmark_radius=0.3, landmark_spacing=0.2)
    with MapStorage.create(path, new_header(MODEL)) as storage:
        storage.put_scene(Scene(scene_id=1, center_map=np.array([0.5, 0.2, 0.0])))
        keyframes = [storage.add_keyframe(room_keyframe(look_at((0.2 * i, 0.1, 0.0), 30.0 * i))) for i in range(12)]
        put_landmarks(storage, build_landmarks(keyframes, settings, lambda _: None))
        storage.scenes.begin_model(SCENE_MODEL)
        vector = np.random.default_rng(0).normal(size=768).astype(np.float32)
        embedding = SceneEmbedding(
            scene_id=1, modality=SceneModality.IMAGE, num_sources=3, vector=vector / np.float32(np.linalg.norm(vector))
        )
        storage.scenes.put_embeddings([embedding])
    return path


def load(path: Path) -> LandmarkMap:
    with MapStorage.open(path) as storage:
        return storage.load()


@pytest.fixture(scope="module")
def original(place) -> LandmarkMap:
    return load(place)


@pytest.fixture(scope="module")
def multiplied(place, original, tmp_path_factory) -> LandmarkMap:
    path = tmp_path_factory.mktemp("copies") / "map.xover"
    multiply_map(place, path, CopySettings(num_landmarks=(1 + NUM_COPIES) * len(original.blocks)))
    return load(path)


def test_there_are_as_many_landmarks_as_wanted(original, multiplied):
    assert len(multiplied.blocks) == (1 + NUM_COPIES) * len(original.blocks)
    assert len(multiplied.keyframes) == (1 + NUM_COPIES) * len(original.keyframes)
    assert [scene.scene_id for scene in multiplied.scenes] == [1, 2, 3, 4]
    assert len(np.unique(multiplied.landmarks.landmark_ids)) == len(multiplied.blocks)
    assert multiplied.header.scene_model == SCENE_MODEL


def test_the_place_itself_is_as_it_was(original, multiplied):
    for before, after in zip(original.keyframes, multiplied.keyframes, strict=False):
        assert (after.keyframe_id, after.scene_id) == (before.keyframe_id, 1)
        np.testing.assert_array_equal(after.descriptors[0], before.descriptors[0])
        np.testing.assert_array_equal(after.T_map_camera, before.T_map_camera)
    own = multiplied.blocks.of_scene(1)
    np.testing.assert_array_equal(own.embeddings, original.landmarks.embeddings)
    np.testing.assert_array_equal(own.observations, original.landmarks.observations)


def test_copies_are_places_of_their_own(original, multiplied):
    """Distances within a copy are those of the place, and copies do not touch."""
    num = len(original.keyframes)
    centers = np.array([k.T_map_camera[:3, 3] for k in multiplied.keyframes]).reshape(-1, num, 3)
    inside = np.linalg.norm(centers[:, :, None] - centers[:, None], axis=-1)
    for copy in inside[1:]:
        np.testing.assert_allclose(copy, inside[0], atol=1e-9)
    middles = centers.mean(axis=1)
    between = np.linalg.norm(middles[:, None] - middles[None], axis=-1) + 1e9 * np.eye(len(middles))
    assert between.min() > inside.max()
    for keyframe in multiplied.keyframes:
        rotation = keyframe.T_map_camera[:3, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) > 0


def test_a_copied_point_is_seen_where_it_was(multiplied):
    """Pixels, points and cameras of a mirrored keyframe agree with each other."""
    for keyframe in multiplied.keyframes[-3:]:
        seen = np.isfinite(keyframe.points_camera[:, 2])
        projected = keyframe.points_camera[seen] @ keyframe.intrinsics.matrix.T
        pixels = projected[:, :2] / projected[:, 2:]
        np.testing.assert_allclose(pixels, keyframe.keypoints_px[seen], atol=0.05)


def test_landmarks_of_a_copy_are_seen_from_its_own_keyframes_as_before(original, multiplied):
    by_id = {k.keyframe_id: k for k in multiplied.keyframes}
    before = {k.keyframe_id: k for k in original.keyframes}
    for scene_id in (2, 4):
        copy, whole = multiplied.blocks.of_scene(scene_id), original.landmarks
        rows = np.repeat(np.arange(len(copy)), np.diff(copy.observation_offsets))
        for i in range(0, len(rows), 17):
            (keyframe_id, patch), (old_id, old_patch) = copy.observations[i], whole.observations[i]
            keyframe = by_id[int(keyframe_id)]
            assert keyframe.scene_id == scene_id
            alike = float(copy.embeddings[rows[i]].astype(float) @ keyframe.descriptors[0][patch].astype(float))
            was = float(whole.embeddings[rows[i]].astype(float) @ before[int(old_id)].descriptors[0][old_patch])
            assert alike == pytest.approx(was, abs=COSINE_TOLERANCE)
            point = keyframe.T_map_camera[:3, :3] @ keyframe.points_camera[patch] + keyframe.T_map_camera[:3, 3]
            assert np.linalg.norm(point - copy.positions_map[rows[i]]) < 0.5


def test_scenes_of_copies_are_described_otherwise(multiplied):
    first, *others = (e.vector for e in multiplied.scene_embeddings)
    for vector in others:
        assert float(first @ vector) == pytest.approx(SCENE_COSINE, abs=COSINE_TOLERANCE)


def test_shares_make_more_and_smaller_scenes(place, original, tmp_path):
    num = len(original.blocks)
    settings = CopySettings(num_landmarks=2 * num, landmark_share=0.25, keyframe_share=0.5)
    multiply_map(place, tmp_path / "small.xover", settings)
    found = load(tmp_path / "small.xover")
    share = round(0.25 * num)
    assert dict(found.blocks.counts) == {1: num, **dict.fromkeys(range(2, 2 + -(-num // share)), share)}
    counts = np.bincount([k.scene_id for k in found.keyframes])[1:]
    assert counts.tolist() == [12] + [6] * (len(counts) - 1)
    known = {k.keyframe_id for k in found.keyframes}
    assert set(found.landmarks.observations[:, 0].tolist()) <= known


def test_no_landmarks_are_wanted_beyond_those_of_the_place(place, original, tmp_path):
    multiply_map(place, tmp_path / "same.xover", CopySettings(num_landmarks=10))
    assert len(load(tmp_path / "same.xover").blocks) == len(original.blocks)


def test_a_map_without_landmarks_cannot_be_multiplied(tmp_path):
    MapStorage.create(tmp_path / "empty.xover", new_header(TileEncoder().model)).close()
    with pytest.raises(MapFormatError, match="expected landmarks to copy, got none"):
        multiply_map(tmp_path / "empty.xover", tmp_path / "x.xover", CopySettings(num_landmarks=10))


@pytest.mark.parametrize("cosine", [0.2, 0.5, 0.9])
def test_a_rotation_turns_as_far_as_it_is_told(cosine, random):
    turn = rotation_with_cosine(64, cosine, random)
    np.testing.assert_allclose(turn @ turn.T, np.eye(64), atol=1e-5)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-4)
    assert np.trace(turn) / 64 == pytest.approx(cosine, abs=1e-3)


def test_parts_are_stored_whole_or_not_at_all(place, original, tmp_path):
    from xover_core.landmark_map.map_part import MapPart

    with MapStorage.create(tmp_path / "m.xover", original.header) as storage:
        bad = dataclasses.replace(original.keyframes[-1], descriptors=())
        part = MapPart(
            scenes=original.scenes, keyframes=(*original.keyframes[:-1], bad), landmarks=original.landmarks,
            described=SceneUpdate(),
        )  # fmt: skip
        with pytest.raises(MapFormatError, match="descriptors of shapes"):
            storage.add_part(part)
        assert (storage.num_keyframes, storage.load_scenes()) == (0, ())
