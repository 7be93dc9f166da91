# SPDX-License-Identifier: Apache-2.0
"""Tests of the published scene encoder with small networks in place of the published ones; and of its preprocessing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from published_crossover import TINY_BERT, TINY_CROSSOVER, TINY_I2P_MAE, crossover_tensors, write_accelerate

from xover_core.config import SceneEncoderSettings
from xover_core.encoders.bicubic_resize import resize_bicubic
from xover_core.encoders.crossover_scene_encoder import (
    CrossoverSceneEncoder,
    make_crossover_scene_encoder,
    sample_object,
)
from xover_core.encoders.object_crops import crop_levels
from xover_core.encoders.scene_encoder import ColoredPoints, ObjectInput, SceneEncoder
from xover_core.encoders.scene_factory import make_scene_encoder
from xover_core.errors import ConfigError, ModelError, SensorDataError
from xover_core.inference.crossover_files import WordPieceTokenizer, find_published
from xover_core.inference.crossover_graphs import make_image_graph, make_text_graph
from xover_core.inference.crossover_networks import PublishedCrossoverSettings, PublishedNetworks
from xover_core.inference.crossover_session import CrossOverSession
from xover_core.inference.model_store import MODELS_DIR_VARIABLE
from xover_core.inference.session import Session
from xover_core.inference.torch_session import TorchSession
from xover_core.networks.bert_text_encoder import BertTextEncoder
from xover_core.networks.crossover import CrossOver, CrossOverShape
from xover_core.networks.i2p_mae import I2pMae
from xover_core.networks.vit_backbone import VitBackbone, VitShape
from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame, SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
# float32 rounding over the small networks
TOLERANCE = 1e-5
# Pillow's weights are integers of 22 bits, and sums are rounded twice: now and then to the other side.
MAX_GREY_LEVELS, MEAN_GREY_LEVELS = 2, 0.02


class LetterTokenizer:
    """Every letter is a token."""

    def token_ids(self, text: str) -> list[int]:
        return [2, *(5 + ord(letter) % 30 for letter in text), 3]


class TinyVit(VitBackbone):
    """One that needs no library: the mean colour of each of four quarters, and of all, repeated."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.shape = VitShape(family="dinov2", width=32, num_heads=1, patch_size=112, trained_size=224)

    def values(self, images: torch.Tensor) -> torch.Tensor:
        quarters = images.unfold(2, 112, 112).unfold(3, 112, 112).mean((-1, -2)).flatten(2).mT
        tokens = torch.cat([quarters.mean(1, keepdim=True), quarters], 1)
        return torch.nn.functional.pad(tokens, (0, 29), value=0.5)


@dataclass
class TinyNetworks:
    """Implements `CrossOverNetworks`."""

    unified: CrossOver
    image_encoder: Session
    text_encoder: Session
    text_network: BertTextEncoder
    object_encoder: I2pMae
    tokenizer: LetterTokenizer
    max_tokens: int = TINY_BERT.max_tokens
    device: str = "cpu"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def networks() -> TinyNetworks:
    torch.manual_seed(0)
    unified, texts, objects = CrossOver(TINY_CROSSOVER), BertTextEncoder(TINY_BERT), I2pMae(TINY_I2P_MAE)
    for module in (unified, texts, objects):
        for parameter in module.eval().parameters():  # so that small differences are seen at the end
            parameter.data += 0.1 * torch.randn_like(parameter)
    pictures = TinyVit().eval()
    return TinyNetworks(
        unified=unified,
        image_encoder=TorchSession(make_image_graph(lambda: pictures, pictures.shape, name="2d", weights_sha256="")),
        text_encoder=TorchSession(make_text_graph(lambda: texts, TINY_BERT, name="text", weights_sha256="")),
        text_network=texts,
        object_encoder=objects,
        tokenizer=LetterTokenizer(),
    )


@pytest.fixture(scope="module")
def encoder(networks: TinyNetworks) -> CrossoverSceneEncoder:
    return CrossoverSceneEncoder(CrossOverSession(networks), weights_sha256="0" * 64)


@pytest.fixture
def released(networks: TinyNetworks) -> CrossoverSceneEncoder:
    instance = dataclasses.replace(TINY_CROSSOVER.instance, counts_padding=True)
    unified = CrossOver(dataclasses.replace(TINY_CROSSOVER, instance=instance, renormalizes_fusion=False)).eval()
    unified.load_state_dict(networks.unified.state_dict())
    changed = dataclasses.replace(networks, unified=unified)
    return CrossoverSceneEncoder(CrossOverSession(changed), weights_sha256="0" * 64, behaviour="released")


