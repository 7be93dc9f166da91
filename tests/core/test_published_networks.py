# SPDX-License-Identifier: Apache-2.0
"""The published CrossOver's encoders of pictures and texts by what settings name: alike, and never of other weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from published_crossover import TINY_BERT, TINY_CROSSOVER
from published_vit import TINY_SWIGLU

from xover_core.config import InferenceSettings
from xover_core.encoders.crossover_scene_encoder import CrossoverSceneEncoder
from xover_core.encoders.scene_encoder import ObjectInput
from xover_core.errors import BackendUnavailableError
from xover_core.inference import crossover_networks
from xover_core.inference.crossover_graphs import (
    CLASS_TOKEN,
    IMAGE,
    IMAGE_ENCODER,
    PATCH_MEAN,
    TEXT_ENCODER,
    make_image_graph,
    make_text_graph,
)
from xover_core.inference.crossover_networks import PublishedCrossoverSettings, PublishedNetworks
from xover_core.inference.crossover_session import CrossOverSession
from xover_core.inference.export_install import export_into
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import MODELS_DIR_VARIABLE
from xover_core.inference.session import Arrays, Session
from xover_core.networks.bert_text_encoder import BertTextEncoder
from xover_core.networks.crossover import CrossOver
from xover_core.networks.vit_backbone import VitBackbone
from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame, SceneModality

pytest.importorskip("transformers")
pytest.importorskip("onnx")
# float32 sums in another order, of numbers about 1, through two blocks and the heads
TOLERANCE = 1e-5
SHA256 = "ab" * 32
# the examples that an exported file is compared on have up to 31 tokens
BERT = dataclasses.replace(TINY_BERT, max_tokens=40)
TEXTS = ("a", "red sofa", "a text that is cut, for it has more than forty letters")


class LetterTokenizer:
    """Every letter is a token, between the start and the end token."""

    def token_ids(self, text: str) -> list[int]:
        return [2, *(5 + ord(letter) % 30 for letter in text), 3]


@dataclass
class TinyNetworks:
    """Implements `CrossOverNetworks`, but for objects in points."""

    unified: CrossOver
    image_encoder: Session
    text_encoder: Session
    tokenizer: LetterTokenizer
    max_tokens: int = BERT.max_tokens
    device: str = "cpu"


def tiny_graphs(weights_sha256: str = SHA256) -> dict[str, ModelGraph]:
    """The true architectures, small, with the names of the published ones."""
    torch.manual_seed(0)
    pictures, texts = VitBackbone(TINY_SWIGLU), BertTextEncoder(BERT).eval()
    names = {"name": IMAGE_ENCODER, "weights_sha256": weights_sha256}
    return {
        IMAGE_ENCODER: make_image_graph(lambda: pictures, TINY_SWIGLU, **names),
        TEXT_ENCODER: make_text_graph(lambda: texts, BERT, **{**names, "name": TEXT_ENCODER}),
    }


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the exported files of both."""
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("models")
    for graph in tiny_graphs().values():
        export_into(folder, graph)
    return folder


Open = Callable[..., PublishedNetworks]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, models: Path) -> Open:
    """Opens networks of small files with these settings; the files are of weights with this checksum."""
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(models))

    def open_them(weights_sha256: str = SHA256, **settings: str) -> PublishedNetworks:
        graphs = tiny_graphs(weights_sha256)
        monkeypatch.setattr(crossover_networks, "published_image_graph", lambda: graphs[IMAGE_ENCODER])
        monkeypatch.setattr(crossover_networks, "published_text_graph", lambda: graphs[TEXT_ENCODER])
        inference = InferenceSettings(device="cpu", num_threads=1, **settings)
        return PublishedNetworks(PublishedCrossoverSettings(), inference)

    return open_them


def scene_encoder(networks: PublishedNetworks) -> CrossoverSceneEncoder:
    """The scene encoder with a small unified model behind these encoders."""
    torch.manual_seed(1)
    tiny = TinyNetworks(
        unified=CrossOver(TINY_CROSSOVER).eval(),
        image_encoder=networks.image_encoder,
        text_encoder=networks.text_encoder,
        tokenizer=LetterTokenizer(),
    )
    return CrossoverSceneEncoder(CrossOverSession(tiny), weights_sha256=SHA256)


def embed_all(encoder: CrossoverSceneEncoder) -> list[Float32Array]:
    """A view, a floorplan, texts of several lengths, and objects in pictures and sentences."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(4)]
    camera = CameraIntrinsics(fx=60.0, fy=60.0, cx=40.0, cy=30.0, width=80, height=60)
    view = encoder.describe_view(RgbdFrame(stamp_ns=1, rgb=pictures[0], depth=None, intrinsics=camera))
    box = {"center": np.zeros(3, np.float32), "size": np.ones(3, np.float32)}
    item = ObjectInput(**box, images=tuple(pictures[1:]), sentences=TEXTS[:2])
    objects = [encoder.embed_objects([item], one)[0] for one in (SceneModality.IMAGE, SceneModality.TEXT)]
    texts = [encoder.embed_text(text) for text in TEXTS]
    return [view, encoder.embed_views(view[None]), encoder.embed_floorplan(pictures[1]), *texts, *objects]


def test_exported_files_are_run_and_give_what_torch_gives(published: Open) -> None:
    fast, slow = published(), published(backend="torch")
    for networks, backend in ((fast, "onnxruntime"), (slow, "torch")):
        assert {networks.image_encoder.info.backend, networks.text_encoder.info.backend} == {backend}
    for found, expected in zip(embed_all(scene_encoder(fast)), embed_all(scene_encoder(slow)), strict=True):
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_files_of_other_weights_are_not_run(published: Open, caplog: pytest.LogCaptureFixture) -> None:
    networks = published(weights_sha256="cd" * 32)
    assert networks.image_encoder.info.backend == "torch"
    assert "was exported of other weights of crossover-2d" in caplog.text


def test_a_backend_that_is_named_is_not_replaced(published: Open) -> None:
    with pytest.raises(BackendUnavailableError, match=r"xover export crossover-text --precision fp16"):
        _ = published(backend="onnxruntime", precision="fp16").text_encoder


class CountingSession:
    """A session of pictures that says which they were."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def run(self, inputs: Arrays) -> dict[str, Float32Array]:
        images = inputs[IMAGE]
        assert images.flags.c_contiguous
        self.lengths.append(len(images))
        return {CLASS_TOKEN: images[:, :1, 0, 0], PATCH_MEAN: images[:, 1:2, 0, 0]}


@pytest.mark.parametrize(("count", "lengths"), [(1, [1]), (3, [2, 1]), (8, [8]), (23, [8, 8, 4, 2, 1])])
def test_few_numbers_of_pictures_at_once(count: int, lengths: list[int]) -> None:
    session = CountingSession()
    networks = TinyNetworks(CrossOver(TINY_CROSSOVER), session, session, LetterTokenizer())
    images = np.random.default_rng(0).random((count, 3, 2, 2), dtype=np.float32)
    class_tokens, patches = CrossOverSession(networks).image_features(images)
    assert session.lengths == lengths
    np.testing.assert_array_equal(class_tokens[:, 0], images[:, 0, 0, 0])
    np.testing.assert_array_equal(patches[:, 0], images[:, 1, 0, 0])
