# SPDX-License-Identifier: Apache-2.0
"""Tests of the map builder on walks through a box: online, finishing, appending, budget, interruption."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from box_room import CAMERA, TileEncoder, look_at, room_frame

from xover_core.config import MappingSettings, XoverSettings
from xover_core.errors import GeometryError, MapFormatError, ModelError
from xover_core.landmark_map import keyframe_signatures, map_builder, signature_storage
from xover_core.landmark_map.keyframe_frame import keyframe_frame
from xover_core.landmark_map.keyframe_selection import FrameVerdict
from xover_core.landmark_map.map_builder import MapBuilder, open_map_builder
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.site_refit import encode_again
from xover_core.types import Mat4, ModelInfo, PatchFeatures, RgbdFrame

SETTINGS = MappingSettings(thumbnail_quality=95, max_landmarks_per_scene=100)
# Descriptors of an image that went through JPEG at quality 95 against those of the image itself, cosine.
MIN_JPEG_COSINE = 0.97
KEYFRAME_BYTES = 12_000

OpenBuilder = Callable[..., MapBuilder]


def turning_walk(num: int = 18) -> list[Mat4]:
    """Poses that turn once round the middle of the box."""
    return [look_at((0.5 * np.cos(a), 0.5 * np.sin(a), 0), np.degrees(a)) for a in np.arange(num) * 2 * np.pi / num]


def add_all(builder: MapBuilder, poses: list[Mat4]) -> int:
    """Number of keyframes that the poses gave."""
    return sum(builder.add(room_frame(pose, stamp_ns=i), pose) is not None for i, pose in enumerate(poses))


@pytest.fixture
def map_path(tmp_path: Path) -> Path:
    return tmp_path / "map.xover"


@pytest.fixture
def open_builder(map_path: Path) -> Iterator[OpenBuilder]:
    """Opens builders of one file, each closing the one before it."""
    storages: list[MapStorage] = []

    def open_one(settings: MappingSettings = SETTINGS) -> MapBuilder:
        for storage in storages:
            storage.close()
        if map_path.exists():
            storage = MapStorage.open(map_path, read_only=False)
            encoder = TileEncoder(np.frombuffer(storage.header.site_weights, np.float32))
        else:
            encoder = TileEncoder()
            storage = MapStorage.create(map_path, new_header(encoder.model, encoder.site_weights))
        storages[:] = [storage]
        return MapBuilder(storage, encoder, settings)

    yield open_one
    for storage in storages:
        storage.close()


def test_keyframe_is_what_the_camera_saw(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    pose = look_at((0.3, 0.1, 0), 20)
    frame = room_frame(pose, stamp_ns=123)
    keyframe = builder.add(frame, pose)
    assert keyframe is not None
    assert (keyframe.keyframe_id, keyframe.scene_id, keyframe.stamp_ns) == (1, 1, 123)
    assert frame.depth is not None
    columns, rows = np.rint(keyframe.keypoints_px).astype(int).T
    np.testing.assert_array_equal(keyframe.points_camera[:, 2], frame.depth[rows, columns])
    np.testing.assert_array_equal(keyframe.descriptors[0], TileEncoder().encode(frame).finest.astype(np.float16))
    assert builder.num_keyframes == 1


def test_frames_are_counted_by_what_became_of_them(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    pose = look_at((0, 0, 0), 0)
    frame = room_frame(pose)
    blind = dataclasses.replace(frame, depth=np.zeros((64, 80), np.float32))
    assert builder.add(dataclasses.replace(frame, depth=None), pose) is None
    assert builder.add(blind, pose) is None
    assert builder.add(frame, pose) is not None
    assert builder.add(frame, pose) is None
    assert builder.frame_counts == {
        FrameVerdict.NO_DEPTH: 1,
        FrameVerdict.LITTLE_DEPTH: 1,
        FrameVerdict.KEYFRAME: 1,
        FrameVerdict.NOT_MOVED: 1,
    }
    assert builder.storage.num_keyframes == 1


def test_depth_beyond_the_range_gives_no_point(open_builder: OpenBuilder) -> None:
    builder = open_builder(dataclasses.replace(SETTINGS, max_depth=2.8))
    pose = look_at((0, 0, 0), 30)
    keyframe = builder.add(room_frame(pose), pose)
    assert keyframe is not None
    depth = keyframe.points_camera[:, 2]
    assert np.nanmax(depth) <= 2.8
    assert 0 < np.isnan(depth).mean() < 0.9


def test_pose_that_is_none_is_refused(open_builder: OpenBuilder) -> None:
    with pytest.raises(GeometryError, match="T_map_camera"):
        open_builder().add(room_frame(look_at((0, 0, 0), 0)), np.full((4, 4), np.nan))


def test_second_round_adds_nothing(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    num = add_all(builder, turning_walk())
    assert num == 18
    assert add_all(builder, turning_walk()) == 0
    assert builder.frame_counts[FrameVerdict.ALREADY_SEEN] >= 17


def test_finish_makes_landmarks_and_refits(open_builder: OpenBuilder, map_path: Path) -> None:
    builder = open_builder()
    num = add_all(builder, turning_walk())
    before = builder.storage.load()
    steps: list[str] = []
    summary = builder.finish(lambda step, _: steps.append(step))
    after = builder.storage.load()
    assert (summary.num_keyframes, summary.num_scenes, summary.num_landmarks) == (num, 1, len(after.landmarks))
    assert summary.num_landmarks > 20
    assert summary.is_refit
    assert summary.size_bytes == map_path.stat().st_size == after.size_bytes
    assert summary.revision == after.header.revision > before.header.revision
    assert list(dict.fromkeys(steps)) == ["fit", "encode", "landmarks", "write"]
    assert [name for name, _ in summary.timings_s] == ["load", "refit", "scenes", "describe", "landmarks", "write"]
    assert after.header.model == builder.encoder.model != before.header.model
    assert after.header.site_weights == builder.encoder.site_weights


def test_refitted_descriptors_are_those_of_the_original_images(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    poses = turning_walk()
    add_all(builder, poses)
    before = builder.storage.load().keyframes
    builder.finish()
    for old, new in zip(before, builder.storage.load().keyframes, strict=True):
        expected = builder.encoder.encode(room_frame(poses[old.stamp_ns])).finest
        cosine = (expected * new.descriptors[0].astype(np.float32)).sum(axis=1)
        assert np.median(cosine) > MIN_JPEG_COSINE
        np.testing.assert_array_equal(new.keypoints_px, old.keypoints_px)
        np.testing.assert_array_equal(new.points_camera, old.points_camera)


def test_large_images_are_encoded_again_on_the_same_patches(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    large = dataclasses.replace(CAMERA, fx=150.0, fy=150.0, cx=99.5, cy=79.5, width=200, height=160)
    pose = look_at((0, 0, 0), 10)
    keyframe = builder.add(room_frame(pose, large), pose)
    assert keyframe is not None
    (again,) = encode_again(builder.encoder, [keyframe], lambda _: None)
    cosine = (keyframe.descriptors[0].astype(np.float32) * again.descriptors[0]).sum(axis=1)
    assert np.median(cosine) > MIN_JPEG_COSINE


def test_encoder_with_another_grid_is_refused(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    pose = look_at((0, 0, 0), 10)
    keyframe = builder.add(room_frame(pose), pose)
    assert keyframe is not None
    other = dataclasses.replace(
        keyframe,
        grid_shape=(4, 5),
        keypoints_px=keyframe.keypoints_px[:20],
        points_camera=keyframe.points_camera[:20],
    )
    with pytest.raises(ModelError, match=r"expected patches on its grid of \(4, 5\)"):
        encode_again(builder.encoder, [other], lambda _: None)


def test_without_refit_descriptors_stay(open_builder: OpenBuilder) -> None:
    builder = open_builder(dataclasses.replace(SETTINGS, refit_whitening=False))
    add_all(builder, turning_walk(8))
    before = builder.storage.load()
    assert not builder.finish().is_refit
    after = builder.storage.load()
    assert after.header.model == before.header.model
    for old, new in zip(before.keyframes, after.keyframes, strict=True):
        np.testing.assert_array_equal(old.descriptors[0], new.descriptors[0])


class ColdEncoder:
    """`TileEncoder` without what makes it `SiteFittable`; counts what it is asked for."""

    def __init__(self) -> None:
        self._inner = TileEncoder()
        self.num_encoded = 0

    @property
    def model(self) -> ModelInfo:
        return self._inner.model

    @property
    def site_weights(self) -> bytes:
        return b""

    def encode(self, frame: RgbdFrame) -> PatchFeatures:
        self.num_encoded += 1
        return self._inner.encode(frame)


def test_an_encoder_that_cannot_be_fitted_encodes_nothing_again(map_path: Path) -> None:
    encoder = ColdEncoder()
    with MapStorage.create(map_path, new_header(encoder.model, encoder.site_weights, "map")) as storage:
        builder = MapBuilder(storage, encoder, SETTINGS)
        add_all(builder, turning_walk(4))
        num_encoded = encoder.num_encoded
        assert not builder.finish().is_refit
    assert encoder.num_encoded == num_encoded


def test_a_stored_keyframe_is_a_frame_again(open_builder: OpenBuilder) -> None:
    pose = look_at((0.5, 0, 0), 20)
    frame = room_frame(pose, stamp_ns=5)
    assert frame.depth is not None
    frame.depth[:8, :8] = 0
    keyframe = open_builder().add(frame, pose)
    assert keyframe is not None
    again = keyframe_frame(keyframe)
    assert (again.stamp_ns, again.intrinsics) == (5, CAMERA)
    assert again.depth is not None
    assert not again.depth[:8, :8].any()
    np.testing.assert_array_equal(again.depth[4::8, 4::8].ravel()[1:], keyframe.points_camera[1:, 2])
    # constant over a patch, which spans 8 px
    np.testing.assert_array_equal(again.depth[::8, ::8], again.depth[7::8, 7::8])


def test_a_large_frame_comes_back_at_the_working_size(open_builder: OpenBuilder) -> None:
    large = dataclasses.replace(CAMERA, fx=120.0, fy=120.0, cx=79.5, cy=63.5, width=160, height=128)
    pose = look_at((0, 0, 0), 20)
    keyframe = open_builder().add(room_frame(pose, large), pose)
    assert keyframe is not None
    again = keyframe_frame(keyframe)
    assert again.intrinsics == CAMERA
    assert again.depth is not None
    assert again.depth.shape == (64, 80)


def test_finishing_again_changes_nothing_but_the_revision(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    add_all(builder, turning_walk())
    first, before = builder.finish(), builder.storage.load()
    second, after = builder.finish(), builder.storage.load()
    assert second.revision > first.revision
    assert not second.is_refit
    np.testing.assert_array_equal(after.landmarks.embeddings, before.landmarks.embeddings)
    assert second.size_bytes == first.size_bytes


def test_empty_map_can_be_finished(open_builder: OpenBuilder) -> None:
    summary = open_builder().finish()
    assert (summary.num_keyframes, summary.num_scenes, summary.num_landmarks, summary.is_refit) == (0, 0, 0, False)


def test_mapping_goes_on_after_reopening(open_builder: OpenBuilder) -> None:
    poses = turning_walk()
    builder = open_builder()
    add_all(builder, poses[:12])
    builder.finish()
    builder.storage.set_scene_name(1, room="box")
    num_before = builder.num_keyframes
    builder = open_builder()
    assert builder.num_keyframes == num_before
    assert add_all(builder, poses[:12]) == 0
    num_new = add_all(builder, poses[12:])
    builder.finish()
    stored = builder.storage.load()
    assert len(stored.keyframes) == num_before + num_new > num_before
    assert [scene.name for scene in stored.scenes] == ["box"]


def test_stopping_while_finishing_leaves_the_map_as_it_was(open_builder: OpenBuilder) -> None:
    builder = open_builder()
    add_all(builder, turning_walk(12))
    before, content = builder.storage.header, builder.storage.load()

    def stop_at(step: str) -> Callable[[str, float], None]:
        def progress(name: str, share: float) -> None:
            if name == step and share > 0:
                raise KeyboardInterrupt

        return progress

    for step in ("fit", "encode", "landmarks"):
        with pytest.raises(KeyboardInterrupt):
            builder.finish(stop_at(step))
        assert builder.storage.header == before
    assert len(builder.storage.load().landmarks) == len(content.landmarks) == 0
    assert builder.finish().num_landmarks > 0


@pytest.mark.parametrize("budget_mb", [0.164, 0.194])
def test_budget_holds_while_mapping_and_after(open_builder: OpenBuilder, map_path: Path, budget_mb: float) -> None:
    settings = dataclasses.replace(SETTINGS, map_budget_mb=budget_mb, max_landmarks_per_scene=5000)
    builder = open_builder(settings)
    largest = 0
    for i, pose in enumerate(turning_walk(20)):
        builder.add(room_frame(pose, stamp_ns=i), pose)
        largest = max(largest, map_path.stat().st_size)
    assert largest <= budget_mb * 1e6 + KEYFRAME_BYTES
    summary = builder.finish()
    assert summary.size_bytes <= budget_mb * 1e6
    assert summary.num_removed > 0
    assert summary.num_keyframes == builder.num_keyframes == builder.storage.num_keyframes
    assert summary.num_landmarks > 0
    headings = [np.degrees(np.arctan2(*k.T_map_camera[:2, 2][::-1])) % 360 for k in builder.storage.load().keyframes]
    gaps = np.diff(np.sort(headings), append=np.min(headings) + 360)
    # the camera sees 67 deg, so no part of the walls has been forgotten
    assert gaps.max() < 67


def test_other_model_is_refused(open_builder: OpenBuilder) -> None:
    storage = open_builder().storage
    other = TileEncoder(np.zeros(12, np.float32))
    with pytest.raises(MapFormatError, match="descriptors were made by tiles"):
        MapBuilder(storage, other, SETTINGS)


@pytest.fixture
def with_tile_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings give the encoder of these tests, whatever model they name."""
    monkeypatch.setattr(
        map_builder,
        "make_encoder",
        lambda _, site_weights=b"", inference=None: TileEncoder(
            np.frombuffer(site_weights, np.float32) if site_weights else None
        ),
    )