def make_frame(random: np.random.Generator, *, has_depth: bool = False) -> RgbdFrame:
    camera = CameraIntrinsics(fx=60.0, fy=60.0, cx=40.0, cy=30.0, width=80, height=60)
    rgb = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    depth = np.full((60, 80), 2.0, np.float32) if has_depth else None
    return RgbdFrame(stamp_ns=1, rgb=rgb, depth=depth, intrinsics=camera)


def make_objects(random: np.random.Generator) -> list[ObjectInput]:
    def cloud(count: int, center: float) -> ColoredPoints:
        points = (random.normal(size=(count, 3)) + center).astype(np.float32)
        return ColoredPoints(points=points, colors=random.integers(0, 256, (count, 3), dtype=np.uint8))

    box = {"center": np.array([1, 2, 3], np.float32), "size": np.ones(3, np.float32)}
    image = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return [
        ObjectInput(**box, cloud=cloud(200, 1.0), sentences=("a red sofa", "the sofa"), images=(image, image[:9])),
        ObjectInput(**box, cloud=cloud(80, 4.0), cad_points=random.random((70, 3), dtype=np.float32)),
        ObjectInput(**box, cloud=cloud(49, 2.0), sentences=("", "...")),
        ObjectInput(**box),
    ]


def is_unit(embedding: Float32Array) -> bool:
    return (
        embedding.shape == (768,)
        and embedding.dtype == np.float32
        and abs(np.linalg.norm(embedding) - 1) < 100 * TOLERANCE
    )


def test_it_is_a_scene_encoder(encoder: CrossoverSceneEncoder, released: CrossoverSceneEncoder) -> None:
    as_protocol: SceneEncoder = encoder
    assert as_protocol.modalities == set(SceneModality)
    assert encoder.model.descriptor_dim == 768
    assert encoder.model.radii == ()
    assert encoder.model.checksum != released.model.checksum


