# SPDX-License-Identifier: Apache-2.0
"""Maps that are read piece by piece: the same as those that are read at once, as long as nobody changes them."""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from box_room import MODEL, look_at, new_storage, put_landmarks, room_keyframe

from xover_core.config import RetrievalSettings
from xover_core.errors import MapChangedError, MapFormatError
from xover_core.landmark_map import file_signatures, keyframe_signatures, map_reader, signature_storage
from xover_core.landmark_map.landmark_arrays import empty_landmarks
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.lazy_keyframes import LazyKeyframes
from xover_core.landmark_map.map_reader import open_map
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.landmark_map.vlad import encode_vlad
from xover_core.types import Keyframe, Landmarks, Scene

SETTINGS = RetrievalSettings(vocabulary_size=8)
NUM = 6
# VLADs of norm 1 are stored in 16 bits.
VLAD_TOLERANCE = 5e-4


@pytest.fixture(autouse=True)
def every_map_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_reader, "RESIDENT_FACTOR", 1e9)
    for module in (file_signatures, keyframe_signatures, signature_storage):
        monkeypatch.setattr(module, "MIN_SIGNED_KEYFRAMES", 2)


def landmarks_of(scene_ids: list[int]) -> Landmarks:
    """Landmarks without observations."""
    num = len(scene_ids)
    return dataclasses.replace(
        empty_landmarks(MODEL.descriptor_dim, 0.2),
        landmark_ids=np.arange(1, num + 1),
        scene_ids=np.array(scene_ids),
        positions_map=np.arange(3.0 * num).reshape(-1, 3),
        embeddings=np.full((num, MODEL.descriptor_dim), 0.25, np.float16),
        scores=np.ones(num, np.float32),
        observation_offsets=np.zeros(num + 1, np.int64),
    )


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    """A closed, signed map of two scenes with three keyframes each."""
    path = tmp_path / "map.xover"
    with new_storage(path) as storage:
        storage.put_scene(Scene(scene_id=2, center_map=np.ones(3)))
        for number in range(NUM):
            pose = look_at((0.1 * number, 0.0, 0.0), 40.0 * number)
            storage.add_keyframe(room_keyframe(pose, scene_id=1 + number // 3))
        put_landmarks(storage, landmarks_of([1, 1, 1, 2, 2]))
        storage.signatures.sign_all()
    return path


@pytest.fixture
def whole(map_file: Path) -> LandmarkMap:
    with MapStorage.open(map_file) as storage:
        return storage.load()


def equal(a: Keyframe, b: Keyframe) -> bool:
    arrays = ("T_map_camera", "keypoints_px", "points_camera")
    same = all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in arrays)
    rest = ("keyframe_id", "scene_id", "stamp_ns", "intrinsics", "grid_shape", "thumbnail_jpeg")
    return same and all(getattr(a, name) == getattr(b, name) for name in rest) and all(
        np.array_equal(x, y) for x, y in zip(a.descriptors, b.descriptors, strict=True)
    )  # fmt: skip


def test_keyframes_are_a_sequence_like_any_other(map_file: Path, whole: LandmarkMap) -> None:
    keyframes = open_map(map_file, SETTINGS).keyframes
    assert isinstance(keyframes, LazyKeyframes)
    assert len(keyframes) == NUM
    assert all(map(equal, keyframes, whole.keyframes))
    assert equal(keyframes[-1], whole.keyframes[-1])
    assert [k.keyframe_id for k in keyframes[1:5:2]] == [k.keyframe_id for k in whole.keyframes[1:5:2]]
    assert [k.keyframe_id for k in reversed(keyframes)] == [k.keyframe_id for k in reversed(whole.keyframes)]
    assert keyframes[NUM:] == ()
    for index in (NUM, -NUM - 1):
        with pytest.raises(IndexError):
            keyframes[index]


def test_the_rest_of_the_map_is_the_same(map_file: Path, whole: LandmarkMap) -> None:
    lazy = open_map(map_file, SETTINGS)
    assert (lazy.header, lazy.size_bytes, len(lazy.blocks)) == (whole.header, whole.size_bytes, 5)
    assert [scene.name for scene in lazy.scenes] == [scene.name for scene in whole.scenes]
    assert dict(lazy.blocks.counts) == dict(whole.blocks.counts) == {1: 3, 2: 2}
    for got, expected in ((lazy.landmarks, whole.landmarks), (lazy.blocks.of_scene(2), whole.blocks.of_scene(2))):
        np.testing.assert_array_equal(got.landmark_ids, expected.landmark_ids)
        np.testing.assert_array_equal(got.positions_map, expected.positions_map)
    table = lazy.keyframes.table
    np.testing.assert_array_equal(table.poses, [k.T_map_camera for k in whole.keyframes])
    assert table.scene_ids.tolist() == [k.scene_id for k in whole.keyframes]


def test_a_map_that_fits_is_read_at_once(map_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_reader, "RESIDENT_FACTOR", 3.0)
    found = open_map(map_file, SETTINGS)
    assert isinstance(found.keyframes, tuple)
    assert found.signatures is None


def test_what_was_changed_since_is_refused_by_name(map_file: Path) -> None:
    lazy = open_map(map_file, SETTINGS)
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.set_scene_name(1, room="kitchen")
        storage.remove_keyframes([2])
        put_landmarks(storage, landmarks_of([1, 1, 2]))
    with pytest.raises(MapChangedError, match=r"keyframe 2 has been changed .* load it again"):
        lazy.keyframes[1]
    assert lazy.keyframes[2].keyframe_id == 3, "what is as it was can still be used"
    with pytest.raises(MapChangedError, match="landmarks of scene 1"):
        lazy.blocks.of_scene(1)
    assert len(open_map(map_file, SETTINGS).keyframes) == NUM - 1


def test_new_descriptors_are_refused_too(map_file: Path, whole: LandmarkMap) -> None:
    lazy = open_map(map_file, SETTINGS)
    with MapStorage.open(map_file, read_only=False) as storage:
        keyframes = [
            dataclasses.replace(k, scene_id=1, descriptors=tuple(-d for d in k.descriptors) if k.keyframe_id == 4
                                else k.descriptors) for k in whole.keyframes
        ]  # fmt: skip
        storage.replace_contents(
            model=MODEL, site_weights=b"", keyframes=keyframes, has_new_descriptors=True, scenes=whole.scenes,
            landmarks=landmarks_of([1]),
        )  # fmt: skip
    with pytest.raises(MapChangedError, match="keyframe 4"):
        lazy.keyframes[3]
    assert lazy.keyframes[4].scene_id == 2, "scenes are those that the map had when it was opened"


def test_the_file_can_be_replaced_while_it_is_open(map_file: Path, whole: LandmarkMap) -> None:
    lazy = open_map(map_file, SETTINGS)
    other = map_file.with_name("other.xover")
    new_storage(other).close()
    other.replace(map_file)
    assert all(map(equal, lazy.keyframes, whole.keyframes))


def test_damage_is_found_when_it_is_met(map_file: Path) -> None:
    with sqlite3.connect(map_file) as file:
        (blob,) = file.execute("SELECT float16 FROM descriptors WHERE keyframe_id = 3").fetchone()
        file.execute("UPDATE descriptors SET float16 = ? WHERE keyframe_id = 3", (blob[:-1] + bytes([blob[-1] ^ 1]),))
    file.close()
    lazy = open_map(map_file, SETTINGS)
    assert lazy.keyframes[0].keyframe_id == 1
    with pytest.raises(MapFormatError, match="descriptors of keyframe 3"):
        lazy.keyframes[2]


def check_signatures(lazy: LandmarkMap) -> None:
    """They are what the vocabulary makes of the descriptors."""
    signatures = lazy.signatures
    assert signatures is not None
    vocabulary = signatures.vocabulary
    vlads = np.stack([encode_vlad(k.descriptors[0].astype(np.float32), vocabulary.words) for k in lazy.keyframes])
    np.testing.assert_allclose(signatures.read_vlads(range(len(vlads))), vlads, atol=VLAD_TOLERANCE)
    np.testing.assert_allclose(signatures.coarse, vocabulary.coarse(vlads), atol=4 * VLAD_TOLERANCE)


def test_signatures_come_from_the_file(map_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    check_signatures(open_map(map_file, SETTINGS))
    assert not caplog.records


def test_signatures_that_the_file_lacks_are_made(map_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        vocabulary = storage.signatures.vocabulary
        assert vocabulary is not None
        for x in (0.3, 0.4):
            storage.add_keyframe(room_keyframe(look_at((x, 0.5, 0.0), 10.0)))
        storage.signatures.sign_keyframe(NUM + 1, vocabulary)
        assert storage.signatures.signed_ids == list(range(1, NUM + 2))
    lazy = open_map(map_file, SETTINGS)
    check_signatures(lazy)
    assert "1 of 8 keyframes have no signature" in caplog.text
    np.testing.assert_array_equal(lazy.signatures.vocabulary.words, vocabulary.words)


def test_signatures_of_other_descriptors_are_not_used(map_file: Path, whole: LandmarkMap) -> None:
    with MapStorage.open(map_file, read_only=False) as storage:
        keyframes = [dataclasses.replace(k, descriptors=tuple(-d for d in k.descriptors)) for k in whole.keyframes]
        storage.replace_contents(
            model=MODEL, site_weights=b"", keyframes=keyframes, has_new_descriptors=True, scenes=whole.scenes,
            landmarks=landmarks_of([1]),
        )  # fmt: skip
        assert storage.signatures.signed_ids == list(range(1, NUM + 1)), "they are still there"
    check_signatures(open_map(map_file, SETTINGS))


def test_a_map_of_an_older_version_has_none_and_is_read(map_file: Path, whole: LandmarkMap) -> None:
    with sqlite3.connect(map_file) as file:
        for table in ("vocabulary", "keyframe_signature", "keyframe_vlad"):
            file.execute(f"DROP TABLE {table}")
        file.execute("PRAGMA user_version = 2")
    file.close()
    lazy = open_map(map_file, SETTINGS)
    check_signatures(lazy)
    assert len(lazy.signatures.vocabulary.words) == SETTINGS.vocabulary_size
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.signatures.sign_all()
        assert len(storage.signatures.signed_ids) == NUM
    check_signatures(open_map(map_file, SETTINGS))


def test_a_small_map_loses_the_signatures_that_it_does_not_need(
    map_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_storage, "MIN_SIGNED_KEYFRAMES", NUM + 1)
    with MapStorage.open(map_file, read_only=False) as storage:
        storage.signatures.sign_all()
        assert (storage.signatures.vocabulary, storage.signatures.signed_ids) == (None, [])


@pytest.mark.parametrize(("table", "column"), [("vocabulary", "words"), ("keyframe_signature", "float16")])
def test_damaged_signatures_are_refused(map_file: Path, table: str, column: str) -> None:
    with sqlite3.connect(map_file) as file:
        (blob,) = file.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
        file.execute(f"UPDATE {table} SET {column} = ?", (bytes([blob[0] ^ 1]) + blob[1:],))
    file.close()
    with pytest.raises(MapFormatError, match="does not fit its checksum"):
        open_map(map_file, SETTINGS)
