# SPDX-License-Identifier: Apache-2.0
"""Scenes of a map that is being built get embeddings: while mapping, at the end, and anew with another model."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from box_room import TileEncoder, look_at, room_frame
from fake_scene_encoder import FakeSceneEncoder, color_histogram

from xover_core.config import MappingSettings
from xover_core.geometry.transforms import exp_se3
from xover_core.landmark_map import scene_embedding
from xover_core.landmark_map.map_builder import MapBuilder
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.scene_data import floorplan_source, text_source
from xover_core.landmark_map.scene_describer import SceneDescriber, refresh_scenes
from xover_core.landmark_map.scene_embedding import colored_cloud, embed_told
from xover_core.types import Mat4, ModelInfo, SceneModality

SETTINGS = MappingSettings(thumbnail_quality=95, max_landmarks_per_scene=50, refit_whitening=False)
IMAGE, CLOUD, TEXT, PLAN = (
    SceneModality.IMAGE,
    SceneModality.POINT_CLOUD,
    SceneModality.TEXT,
    SceneModality.FLOORPLAN,
)
# Colours of JPEGs at quality 95 against those of the frames: cosine of histograms of 64 cells.
MIN_COLOR_COSINE = 0.97


class OtherSceneEncoder(FakeSceneEncoder):
    """The same under another name."""

    @property
    def model(self) -> ModelInfo:
        return dataclasses.replace(super().model, name="other-scenes", checksum="9" * 64)


def turning_walk(num: int = 12) -> list[Mat4]:
    """Poses that turn once round the middle of the box."""
    return [look_at((0.5 * np.cos(a), 0.5 * np.sin(a), 0), np.degrees(a)) for a in np.arange(num) * 2 * np.pi / num]


def add_all(builder: MapBuilder, poses: list[Mat4]) -> None:
    for i, pose in enumerate(poses):
        assert builder.add(room_frame(pose, stamp_ns=i), pose) is not None


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[MapStorage]:
    encoder = TileEncoder()
    with MapStorage.create(tmp_path / "map.xover", new_header(encoder.model, encoder.site_weights)) as made:
        yield made


def new_builder(storage: MapStorage, scene_encoder: FakeSceneEncoder | None, **changes: float) -> MapBuilder:
    return MapBuilder(storage, TileEncoder(), dataclasses.replace(SETTINGS, **changes), scene_encoder)


def kinds(storage: MapStorage) -> list[tuple[int, SceneModality]]:
    return [(e.scene_id, e.modality) for e in storage.scenes.read_embeddings()]


def test_each_keyframe_is_described_once(storage: MapStorage) -> None:
    encoder = FakeSceneEncoder()
    builder = new_builder(storage, encoder)
    add_all(builder, turning_walk())
    assert encoder.num_views == 12
    builder.finish()
    assert encoder.num_views == 12
    views = storage.scenes.read_views()
    assert list(views) == list(range(1, 13))
    np.testing.assert_array_equal(views[1], encoder.describe_view(room_frame(turning_walk()[0])).astype(np.float16))


def test_a_scene_is_embedded_while_it_grows_but_not_at_each_keyframe(storage: MapStorage) -> None:
    builder = new_builder(storage, FakeSceneEncoder(), scene_growth=2.0)
    counts = []
    for i, pose in enumerate(turning_walk()):
        builder.add(room_frame(pose, stamp_ns=i), pose)
        counts.append(max(e.num_sources for e in storage.scenes.read_embeddings()))
    assert counts == [1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8]
    assert kinds(storage) == [(1, IMAGE), (1, CLOUD)]
    builder.finish()
    assert {e.num_sources for e in storage.scenes.read_embeddings()} == {12}


def test_growth_goes_on_after_reopening(storage: MapStorage) -> None:
    add_all(new_builder(storage, FakeSceneEncoder(), scene_growth=2.0), turning_walk()[:5])
    encoder = FakeSceneEncoder()
    add_all(new_builder(storage, encoder, scene_growth=2.0), turning_walk()[5:8])
    assert encoder.num_views == 3
    assert {e.num_sources for e in storage.scenes.read_embeddings()} == {8}


def test_views_far_from_each_other_are_pooled(storage: MapStorage) -> None:
    builder = new_builder(storage, FakeSceneEncoder(), scene_views=4)
    poses = turning_walk()
    add_all(builder, poses)
    builder.finish()
    views = storage.scenes.read_views()
    chosen = scene_embedding.farthest_poses(np.stack(poses), 4)
    expected = FakeSceneEncoder().embed_views(np.stack([views[i + 1] for i in chosen]).astype(np.float32))
    image = storage.scenes.read_embeddings()[0]
    assert float(image.vector @ expected) == pytest.approx(1.0, abs=1e-3)


def test_the_cloud_has_the_colours_of_what_was_seen(storage: MapStorage) -> None:
    builder = new_builder(storage, None)
    poses = turning_walk()
    add_all(builder, poses)
    cloud = colored_cloud(storage.load().keyframes)
    assert cloud is not None
    frames = np.concatenate([room_frame(pose).rgb.reshape(-1, 3) for pose in poses])
    assert float(color_histogram(cloud.colors) @ color_histogram(frames)) > MIN_COLOR_COSINE
    extent = cloud.points.max(axis=0) - cloud.points.min(axis=0)
    np.testing.assert_allclose(extent[:2], (6.0, 5.0), atol=0.1)  # the box, its z up
    assert extent[2] < 3.1


def test_the_cloud_of_a_map_that_lies_on_its_side_is_raised(storage: MapStorage) -> None:
    add_all(new_builder(storage, None), turning_walk())
    keyframes = storage.load().keyframes
    T_lying_map = exp_se3(np.array([0.0, 0.0, 0.0, np.pi / 2, 0.0, 0.0]))
    lying = [dataclasses.replace(k, T_map_camera=T_lying_map @ k.T_map_camera) for k in keyframes]
    expected, raised = colored_cloud(keyframes), colored_cloud(lying)
    assert expected is not None
    assert raised is not None
    np.testing.assert_allclose(raised.points, expected.points, atol=1e-4)


def test_a_large_cloud_is_thinned_out(storage: MapStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    add_all(new_builder(storage, None), turning_walk(4))
    monkeypatch.setattr(scene_embedding, "MAX_CLOUD_POINTS", 100)
    cloud = colored_cloud(storage.load().keyframes)
    assert cloud is not None
    assert len(cloud.points) == len(cloud.colors) == 100


def test_keyframes_without_a_point_give_no_cloud(storage: MapStorage) -> None:
    add_all(new_builder(storage, None), turning_walk(2))
    blind = [
        dataclasses.replace(k, points_camera=np.full_like(k.points_camera, np.nan)) for k in storage.load().keyframes
    ]
    assert colored_cloud(blind) is None
    assert colored_cloud([]) is None


def test_without_a_scene_encoder_nothing_is_described(storage: MapStorage) -> None:
    builder = new_builder(storage, None)
    add_all(builder, turning_walk(4))
    builder.finish()
    assert storage.scenes.model is None
    assert storage.scenes.read_views() == {}
    assert kinds(storage) == []


def test_a_map_that_was_made_without_is_described_at_the_end(storage: MapStorage) -> None:
    add_all(new_builder(storage, None), turning_walk()[:6])
    storage.scenes.describe(1, [text_source(1, "a red box")], [], replace=False)
    encoder = FakeSceneEncoder()
    builder = new_builder(storage, encoder)
    add_all(builder, turning_walk()[6:])
    builder.finish()
    assert encoder.num_views == 12
    assert len(storage.scenes.read_views()) == 12
    assert kinds(storage) == [(1, IMAGE), (1, CLOUD), (1, TEXT)]


def test_a_stop_while_finishing_forgets_no_description(storage: MapStorage) -> None:
    add_all(new_builder(storage, None), turning_walk())
    builder = new_builder(storage, FakeSceneEncoder())

    def stop(step: str, share: float) -> None:
        if step == "landmarks":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builder.finish(stop)
    assert storage.scenes.read_views() == {}
    builder.finish()
    assert len(storage.scenes.read_views()) == 12


def test_removed_keyframes_are_no_longer_pooled(storage: MapStorage) -> None:
    builder = new_builder(storage, FakeSceneEncoder(), map_budget_mb=0.1)
    for i, pose in enumerate(turning_walk()):
        builder.add(room_frame(pose, stamp_ns=i), pose)
    summary = builder.finish()
    assert summary.num_removed > 0
    assert summary.size_bytes <= 0.1e6
    assert len(storage.scenes.read_views()) == summary.num_keyframes
    assert {e.num_sources for e in storage.scenes.read_embeddings()} == {summary.num_keyframes}


@pytest.mark.parametrize("is_described", [True, False])
def test_a_tiny_scene_stays_only_when_a_user_has_described_it(storage: MapStorage, is_described: bool) -> None:
    builder = new_builder(storage, FakeSceneEncoder(), scene_radius=3.0)
    poses = [look_at((-1.5, 0, 0), heading) for heading in (120, 150, 180, 210, 240)] + [look_at((1.2, 0, 0), 330)]
    add_all(builder, poses)
    assert [k.scene_id for k in storage.load().keyframes] == [1, 1, 1, 1, 1, 2]
    if is_described:
        storage.scenes.describe(2, [text_source(2, "a corner")], [], replace=False)
    builder.finish()
    of_corner = [(2, IMAGE), (2, CLOUD), (2, TEXT)] if is_described else []
    assert kinds(storage) == [(1, IMAGE), (1, CLOUD), *of_corner]
    assert {e.num_sources for e in storage.scenes.read_embeddings() if e.scene_id == 1} == {5 if is_described else 6}


def test_another_model_is_left_out_with_a_warning(storage: MapStorage, caplog: pytest.LogCaptureFixture) -> None:
    builder = new_builder(storage, FakeSceneEncoder())
    add_all(builder, turning_walk()[:6])
    builder.finish()
    before = storage.scenes.read_embeddings()
    with caplog.at_level(logging.WARNING):
        builder = new_builder(storage, OtherSceneEncoder())
    assert "described by fake-scenes" in caplog.text
    assert "xover scene refresh" in caplog.text
    add_all(builder, turning_walk()[6:])
    builder.finish()
    assert storage.scenes.model == FakeSceneEncoder().model
    after = storage.scenes.read_embeddings()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old.vector, new.vector)


def test_refreshing_describes_everything_with_another_model(storage: MapStorage, random: np.random.Generator) -> None:
    add_all(new_builder(storage, FakeSceneEncoder()), turning_walk())
    plan = random.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    storage.scenes.describe(1, [text_source(1, "a box"), floorplan_source(1, plan, 50.0)], [], replace=False)
    encoder, shares = OtherSceneEncoder(), []
    update = refresh_scenes(storage, encoder, SETTINGS, shares.append)
    assert encoder.num_views == len(update.views) == len(storage.scenes.read_views()) == 12
    assert shares[-1] == 1.0
    assert storage.scenes.model == encoder.model
    assert kinds(storage) == [(1, PLAN), (1, IMAGE), (1, CLOUD), (1, TEXT)]
    assert new_builder(storage, encoder).finish().num_keyframes == 12
    assert encoder.num_views == 12


def test_an_encoder_of_few_modalities_embeds_those(storage: MapStorage) -> None:
    encoder = FakeSceneEncoder(frozenset({IMAGE}))
    builder = new_builder(storage, encoder)
    add_all(builder, turning_walk(4))
    storage.scenes.describe(1, [text_source(1, "a box")], [], replace=False)
    builder.finish()
    assert kinds(storage) == [(1, IMAGE)]


def test_all_texts_of_a_scene_are_one(storage: MapStorage) -> None:
    encoder = FakeSceneEncoder()
    sources = [text_source(1, "a red sofa"), text_source(2, "a blue bed"), text_source(1, "a green plant")]
    first, second = embed_told(encoder, sources)
    assert (first.scene_id, first.num_sources, second.scene_id, second.num_sources) == (1, 2, 2, 1)
    np.testing.assert_array_equal(first.vector, encoder.embed_text("a red sofa a green plant"))


def test_a_describer_of_nothing_completes_nothing() -> None:
    update = SceneDescriber(FakeSceneEncoder(), SETTINGS).complete([], [], lambda _: None)
    assert (update.views, update.embeddings, update.num_bytes) == ({}, (), 0)