def test_views_are_described_without_depth(encoder: CrossoverSceneEncoder, random: np.random.Generator) -> None:
    frame = make_frame(random, has_depth=True)
    description = encoder.describe_view(frame)
    assert description.shape == (64,)
    assert np.array_equal(description, encoder.describe_view(dataclasses.replace(frame, depth=None)))
    small = resize_bicubic(frame.rgb, 224, 224) / 255
    mean = ((small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).mean((0, 1))
    np.testing.assert_allclose(description[:3], mean, atol=TOLERANCE)
    np.testing.assert_allclose(description[32:35], mean, atol=TOLERANCE)


def test_views_are_averaged(
    encoder: CrossoverSceneEncoder, networks: TinyNetworks, random: np.random.Generator
) -> None:
    views = np.stack([encoder.describe_view(make_frame(random)) for _ in range(3)])
    embedded = encoder.embed_views(views)
    assert is_unit(embedded)
    with torch.no_grad():
        mixed = networks.unified.frame_mlp(torch.from_numpy(views)).mean(0)
        expected = networks.unified.encoder2D_mlp_head(mixed).numpy()
    np.testing.assert_allclose(embedded, expected, atol=TOLERANCE)
    np.testing.assert_allclose(encoder.embed_views(views[::-1]), embedded, atol=TOLERANCE)
    with pytest.raises(SensorDataError, match=r"expected \(V, E\), V >= 1, got \(0, 64\)"):
        encoder.embed_views(views[:0])


def test_floorplans_are_class_tokens_without_frame_mlp(
    encoder: CrossoverSceneEncoder, networks: TinyNetworks, random: np.random.Generator
) -> None:
    frame = make_frame(random)
    found = encoder.embed_floorplan(frame.rgb, 30.0)
    assert is_unit(found)
    with torch.no_grad():
        class_token = torch.from_numpy(encoder.describe_view(frame)[:32])
        expected = networks.unified.encoder2D_mlp_head(class_token).numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    with pytest.raises(SensorDataError, match="expected uint8 RGB"):
        encoder.embed_floorplan(frame.rgb[..., 0])


def test_clouds_are_voxels_of_two_centimetres(encoder: CrossoverSceneEncoder, random: np.random.Generator) -> None:
    # points in the middle of voxels, so that none changes its voxel when all move by whole ones
    points = (np.unique(random.integers(0, 60, (300, 3)), axis=0) * 0.02 + 0.01).astype(np.float32)
    colors = random.integers(0, 256, points.shape, dtype=np.uint8)
    found = encoder.embed_point_cloud(ColoredPoints(points=points, colors=colors))
    assert is_unit(found)
    moved = ColoredPoints(points=(points - np.float32(0.64)).astype(np.float32), colors=colors)
    np.testing.assert_allclose(encoder.embed_point_cloud(moved), found, atol=TOLERANCE)
    twice = ColoredPoints(points=np.tile(points, (2, 1)) + np.float32(0.001), colors=np.tile(colors, (2, 1)))
    np.testing.assert_allclose(encoder.embed_point_cloud(twice), found, atol=TOLERANCE)
    other = ColoredPoints(points=points, colors=255 - colors)
    assert np.abs(encoder.embed_point_cloud(other) - found).max() > 100 * TOLERANCE


def test_texts(encoder: CrossoverSceneEncoder, networks: TinyNetworks) -> None:
    found = encoder.embed_text("a red sofa")
    assert is_unit(found)
    ids = torch.tensor([networks.tokenizer.token_ids("a red sofa")])
    with torch.no_grad():
        features = networks.text_network(ids, torch.ones_like(ids, dtype=torch.bool))
        expected = networks.unified.encoder1D_mlp_head(features)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    for text in ("", " .,!"):
        with pytest.raises(SensorDataError, match="found no word"):
            encoder.embed_text(text)


def test_long_texts_are_cut_unless_as_released(encoder: CrossoverSceneEncoder, released: CrossoverSceneEncoder) -> None:
    found = encoder.embed_text("abcdefghijklmnopqrstuvwxyz")
    np.testing.assert_allclose(found, encoder.embed_text("abcdefghijklmn"), atol=TOLERANCE)
    with pytest.raises(SensorDataError, match="at most 16 tokens, as released"):
        released.embed_text("abcdefghijklmnopqrstuvwxyz")


def test_objects_and_what_they_lack(encoder: CrossoverSceneEncoder, random: np.random.Generator) -> None:
    objects = make_objects(random)
    has = {CLOUD: (0, 1), CAD: (1,), IMAGE: (0,), TEXT: (0,)}  # 49 points are too few, "..." has no word
    for modality, present in has.items():
        rows, scene = encoder.embed_objects(objects, modality)
        assert rows.shape == (4, 768)
        assert is_unit(scene)
        for index, row in enumerate(rows):
            assert is_unit(row) if index in present else not row.any()
    for nothing in (objects[3:], []):
        rows, scene = encoder.embed_objects(nothing, CLOUD)
        assert rows.shape == (len(nothing), 768)
        assert not rows.any()
        assert not scene.any()
    with pytest.raises(SensorDataError, match="got floorplan"):
        encoder.embed_objects(objects, SceneModality.FLOORPLAN)


def test_missing_objects_change_nothing_unless_as_released(
    encoder: CrossoverSceneEncoder, released: CrossoverSceneEncoder, random: np.random.Generator
) -> None:
    objects = make_objects(random)
    rows, scene = encoder.embed_objects(objects, CLOUD)
    alone, alone_scene = encoder.embed_objects(objects[:2], CLOUD)
    np.testing.assert_allclose(rows[:2], alone, atol=TOLERANCE)
    np.testing.assert_allclose(scene, alone_scene, atol=TOLERANCE)
    published, _ = released.embed_objects(objects[:2], CLOUD)
    assert published.shape == (2, 768)
    assert np.abs(published - alone).max() > TOLERANCE
    # pictures are not located, so nothing is padded that matters
    np.testing.assert_allclose(
        released.embed_objects(objects, IMAGE)[0], encoder.embed_objects(objects, IMAGE)[0], atol=TOLERANCE
    )


def test_objects_are_sampled_alike_wherever_they_are(random: np.random.Generator) -> None:
    points = random.normal(size=(60, 3)).astype(np.float32)
    sampled = sample_object(points)
    assert sampled.shape == (1024, 3)
    assert np.linalg.norm(sampled, axis=1).max() == pytest.approx(1, abs=TOLERANCE)
    np.testing.assert_allclose(sampled.mean(axis=0), 0, atol=TOLERANCE)
    np.testing.assert_allclose(sample_object(3 * points + 2), sampled, atol=TOLERANCE)
    many = random.normal(size=(5000, 3)).astype(np.float32)
    assert len(np.unique(sample_object(many), axis=0)) == 1024
    assert not sample_object(np.ones((1, 3), np.float32)).any()


@pytest.mark.parametrize("shape", [(60, 80), (500, 333), (224, 224), (225, 100), (7, 5)])
def test_pictures_are_resized_as_by_pillow(shape: tuple[int, int], random: np.random.Generator) -> None:
    image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = resize_bicubic(image, 224, 224)
    # torch does on bytes what Pillow does
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, (224, 224), mode="bicubic", antialias=True)
    difference = np.abs(found.astype(int) - expected[0].permute(1, 2, 0).numpy().astype(int))
    assert difference.max() <= MAX_GREY_LEVELS
    assert difference.mean() <= MEAN_GREY_LEVELS


