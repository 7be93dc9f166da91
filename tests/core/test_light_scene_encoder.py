# SPDX-License-Identifier: Apache-2.0
"""Tests of the light scene encoder: norms, what does not matter, missing modalities, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from room_cases import TINY, make_scan, tiny_light

from xover_core.config import SceneEncoderSettings
from xover_core.encoders.cloud_slices import NUM_SLICES, SLICE_PLANES
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE, LightSceneEncoder
from xover_core.encoders.scene_encoder import EMBEDDING_DIM, ColoredPoints, ObjectInput
from xover_core.encoders.scene_factory import make_scene_encoder
from xover_core.encoders.view_pixels import PICTURE_PLANES
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import ModelError, SensorDataError
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.inventory_session import InventorySession
from xover_core.inference.light_checkpoint import save_light
from xover_core.inference.light_session import light_session_of
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_entries
from xover_core.networks.scene_inventory import InventoryShape, SceneInventory
from xover_core.types import RgbdFrame, SceneModality

OBJECT_MODALITIES = (SceneModality.POINT_CLOUD, SceneModality.CAD, SceneModality.IMAGE, SceneModality.TEXT)
# float32 through some layers, in another order of summation
TOLERANCE = 2e-5
# different inputs differ by more, also with random weights
MIN_CHANGE = 1e-4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tokenizer() -> ViewTokenizer:
    return ViewTokenizer(make_compact_session(VIEW_BACKBONE))


def make_network(tokenizer, **sizes):
    shape = {"token_dim": tokenizer.token_dim, "num_tokens": tokenizer.num_tokens}
    return tiny_light(replace(TINY, **(shape | sizes))).eval()


@pytest.fixture(scope="module")
def encoder(tokenizer) -> LightSceneEncoder:
    torch.set_num_threads(1)
    session = light_session_of(make_network(tokenizer))
    return LightSceneEncoder(name="light", weights_sha256="abc", session=session, tokenizer=tokenizer)


def make_frame(number=0, has_depth=True):
    view = make_scan().views[number]
    depth = view.depth if has_depth else None
    return RgbdFrame(stamp_ns=0, rgb=view.rgb, depth=depth, intrinsics=view.intrinsics)


def make_cloud(seed=0):
    """Points on a grid of 1/1024 m, so that moving by whole metres is exact."""
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(0, (4, 3, 2.5), (800, 3)) * 1024) / 1024
    return ColoredPoints(points=points.astype(np.float32), colors=rng.integers(0, 256, (800, 3), dtype=np.uint8))


def make_objects():
    """One object with everything, one with nothing, one with each modality alone."""
    rng = np.random.default_rng(0)
    known = {
        "cloud": make_cloud(1),
        "cad_points": rng.random((40, 3), np.float32),
        "images": (rng.integers(0, 256, (50, 70, 3), dtype=np.uint8),),
        "sentences": ("the red chair", "a chair by the window"),
    }
    chosen = [known, {}, *({name: value} for name, value in known.items())]
    return [
        ObjectInput(center=rng.random(3, np.float32) * 3, size=rng.random(3, np.float32), **values) for values in chosen
    ]


def assert_unit(embedding, length=EMBEDDING_DIM):
    assert embedding.shape == (length,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=TOLERANCE)


def test_all_modalities_are_embedded(encoder):
    scan = make_scan()
    views = np.stack([encoder.describe_view(make_frame(i)) for i in range(2)])
    assert views.dtype == np.float32
    assert_unit(encoder.embed_views(views))
    assert_unit(encoder.embed_point_cloud(ColoredPoints(points=scan.points, colors=scan.colors)))
    assert_unit(encoder.embed_floorplan(scan.floorplan.image, 20.0))
    assert_unit(encoder.embed_floorplan(scan.floorplan.image))
    assert_unit(encoder.embed_text("a room with two chairs"))
    assert encoder.modalities == frozenset(SceneModality)
    assert (encoder.model.name, encoder.model.descriptor_dim, encoder.model.radii) == ("light", 768, ())


def test_the_checksum_is_that_of_name_and_weights(tokenizer):
    session = light_session_of(make_network(tokenizer))
    checksums = {
        LightSceneEncoder(name=name, weights_sha256=sha, session=session, tokenizer=tokenizer).model.checksum
        for name, sha in (("a", "1"), ("a", "2"), ("b", "1"))
    }
    assert len(checksums) == 3
    assert all(len(checksum) == 64 for checksum in checksums)


def test_views_are_pooled_in_any_order(encoder):
    views = np.stack([encoder.describe_view(make_frame(i, has_depth)) for i in range(2) for has_depth in (True, False)])
    expected = encoder.embed_views(views)
    np.testing.assert_allclose(encoder.embed_views(views[[2, 0, 3, 1]]), expected, atol=TOLERANCE)
    np.testing.assert_allclose(encoder.embed_views(np.concatenate([views, views])), expected, atol=TOLERANCE)
    np.testing.assert_allclose(encoder.embed_views(views.astype(np.float64)), expected, atol=TOLERANCE)
    assert np.abs(encoder.embed_views(views[:1]) - expected).max() > MIN_CHANGE


def test_a_description_does_not_depend_on_what_was_described_before(encoder):
    first = encoder.describe_view(make_frame(0))
    encoder.describe_view(make_frame(1))
    np.testing.assert_array_equal(encoder.describe_view(make_frame(0)), first)


def test_views_without_depth_are_described(encoder):
    with_depth, without = (encoder.describe_view(make_frame(0, has_depth)) for has_depth in (True, False))
    assert np.isfinite(without).all()
    assert np.abs(with_depth - without).max() > MIN_CHANGE
    assert_unit(encoder.embed_views(without[None]))


def test_poses_of_enough_views_with_depth_show_the_layout(encoder):
    views = np.stack([encoder.describe_view(make_frame(i % 2)) for i in range(4)])
    blind = np.stack([encoder.describe_view(make_frame(i % 2, False)) for i in range(4)])
    # cameras that look along x, y is to the left and z up
    pose = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]], float)
    poses = np.tile(pose, (4, 1, 1))
    poses[:, 0, 3] = np.arange(4)
    with_layout = encoder.embed_views(views, poses)
    assert_unit(with_layout)
    assert np.abs(with_layout - encoder.embed_views(views)).max() > MIN_CHANGE
    np.testing.assert_array_equal(encoder.embed_views(views[:3], poses[:3]), encoder.embed_views(views[:3]))
    np.testing.assert_array_equal(encoder.embed_views(blind, poses), encoder.embed_views(blind))
    moved = poses.copy()
    moved[:, :2, 3] += (5, -3)
    np.testing.assert_allclose(encoder.embed_views(views, moved), with_layout, atol=0.05)


@pytest.mark.parametrize("shift", [(2, 0, 0), (-6, 12, 0), (0, 0, 1)])
def test_where_a_cloud_lies_and_its_order_do_not_matter(encoder, shift):
    cloud = make_cloud()
    expected = encoder.embed_point_cloud(cloud)
    order = np.random.default_rng(5).permutation(len(cloud.points))
    moved = ColoredPoints(points=cloud.points[order] + np.float32(shift), colors=cloud.colors[order])
    np.testing.assert_allclose(encoder.embed_point_cloud(moved), expected, atol=TOLERANCE)
    assert np.abs(encoder.embed_point_cloud(make_cloud(1)) - expected).max() > MIN_CHANGE


def test_one_point_is_a_cloud(encoder):
    one = ColoredPoints(points=np.ones((1, 3), np.float32), colors=np.zeros((1, 3), np.uint8))
    assert_unit(encoder.embed_point_cloud(one))


@pytest.mark.parametrize("modality", OBJECT_MODALITIES)
def test_objects_without_a_modality_have_zero_rows(encoder, modality):
    objects = make_objects()
    rows, scene = encoder.embed_objects(objects, modality)
    assert rows.shape == (6, EMBEDDING_DIM)
    assert rows.dtype == np.float32
    has = [0, 2 + OBJECT_MODALITIES.index(modality)]
    has_rows = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(has_rows[has], 1, atol=TOLERANCE)
    assert not np.delete(rows, has, axis=0).any()
    assert_unit(scene)
    # what lacks the modality is as if it were not there
    again, same = encoder.embed_objects([objects[i] for i in has], modality)
    np.testing.assert_allclose(again, rows[has], atol=TOLERANCE)
    np.testing.assert_allclose(same, scene, atol=TOLERANCE)


@pytest.mark.parametrize("modality", OBJECT_MODALITIES)
def test_no_object_at_all_is_a_zero(encoder, modality):
    for objects in ([], make_objects()[1:2]):
        rows, scene = encoder.embed_objects(objects, modality)
        assert rows.shape == (len(objects), EMBEDDING_DIM)
        assert (rows.dtype, scene.dtype, scene.shape) == (np.float32, np.float32, (EMBEDDING_DIM,))
        assert not rows.any()
        assert not scene.any()


def test_empty_words_and_models_are_missing(encoder):
    bare = ObjectInput(
        center=np.zeros(3, np.float32),
        size=np.ones(3, np.float32),
        cad_points=np.zeros((0, 3), np.float32),
        sentences=("  ", ""),
    )
    for modality in (SceneModality.CAD, SceneModality.TEXT):
        assert not encoder.embed_objects([bare], modality)[0].any()


def test_where_objects_lie_does_not_matter(encoder):
    objects = make_objects()
    moved = [
        ObjectInput(
            center=o.center + np.float32((8, -4, 0)),
            size=o.size,
            cloud=o.cloud,
        )
        for o in objects
    ]
    expected, found = (encoder.embed_objects(some, SceneModality.POINT_CLOUD)[0] for some in (objects, moved))
    np.testing.assert_allclose(found, expected, atol=10 * TOLERANCE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.embed_objects(make_objects(), SceneModality.FLOORPLAN), "got floorplan"),
        (lambda e: e.embed_views(np.zeros((0, 832), np.float32)), "at least one view"),
        (lambda e: e.embed_text(" ... "), "at least one word"),
        (lambda e: e.embed_floorplan(np.full((9, 9, 3), 255, np.uint8)), "empty image"),
        (lambda e: e.embed_floorplan(np.zeros((9, 9, 3), np.uint8), -2.0), "pixels_per_m"),
    ],
)
def test_what_is_refused_is_said_in_one_sentence(encoder, call, message):
    with pytest.raises(SensorDataError, match=message) as error:
        call(encoder)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_tokens_of_another_size_are_refused(tokenizer):
    session = light_session_of(make_network(tokenizer, token_dim=tokenizer.token_dim + 1))
    with pytest.raises(ModelError, match=r"expected views of 268 numbers a token.*gives 267") as error:
        LightSceneEncoder(name="light", weights_sha256="abc", session=session, tokenizer=tokenizer)
    assert "\n" not in str(error.value)


def install(folder, monkeypatch, weights):
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(folder))
    entry = make_entry(
        name="mine", kind="light-crossover", weights=weights, licence="MIT", source="this test", radii=()
    )
    install_model(folder, entry, weights)


def test_the_factory_makes_the_encoder_of_a_manifest(tokenizer, encoder, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, save_light(make_network(tokenizer)))
    made = make_scene_encoder(SceneEncoderSettings(model="mine"))
    assert (made.model.name, made.model.descriptor_dim) == ("mine", EMBEDDING_DIM)
    # half precision
    assert made.embed_text("a red sofa") @ encoder.embed_text("a red sofa") > 0.999


def test_damaged_weights_are_refused(tokenizer, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, save_light(make_network(tokenizer))[:-100])
    with pytest.raises(ModelError, match="weights mine: cannot be read") as error:
        make_scene_encoder(SceneEncoderSettings(model="mine"))
    assert "\n" not in str(error.value)


def test_other_weights_than_those_of_the_manifest_are_refused(tokenizer, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, save_light(make_network(tokenizer)))
    path = tmp_path / "mine.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="sha256"):
        make_scene_encoder(SceneEncoderSettings(model="mine"))


@pytest.mark.parametrize(
    "name", sorted(name for name, entry in model_entries().items() if entry.kind == "light-crossover")
)
def test_every_shipped_scene_model_makes_an_encoder(name):
    shipped = make_scene_encoder(SceneEncoderSettings(model=name))
    assert shipped.model.name == name
    sofa, couch, kitchen = (shipped.embed_text(text) for text in ("a red sofa", "a red couch", "kitchen with a stove"))
    assert_unit(sofa)
    assert sofa @ couch > sofa @ kitchen


def test_an_inventory_changes_all_embeddings_and_is_kept_with_views(tokenizer, encoder):
    torch.manual_seed(0)
    shape = InventoryShape(
        num_classes=4, num_looks=3, num_pairs=6, num_traits=5, view_planes=PICTURE_PLANES,
        patch_dim=tokenizer.patch_dim, num_planes=SLICE_PLANES, num_slices=NUM_SLICES, num_kinds=3,
    )  # fmt: skip
    inventory = InventorySession(SceneInventory(shape).eval())
    session = light_session_of(make_network(tokenizer))
    telling = LightSceneEncoder(
        name="light", weights_sha256="abc", session=session, tokenizer=tokenizer, inventory=inventory
    )
    scan = make_scan()
    cloud = ColoredPoints(points=scan.points, colors=scan.colors)
    plain, told = (np.stack([one.describe_view(make_frame(i)) for i in range(2)]) for one in (encoder, telling))
    assert told.shape[1] == plain.shape[1] + shape.num_pairs
    poses, objects = np.stack([np.eye(4)] * 2), make_objects()
    pairs = [
        (encoder.embed_views(plain, poses), telling.embed_views(told, poses)),
        (encoder.embed_point_cloud(cloud), telling.embed_point_cloud(cloud)),
        (encoder.embed_floorplan(scan.floorplan.image, 20.0), telling.embed_floorplan(scan.floorplan.image, 20.0)),
        (encoder.embed_text("a red sofa"), telling.embed_text("a red sofa")),
        (encoder.embed_objects(objects, SceneModality.CAD)[1], telling.embed_objects(objects, SceneModality.CAD)[1]),
    ]
    part = slice(shape.kept_dim, shape.kept_dim + shape.dim)
    for number, (before, after) in enumerate(pairs):
        assert_unit(after)
        # objects alone have no inventory
        assert after[part].any() == (number < len(pairs) - 1)
        # colours and layout stay in proportion
        assert float(before[-320:] @ after[-320:]) == pytest.approx(
            float(np.linalg.norm(before[-320:]) * np.linalg.norm(after[-320:])), abs=TOLERANCE
        )


def test_long_texts_are_read_to_their_end_by_an_inventory(tokenizer):
    torch.manual_seed(0)
    shape = InventoryShape(
        num_classes=4, num_looks=3, num_pairs=6, num_traits=5, view_planes=PICTURE_PLANES,
        patch_dim=tokenizer.patch_dim, num_planes=SLICE_PLANES, num_slices=NUM_SLICES, num_kinds=3,
    )  # fmt: skip
    telling = LightSceneEncoder(
        name="light", weights_sha256="abc", session=light_session_of(make_network(tokenizer)), tokenizer=tokenizer,
        inventory=InventorySession(SceneInventory(shape).eval()),
    )  # fmt: skip
    filler = "the " * 150
    assert np.abs(telling.embed_text(filler + "sofa") - telling.embed_text(filler + "bathtub")).max() > MIN_CHANGE
