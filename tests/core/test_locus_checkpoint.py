# SPDX-License-Identifier: Apache-2.0
"""Tests of published LoCUS checkpoints: made here with their keys and shapes, loaded strictly, converted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_vit import TINY_DINO, PublishedVit, published_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.inference.locus_checkpoint import (
    PUBLISHED_SHAPE,
    inspect_published,
    load_locus,
    load_published_locus,
    save_locus,
)
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork

pytest.importorskip("transformers")
# float32 rounding
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def backbone() -> PublishedVit:
    return PublishedVit(TINY_DINO)


@pytest.fixture
def checkpoint(backbone: PublishedVit) -> dict[str, Tensor]:
    """Weights of a small LoCUS model."""
    return published_checkpoint(backbone, LocusHead(TINY_DINO.width))


def write(path: Path, weights: dict[str, Tensor], container: str = "model") -> Path:
    torch.save({container: weights, "epoch": 20}, path)
    return path


@pytest.mark.parametrize("container", ["model", "model_state_dict"])
def test_features_are_those_of_the_published_network(backbone: PublishedVit, tmp_path: Path, container: str) -> None:
    heads = {0.6: LocusHead(TINY_DINO.width), 0.2: LocusHead(TINY_DINO.width)}
    files = {
        radius: write(tmp_path / f"{radius}.pth", published_checkpoint(backbone, head), container)
        for radius, head in heads.items()
    }
    network = load_published_locus(files, TINY_DINO)
    assert network.radii == (0.2, 0.6)
    images = torch.randn(1, 3, 24, 40)
    for radius, features in zip(network.radii, network(images), strict=True):
        expected = heads[radius](backbone(images)).unflatten(1, (3, 5))
        torch.testing.assert_close(features, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_keys_and_shapes_of_the_true_model() -> None:
    with torch.device("meta"):
        weights = published_checkpoint(PublishedVit(PUBLISHED_SHAPE, num_spare_blocks=0), LocusHead(768))
    weights = {key: value for key, value in weights.items() if not key.startswith("dino_model.norm.")}
    report = inspect_published(weights)
    assert report.problems == report.notes == ()
    assert len(weights) == 4 + 11 * 12 + 28
    del weights["trainable_head.3.bias"]
    assert inspect_published(weights).problems == ("trainable_head.3.bias: missing, expected a tensor of shape (64,).",)


def test_only_heads_are_trainable(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    network = load_published_locus({0.2: write(tmp_path / "a.pth", checkpoint)}, TINY_DINO)
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad} == {"heads"}


def test_unneeded_tensors_are_named_but_no_problem(checkpoint: dict[str, Tensor]) -> None:
    report = inspect_published(checkpoint, TINY_DINO)
    assert report.problems == ()
    # the spare block's 12 and the final norm's 2
    assert len(report.notes) == 14
    assert "dino_model.norm.bias: not used, tokens are taken before the final norm." in report.notes
    assert "dino_model.blocks.2.norm1.weight: not used, tokens are taken after block 2." in report.notes


def test_a_sentence_for_every_tensor_that_does_not_fit(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    del checkpoint["dino_model.blocks.1.attn.qkv.bias"]
    del checkpoint["trainable_head.1.norm1.weight"]
    checkpoint["trainable_head.4.weight"] = torch.zeros(2, 2)
    checkpoint["dino_model.pos_embed"] = torch.zeros(1, 5, 32)
    with pytest.raises(ModelError) as caught:
        load_published_locus({0.2: write(tmp_path / "a.pth", checkpoint)}, TINY_DINO)
    lines = str(caught.value).splitlines()
    assert "a.pth: 4 of its tensors do not fit" in lines[0]
    assert {line.strip() for line in lines[1:]} == {
        "dino_model.blocks.1.attn.qkv.bias: missing, expected a tensor of shape (96,).",
        "trainable_head.1.norm1.weight: missing, expected a tensor of shape (128,).",
        "trainable_head.4.weight: unexpected, the network has no such tensor (of shape (2, 2)).",
        "dino_model.pos_embed: expected shape (1, 17, 32), got (1, 5, 32).",
    }


def test_backbones_must_agree(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    other = checkpoint | {"dino_model.cls_token": checkpoint["dino_model.cls_token"] + 1}
    files = {0.2: write(tmp_path / "a.pth", checkpoint), 0.6: write(tmp_path / "b.pth", other)}
    with pytest.raises(ModelError, match=r"b\.pth: its backbone differs"):
        load_published_locus(files, TINY_DINO)


class Dangerous:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model": checkpoint, "config": Dangerous(tmp_path / "trace")}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="run code"):
        load_published_locus({0.2: tmp_path / "a.pth"}, TINY_DINO)
    assert not (tmp_path / "trace").exists()


def test_files_that_are_no_checkpoints(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected its weights under model .* \['epoch', 'weights'\]"):
        load_published_locus({0.2: write(tmp_path / "a.pth", checkpoint, "weights")}, TINY_DINO)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="expected a dictionary, got list"):
        load_published_locus({0.2: tmp_path / "list.pth"}, TINY_DINO)
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("text.pth", "missing.pth"):
        with pytest.raises(ModelError, match=name):
            load_published_locus({0.2: tmp_path / name}, TINY_DINO)


def test_safetensors_there_and_back(checkpoint: dict[str, Tensor], backbone: PublishedVit, tmp_path: Path) -> None:
    second = published_checkpoint(backbone, LocusHead(TINY_DINO.width))
    files = {0.2: write(tmp_path / "a.pth", checkpoint), 0.6: write(tmp_path / "b.pth", second)}
    network = load_published_locus(files, TINY_DINO)
    save_locus(network, tmp_path / "locus.safetensors")
    images = torch.randn(1, 3, 16, 24)
    for source in (tmp_path / "locus.safetensors", (tmp_path / "locus.safetensors").read_bytes()):
        again = load_locus(source)
        assert again.radii == network.radii
        for found, expected in zip(again(images), network(images), strict=True):
            assert torch.equal(found, expected)


def test_the_same_weights_are_the_same_bytes(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    network = load_published_locus({0.2: write(tmp_path / "a.pth", checkpoint)}, TINY_DINO)
    for i in range(8):
        save_locus(network, tmp_path / f"{i}.safetensors")
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(8)}) == 1


def test_damaged_safetensors(checkpoint: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "locus.safetensors"
    with pytest.raises(ModelError, match="cannot be read"):
        load_locus(path)
    path.write_bytes(b"nothing of use")
    with pytest.raises(ModelError, match="cannot be read"):
        load_locus(path)
    with pytest.raises(ModelError, match="weights of mine: cannot be read"):
        load_locus(path.read_bytes(), "of mine")
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="expected format xover-locus-1, got None"):
        load_locus(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "xover-locus-1", "backbone": "{}"})
    with pytest.raises(ModelError, match="damaged metadata"):
        load_locus(path)


def test_other_networks_are_not_written(tmp_path: Path) -> None:
    class Plain(torch.nn.Linear):
        token_dim, patch_size = 3, 4

    network = MultiRadiusEncoderNetwork(Plain(3, 3), [LocusHead(3)], [0.2])
    with pytest.raises(ModelError, match="expected a network on a ViT backbone, got Plain"):
        save_locus(network, tmp_path / "locus.safetensors")