def test_crops_of_an_object_grow(random: np.random.Generator) -> None:
    image = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20, 30], mask[29, 49] = True, True
    crops = crop_levels(image, mask)
    assert [crop.shape[:2] for crop in crops] == [(10, 20), (14, 28), (18, 36)]
    assert np.array_equal(crops[0], image[20:30, 30:50])
    assert np.array_equal(crops[2], image[16:34, 22:58])
    mask[0, 0] = True
    assert crop_levels(image, mask)[2].shape[:2] == (42, 70)
    assert crop_levels(image, np.zeros((60, 80), bool)) == ()
    with pytest.raises(SensorDataError, match="expected a mask of size"):
        crop_levels(image, mask[:9])


def test_missing_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(ModelError) as caught:
        make_crossover_scene_encoder()
    message = str(caught.value)
    assert message.startswith("published CrossOver: scene_crossover_scannet+scan3r.pth/model.safetensors (from")
    assert f"is in none of {tmp_path / 'crossover'}, " in message
    assert "XOVER_MODELS_DIR" in message
    assert "\n" not in message
    networks = PublishedNetworks(PublishedCrossoverSettings())
    for name, file in (
        ("image_encoder", "dinov2_vitg14_pretrain.pth"),
        ("text_encoder", "model_large.pth"),
        ("object_encoder", "pointbind_i2pmae.pt"),
        ("tokenizer", "bert-base-uncased-vocab.txt"),
    ):
        with pytest.raises(ModelError, match=f"published CrossOver: {file} "):
            getattr(networks, name)


def test_files_are_found_and_read_when_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, networks: TinyNetworks
) -> None:
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    folder = tmp_path / "crossover" / "scene_crossover_scannet+scan3r.pth"
    write_accelerate(folder, crossover_tensors(networks.unified))
    encoder = make_crossover_scene_encoder()
    assert encoder.model.name == "crossover-published"
    for name in ("crossover-published", "crossover-released"):
        made = make_scene_encoder(SceneEncoderSettings(model=name))
        assert made is not None
        assert made.model.name == name
    # small tensors under the published names
    with pytest.raises(ModelError, match=r"model\.safetensors: \d+ of its tensors do not fit"):
        encoder.embed_views(np.zeros((1, 3072), np.float32))
    with pytest.raises(ModelError, match=r"bert-base-uncased-vocab\.txt .* is in none of"):
        encoder.embed_text("a red sofa")
    with pytest.raises(ConfigError, match="behaviour"):
        PublishedCrossoverSettings(behaviour="original")


def test_released_behaviour_reaches_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    path = tmp_path / "crossover" / "scene_crossover_scannet+scan3r.pth" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    shapes = []

    def load(found: Path, shape: CrossOverShape) -> CrossOver:
        assert found == path
        shapes.append(shape)
        return CrossOver(TINY_CROSSOVER)

    monkeypatch.setattr("xover_core.inference.crossover_checkpoint.load_crossover", load)
    for behaviour in ("corrected", "released"):
        assert isinstance(PublishedNetworks(PublishedCrossoverSettings(behaviour=behaviour)).unified, CrossOver)
    assert [shape.renormalizes_fusion for shape in shapes] == [True, False]
    assert [shape.instance.counts_padding for shape in shapes] == [False, True]


def test_safetensors_copies_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    copy = tmp_path / "crossover" / "model_large.safetensors"
    copy.parent.mkdir()
    copy.touch()
    assert find_published("model_large.pth") == copy
    copy.with_suffix(".pth").touch()
    assert find_published("model_large.pth") == copy.with_suffix(".pth")


def test_words_are_cut_into_pieces_of_the_vocabulary(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "red", "sofa", "##s", "."]))
    assert WordPieceTokenizer(path).token_ids("The red sofas. Blue") == [2, 5, 6, 7, 8, 9, 1, 3]
    with pytest.raises(ModelError, match=r"missing\.txt: cannot be read"):
        WordPieceTokenizer(tmp_path / "missing.txt")