@pytest.mark.usefixtures("with_tile_encoder")
def test_open_map_builder_makes_and_continues_a_map(map_path: Path) -> None:
    settings = XoverSettings(mapping=SETTINGS)
    builder = open_map_builder(map_path, settings, frame_id="office")
    add_all(builder, turning_walk(12))
    builder.finish()
    num = builder.num_keyframes
    builder.storage.close()
    builder = open_map_builder(map_path, settings, append=True)
    assert builder.num_keyframes == num > 0
    assert builder.storage.header.frame_id == "office"
    builder.storage.close()
    with pytest.raises(MapFormatError, match="exists already"):
        open_map_builder(map_path, settings)


@pytest.mark.usefixtures("with_tile_encoder")
def test_appending_to_nothing_is_refused(map_path: Path) -> None:
    with pytest.raises(MapFormatError, match="no such file"):
        open_map_builder(map_path, XoverSettings(), append=True)
    assert not map_path.exists()


def test_keyframes_of_large_maps_are_signed_as_they_come(
    open_builder: OpenBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (keyframe_signatures, signature_storage):
        monkeypatch.setattr(module, "MIN_SIGNED_KEYFRAMES", 4)
    builder = open_builder(SETTINGS)
    walk = turning_walk(12)
    for i, pose in enumerate(walk[:6]):
        builder.add(room_frame(pose, stamp_ns=i), pose)
    signatures = builder.storage.signatures
    assert signatures.vocabulary is None
    builder.finish()
    assert len(signatures.signed_ids) == builder.num_keyframes >= 4
    for i, pose in enumerate(walk[6:], start=6):
        builder.add(room_frame(pose, stamp_ns=i), pose)
    assert len(signatures.signed_ids) == builder.num_keyframes
    first = signatures.signed_ids[0]
    builder.storage.remove_keyframes([first])
    assert first not in signatures.signed_ids


def test_signatures_count_in_the_budget(open_builder: OpenBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    budget_mb = 0.5
    for module in (keyframe_signatures, signature_storage):
        monkeypatch.setattr(module, "MIN_SIGNED_KEYFRAMES", 4)
    builder = open_builder(dataclasses.replace(SETTINGS, map_budget_mb=budget_mb))
    for i, pose in enumerate(turning_walk(20)):
        builder.add(room_frame(pose, stamp_ns=i), pose)
    summary = builder.finish()
    assert len(builder.storage.signatures.signed_ids) == summary.num_keyframes
    assert summary.size_bytes <= budget_mb * 1e6
