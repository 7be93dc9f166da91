# SPDX-License-Identifier: Apache-2.0
"""Tests of the map file: what is put in comes out, and nothing that is no sound map gets in."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from box_room import MODEL, look_at, new_storage, put_landmarks, room_keyframe

from xover_core.errors import MapFormatError
from xover_core.landmark_map.landmark_map import check_model
from xover_core.landmark_map.map_schema import APPLICATION_ID, SCHEMA_VERSION
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.map_tables import MapTables
from xover_core.types import Keyframe, Landmarks, Scene

POSE = look_at((0.5, 0.2, 0.1), 30.0)
# Half a step of the stored int16 and the rounding of float32, as a share of the largest coordinate.
POINT_TOLERANCE = 0.5 / 32767 + 1e-6


def landmarks_of(*views: tuple[int, ...], scene_ids: tuple[int, ...] = ()) -> Landmarks:
    """One landmark for each tuple of keyframe ids that see it."""
    num = len(views)
    return Landmarks(
        landmark_ids=np.arange(1, num + 1),
        scene_ids=np.array(scene_ids or (1,) * num),
        positions_map=np.arange(3.0 * num).reshape(num, 3),
        radius=0.2,
        embeddings=np.eye(num, MODEL.descriptor_dim, dtype=np.float16),
        scores=np.linspace(1, 0.5, num, dtype=np.float32),
        observation_offsets=np.cumsum([0] + [len(ids) for ids in views]),
        observations=np.array([(i, 3 * i) for ids in views for i in ids], np.int64).reshape(-1, 2),
    )


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    """A closed map of three keyframes."""
    path = tmp_path / "a map.xover"
    with new_storage(path) as storage:
        for heading in (0.0, 20.0, 40.0):
            storage.add_keyframe(room_keyframe(look_at((0, 0, 0), heading)))
    return path


def test_keyframe_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    keyframe = room_keyframe(POSE)
    keyframe.points_camera[::5] = np.nan
    path = tmp_path / "map.xover"
    with new_storage(path) as storage:
        stored = storage.add_keyframe(keyframe)
    with MapStorage.open(path) as storage:
        (loaded,) = storage.load().keyframes
    assert stored.keyframe_id == loaded.keyframe_id == 1
    for name in ("scene_id", "stamp_ns", "intrinsics", "grid_shape", "thumbnail_jpeg"):
        assert getattr(loaded, name) == getattr(keyframe, name)
    np.testing.assert_array_equal(loaded.T_map_camera, keyframe.T_map_camera)
    np.testing.assert_array_equal(loaded.keypoints_px, keyframe.keypoints_px)
    np.testing.assert_array_equal(loaded.descriptors[0], keyframe.descriptors[0])
    largest = np.nanmax(np.abs(keyframe.points_camera))
    np.testing.assert_allclose(loaded.points_camera, keyframe.points_camera, rtol=0, atol=POINT_TOLERANCE * largest)


def test_keyframe_without_any_point_comes_back(tmp_path: Path) -> None:
    keyframe = room_keyframe(POSE)
    keyframe.points_camera[:] = np.nan
    with new_storage(tmp_path / "map.xover") as storage:
        storage.add_keyframe(keyframe)
        assert np.isnan(storage.load().keyframes[0].points_camera).all()


def test_several_scales_keep_their_order(tmp_path: Path) -> None:
    keyframe = room_keyframe(POSE)
    fine = keyframe.descriptors[0]
    scales = (fine, np.roll(fine, 1, axis=0), np.roll(fine, 2, axis=0))
    model = dataclasses.replace(MODEL, radii=(0.2, 0.6, 2.0))
    with MapStorage.create(tmp_path / "map.xover", new_header(model)) as storage:
        storage.add_keyframe(
            dataclasses.replace(keyframe, descriptors=scales), Scene(scene_id=1, center_map=np.zeros(3))
        )
        loaded = storage.load()
    assert loaded.header.model.radii == (0.2, 0.6, 2.0)
    for got, expected in zip(loaded.keyframes[0].descriptors, scales, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_header_and_revision(tmp_path: Path) -> None:
    with new_storage(tmp_path / "map.xover") as storage:
        before = storage.header
        storage.add_keyframe(room_keyframe(POSE))
        after = storage.header
    assert (before.model, before.site_weights, before.frame_id) == (MODEL, b"weights", "office")
    assert before.schema_version == SCHEMA_VERSION
    assert after == dataclasses.replace(before, revision=before.revision + 1)
    assert len(before.map_id) == 36


def test_empty_map_loads(tmp_path: Path) -> None:
    with MapStorage.create(tmp_path / "map.xover", new_header(MODEL)) as storage:
        loaded = storage.load()
    assert (loaded.keyframes, loaded.scenes, len(loaded.landmarks)) == ((), (), 0)
    assert loaded.landmarks.embeddings.shape == (0, MODEL.descriptor_dim)


def test_ids_are_not_given_again(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.remove_keyframes([2, 3])
        assert storage.add_keyframe(room_keyframe(POSE)).keyframe_id == 4
        assert [keyframe.keyframe_id for keyframe in storage.load().keyframes] == [1, 4]


def test_same_camera_is_stored_once(map_file: Path) -> None:
    with sqlite3.connect(map_file) as file:
        assert file.execute("SELECT count(*) FROM camera").fetchone() == (1,)
    file.close()


def test_closed_map_is_a_single_file(map_file: Path) -> None:
    assert [path.name for path in map_file.parent.iterdir()] == [map_file.name]


def test_removed_keyframe_takes_its_observations_along(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        put_landmarks(storage, landmarks_of((1, 2, 3), (2, 3), (1, 3)))
        storage.remove_keyframes([2])
        left = storage.load().landmarks
    assert left.landmark_ids.tolist() == [1, 3]
    assert left.observations.tolist() == [[1, 3], [3, 9], [1, 3], [3, 9]]
    assert left.observation_offsets.tolist() == [0, 2, 4]


def test_landmarks_of_several_scenes_come_back(map_file: Path) -> None:
    landmarks = landmarks_of((1, 2), (1, 2, 3), (2, 3), scene_ids=(1, 1, 2))
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.put_scene(Scene(scene_id=2, center_map=np.ones(3), room="kitchen"))
        put_landmarks(storage, landmarks)
        loaded = storage.load().landmarks
    for field in dataclasses.fields(Landmarks):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(landmarks, field.name))


def test_scene_names_stay_when_centres_move(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.set_scene_name(1, room="office")
        storage.put_scene(Scene(scene_id=1, center_map=np.ones(3)))
        (scene,) = storage.load().scenes
    assert scene.name == "office"
    np.testing.assert_array_equal(scene.center_map, np.ones(3))


def test_naming_a_scene_that_is_not_there_says_which_are(map_file: Path) -> None:
    with (
        MapStorage.open(map_file, read_only=False) as storage,
        pytest.raises(MapFormatError, match="no scene 5 to name; there are: 1"),
    ):
        storage.set_scene_name(5, room="office")


def test_compact_gives_space_back(map_file: Path) -> None:
    before = map_file.stat().st_size
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.remove_keyframes([1, 2])
        storage.compact()
        assert len(storage.load().keyframes) == 1
    assert map_file.stat().st_size < before


def test_failed_keyframe_leaves_nothing(map_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("descriptors cannot be written")

    with MapStorage.open(map_file, read_only=False) as storage:
        before = storage.header
        with monkeypatch.context() as patch:
            patch.setattr(MapTables, "write_descriptors", fail)
            with pytest.raises(RuntimeError, match="cannot be written"):
                storage.add_keyframe(room_keyframe(POSE), Scene(scene_id=9, center_map=np.zeros(3)))
        assert storage.header == before
        assert (storage.num_keyframes, len(storage.load().scenes)) == (3, 1)


def test_full_disk_loses_only_the_keyframe_in_flight(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        num_pages = storage._sqlite.execute("PRAGMA page_count").fetchone()[0]
        storage._sqlite.execute(f"PRAGMA max_page_count = {num_pages}")
        big = dataclasses.replace(room_keyframe(POSE), thumbnail_jpeg=bytes(100_000))
        with pytest.raises(MapFormatError, match=r"full.*Free some space"):
            storage.add_keyframe(big)
    with MapStorage.open(map_file) as storage:
        assert len(storage.load().keyframes) == 3


def test_only_the_last_mapper_may_change_the_map(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as first, MapStorage.open(map_file, read_only=False) as second:
        first.begin_mapping()
        first.add_keyframe(room_keyframe(POSE))
        second.set_scene_name(1, room="office")
        first.add_keyframe(room_keyframe(POSE))
        second.begin_mapping()
        with pytest.raises(MapFormatError, match="another mapper"):
            first.add_keyframe(room_keyframe(POSE))
        assert second.num_keyframes == 5


def refused(path: Path, *, match: str) -> None:
    """Opening and loading raises one MapFormatError that names the file and fits."""
    with pytest.raises(MapFormatError, match=match) as caught, MapStorage.open(path) as storage:
        storage.load()
    assert str(path) in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "no.xover", match="no such file")


@pytest.mark.parametrize("content", [b"", b"just text", b"text that is longer than the header of an SQLite file" * 9])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.xover"
    path.write_bytes(content)
    refused(path, match=r"not a database|expected a xover map")


def test_other_sqlite_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.xover"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE places (name TEXT)")
    file.close()
    refused(path, match=f"expected a xover map .application id {APPLICATION_ID:#x}., got an SQLite file with 0x0")


@pytest.mark.parametrize(("version", "advice"), [(SCHEMA_VERSION + 1, "update xover"), (0, "build the map again")])
def test_other_schema_versions_are_refused(map_file: Path, version: int, advice: str) -> None:
    with sqlite3.connect(map_file) as file:
        file.execute(f"PRAGMA user_version = {version}")
    file.close()
    refused(map_file, match=f"expected schema version {SCHEMA_VERSION}, got {version}; {advice}")


def test_truncated_file_is_refused(map_file: Path) -> None:
    data = map_file.read_bytes()
    map_file.write_bytes(data[: len(data) // 2])
    refused(map_file, match="damaged")


def test_damaged_structure_is_refused(map_file: Path) -> None:
    data = bytearray(map_file.read_bytes())
    page_size = int.from_bytes(data[16:18], "big")
    for page in range(1, len(data) // page_size):
        data[page * page_size : page * page_size + 16] = b"\xa5" * 16
    map_file.write_bytes(bytes(data))
    refused(map_file, match="damaged")


@pytest.mark.parametrize("part", ["points", "descriptors", "landmarks"])
def test_damaged_numbers_are_refused(map_file: Path, part: str) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        put_landmarks(storage, landmarks_of((1, 2)))
    table, column = {
        "points": ("keyframe", "points"),
        "descriptors": ("descriptors", "float16"),
        "landmarks": ("landmark_block", "embeddings"),
    }[part]
    with sqlite3.connect(map_file) as file:
        (blob,) = file.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
        file.execute(f"UPDATE {table} SET {column} = ?", (bytes([blob[0] ^ 1]) + blob[1:],))
    file.close()
    refused(map_file, match="damaged")


def test_existing_file_is_not_overwritten(map_file: Path) -> None:
    before = map_file.read_bytes()
    with pytest.raises(MapFormatError, match="exists already"):
        MapStorage.create(map_file, new_header(MODEL))
    assert map_file.read_bytes() == before


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MapFormatError, match="cannot be created: unable to open"):
        MapStorage.create(tmp_path / "no" / "map.xover", new_header(MODEL))


def test_reader_cannot_write(map_file: Path) -> None:
    with MapStorage.open(map_file) as storage, pytest.raises(MapFormatError, match="readonly"):
        storage.add_keyframe(room_keyframe(POSE))


def test_keyframe_of_unknown_scene_is_refused(map_file: Path) -> None:
    with MapStorage.open(map_file, read_only=False) as storage, pytest.raises(MapFormatError, match="FOREIGN KEY"):
        storage.add_keyframe(room_keyframe(POSE, scene_id=8))


def test_descriptors_of_another_length_are_refused(map_file: Path) -> None:
    keyframe: Keyframe = room_keyframe(POSE)
    short = dataclasses.replace(keyframe, descriptors=(keyframe.descriptors[0][:, :5],))
    with (
        MapStorage.open(map_file, read_only=False) as storage,
        pytest.raises(MapFormatError, match="expected descriptors of shapes"),
    ):
        storage.add_keyframe(short)


@pytest.mark.parametrize("change", [{"name": "other"}, {"checksum": "1" * 64}, {"radii": (0.6,)}])
def test_other_model_is_refused(change: dict[str, object]) -> None:
    header = new_header(MODEL)
    check_model(header, MODEL, "a.xover")
    with pytest.raises(MapFormatError, match=r"map a\.xover: its descriptors were made by test-model"):
        check_model(header, dataclasses.replace(MODEL, **change), "a.xover")
