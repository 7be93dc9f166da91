# SPDX-License-Identifier: Apache-2.0
"""What a map file keeps of its scenes: views, embeddings, texts, drawings; and maps of the version before."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from box_room import MODEL, look_at, new_storage, room_keyframe

from xover_core.encoders.scene_encoder import EMBEDDING_DIM
from xover_core.errors import MapFormatError, SensorDataError
from xover_core.landmark_map.landmark_arrays import empty_landmarks
from xover_core.landmark_map.map_schema import SCHEMA_VERSION
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.landmark_map.scene_data import (
    MAX_FLOORPLAN_PX,
    SceneEmbedding,
    SceneUpdate,
    floorplan_source,
    text_source,
)
from xover_core.types import ModelInfo, Scene, SceneModality

SCENE_MODEL = ModelInfo(name="fake-scenes", checksum="1" * 64, descriptor_dim=EMBEDDING_DIM, radii=())
POSE = look_at((0.5, 0.2, 0.1), 30.0)
VIEW = np.arange(5, dtype=np.float16)
# Half a step of float16 below 0.25, and as much again for making the norm 1 once more.
MAX_ROUNDING = 1.3e-4


def embedding(scene_id: int, modality: SceneModality, seed: int = 0) -> SceneEmbedding:
    vector = np.random.default_rng(seed).normal(size=EMBEDDING_DIM).astype(np.float32)
    return SceneEmbedding(
        scene_id=scene_id, modality=modality, num_sources=3, vector=vector / np.float32(np.linalg.norm(vector))
    )


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    """A closed map with a scene of two keyframes, a view of the first, and a second scene without any."""
    path = tmp_path / "map.xover"
    with new_storage(path) as storage:
        storage.scenes.begin_model(SCENE_MODEL)
        storage.add_keyframe(room_keyframe(POSE), view=VIEW)
        storage.add_keyframe(room_keyframe(POSE))
        storage.put_scene(Scene(scene_id=2, center_map=np.ones(3)))
    return path


def make_old(path: Path) -> None:
    """Turn a map into one of schema version 1."""
    with sqlite3.connect(path) as file:
        signatures = ("vocabulary", "keyframe_signature", "keyframe_vlad")
        for table in ("view_description", "scene_embedding", "scene_source", *signatures):
            file.execute(f"DROP TABLE {table}")
        file.execute("DELETE FROM model WHERE role = 'scene'")
        file.execute("PRAGMA user_version = 1")
    file.close()


def finish(storage: MapStorage, scenes: tuple[Scene, ...], update: SceneUpdate | None = None) -> None:
    stored = storage.load()
    storage.replace_contents(
        model=MODEL,
        site_weights=b"",
        keyframes=stored.keyframes,
        has_new_descriptors=False,
        scenes=scenes,
        landmarks=empty_landmarks(MODEL.descriptor_dim, 0.2),
        scene_update=update,
    )


def test_what_is_stored_comes_back(map_file: Path) -> None:
    given = [embedding(1, SceneModality.IMAGE), embedding(1, SceneModality.POINT_CLOUD, 1)]
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.scenes.put_embeddings(given)
    with MapStorage.open(map_file) as storage:
        loaded = storage.load()
        np.testing.assert_array_equal(storage.scenes.read_views()[1], VIEW)
        assert list(storage.scenes.read_views()) == [1]
    assert loaded.header.scene_model == SCENE_MODEL
    assert [(e.scene_id, e.modality, e.num_sources) for e in loaded.scene_embeddings] == [
        (1, SceneModality.IMAGE, 3),
        (1, SceneModality.POINT_CLOUD, 3),
    ]
    for before, after in zip(given, loaded.scene_embeddings, strict=True):
        np.testing.assert_allclose(after.vector, before.vector, atol=MAX_ROUNDING)
        assert np.linalg.norm(after.vector) == pytest.approx(1.0)


def test_an_embedding_replaces_the_one_before(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        for seed in (1, 2):
            storage.scenes.put_embeddings([embedding(1, SceneModality.IMAGE, seed)])
        (stored,) = storage.scenes.read_embeddings()
    np.testing.assert_allclose(stored.vector, embedding(1, SceneModality.IMAGE, 2).vector, atol=MAX_ROUNDING)


def test_a_removed_keyframe_takes_its_view_along(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.remove_keyframes([1])
        assert storage.scenes.read_views() == {}


def test_texts_add_up_and_a_floorplan_replaces_the_one_before(map_file: Path, random: np.random.Generator) -> None:
    plans = [random.integers(0, 255, (40, 60, 3), dtype=np.uint8) for _ in range(2)]
    with MapStorage.open(map_file, read_only=False) as storage:
        for text, plan in zip(("a  red\nsofa", "two doors"), plans, strict=True):
            storage.scenes.describe(1, [text_source(1, text), floorplan_source(1, plan, 50.0)], [], replace=False)
        told = storage.scenes.read_sources()
        assert [s.text for s in told if s.modality is SceneModality.TEXT] == ["a red sofa", "two doors"]
        (stored,) = [s for s in told if s.modality is SceneModality.FLOORPLAN]
        np.testing.assert_array_equal(stored.image, plans[1])
        assert stored.pixels_per_m == 50.0
        given = [embedding(1, SceneModality.TEXT), embedding(1, SceneModality.FLOORPLAN)]
        storage.scenes.describe(1, [text_source(1, "a kitchen")], given, replace=True)
        assert [s.text for s in storage.scenes.read_sources()] == ["a kitchen"]
        storage.scenes.describe(1, [], [], replace=True)
        assert storage.scenes.read_sources() == storage.scenes.read_embeddings() == ()


def test_a_large_floorplan_is_reduced_with_its_scale() -> None:
    source = floorplan_source(1, np.full((500, 4 * MAX_FLOORPLAN_PX, 3), 255, np.uint8), 100.0)
    assert source.image.shape == (125, MAX_FLOORPLAN_PX, 3)
    assert source.pixels_per_m == 25.0


def test_a_scene_that_is_not_there_cannot_be_described(map_file: Path) -> None:
    with (
        MapStorage.open(map_file, read_only=False) as storage,
        pytest.raises(MapFormatError, match="no scene 7 to describe; there are: 1, 2"),
    ):
        storage.scenes.describe(7, [text_source(7, "a kitchen")], [], replace=False)


@pytest.mark.parametrize("text", ["", " \n\t", "?!"])
def test_a_blank_text_is_refused(text: str) -> None:
    with pytest.raises(SensorDataError, match="expected some words"):
        text_source(1, text)


def test_a_floorplan_that_is_none_is_refused() -> None:
    with pytest.raises(SensorDataError, match=r"expected \(H, W, 3\) uint8"):
        floorplan_source(1, np.zeros((4, 4), np.uint8))
    with pytest.raises(SensorDataError, match="positive scale"):
        floorplan_source(1, np.zeros((4, 4, 3), np.uint8), -1.0)


def test_embeddings_of_another_model_are_not_mixed_in(map_file: Path) -> None:
    other = dataclasses.replace(SCENE_MODEL, checksum="2" * 64)
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.scenes.begin_model(SCENE_MODEL)
        with pytest.raises(MapFormatError, match="describe them anew with `xover scene refresh`"):
            storage.scenes.begin_model(other)
        storage.scenes.put_embeddings([embedding(1, SceneModality.IMAGE), embedding(1, SceneModality.TEXT)])
        update = SceneUpdate(views={2: VIEW}, embeddings=(embedding(1, SceneModality.TEXT, 3),))
        storage.scenes.replace_derived(other, update)
        assert storage.scenes.model == other
        assert list(storage.scenes.read_views()) == [2]
        assert [e.modality for e in storage.scenes.read_embeddings()] == [SceneModality.TEXT]


def test_finishing_keeps_described_scenes_and_drops_what_was_seen_of_empty_ones(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.put_scene(Scene(scene_id=3, center_map=np.ones(3)))
        storage.scenes.describe(2, [text_source(2, "a kitchen")], [], replace=False)
        storage.scenes.put_embeddings(
            [embedding(i, m) for i in (1, 2, 3) for m in (SceneModality.IMAGE, SceneModality.TEXT)]
        )
        update = SceneUpdate(views={2: VIEW}, embeddings=(embedding(1, SceneModality.POINT_CLOUD),))
        finish(storage, (Scene(scene_id=1, center_map=np.zeros(3)),), update)
        assert [s.scene_id for s in storage.load().scenes] == [1, 2]
        assert [(e.scene_id, e.modality.value) for e in storage.scenes.read_embeddings()] == [
            (1, "image"),
            (1, "point_cloud"),
            (1, "text"),
            (2, "text"),
        ]
        assert sorted(storage.scenes.read_views()) == [1, 2]


def test_anyone_may_describe_while_another_maps(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as mapper, MapStorage.open(map_file, read_only=False) as user:
        mapper.begin_mapping()
        user.scenes.describe(1, [text_source(1, "a kitchen")], [], replace=False)
        mapper.scenes.put_embeddings([embedding(1, SceneModality.IMAGE)])
        with pytest.raises(MapFormatError, match="another mapper"):
            user.scenes.put_embeddings([embedding(1, SceneModality.IMAGE)])


def test_a_map_of_the_version_before_is_read(map_file: Path) -> None:
    make_old(map_file)
    before = map_file.read_bytes()
    with MapStorage.open(map_file) as storage:
        loaded = storage.load()
        assert storage.scenes.read_views() == {}
        assert storage.scenes.read_sources() == ()
    assert (loaded.header.schema_version, loaded.header.scene_model) == (1, None)
    assert (len(loaded.keyframes), loaded.scene_embeddings) == (2, ())
    assert map_file.read_bytes() == before


def test_a_map_of_the_version_before_is_completed_when_it_is_written_to(map_file: Path) -> None:
    make_old(map_file)
    with MapStorage.open(map_file) as reader, MapStorage.open(map_file, read_only=False) as storage:
        assert storage.header.schema_version == SCHEMA_VERSION
        storage.scenes.begin_model(SCENE_MODEL)
        storage.add_keyframe(room_keyframe(POSE), view=VIEW)
        storage.scenes.put_embeddings([embedding(1, SceneModality.IMAGE)])
        assert len(reader.load().scene_embeddings) == 1, "a reader sees what has come since"
    with MapStorage.open(map_file) as storage:
        assert len(storage.load().keyframes) == 3
        assert list(storage.scenes.read_views()) == [3]


@pytest.mark.parametrize(
    ("table", "column"),
    [("view_description", "float16"), ("scene_embedding", "float16"), ("scene_source", "content")],
)
def test_damaged_numbers_are_refused(map_file: Path, table: str, column: str) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.scenes.describe(1, [text_source(1, "a kitchen")], [embedding(1, SceneModality.TEXT)], replace=False)
    with sqlite3.connect(map_file) as file:
        (blob,) = file.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
        file.execute(f"UPDATE {table} SET {column} = ?", (bytes([blob[0] ^ 1]) + blob[1:],))
    file.close()
    with MapStorage.open(map_file) as storage:
        read = {
            "view_description": storage.scenes.read_views,
            "scene_embedding": storage.scenes.read_embeddings,
            "scene_source": storage.scenes.read_sources,
        }
        with pytest.raises(MapFormatError, match="does not fit its checksum"):
            read[table]()


def test_a_reader_cannot_write(map_file: Path) -> None:
    with MapStorage.open(map_file) as storage, pytest.raises(MapFormatError, match="readonly"):
        storage.scenes.put_embeddings([embedding(1, SceneModality.IMAGE)])


def test_a_failed_description_leaves_nothing(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        before = storage.header
        with pytest.raises(MapFormatError, match="FOREIGN KEY"):
            storage.scenes.describe(1, [text_source(1, "a"), text_source(9, "b")], [], replace=False)
        assert storage.header == before
        assert storage.scenes.read_sources() == ()
