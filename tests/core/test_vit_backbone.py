# SPDX-License-Identifier: Apache-2.0
"""Tests of the frozen backbones against the transformers library and against the published networks written out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from published_vit import TINY_DINO, TINY_DINOV2, TINY_SWIGLU, PublishedVit
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode

from xover_core.errors import BackendUnavailableError, ModelError, SensorDataError
from xover_core.inference.vit_weights import (
    from_published,
    load_vit_backbone,
    published_shapes,
    to_published,
    unused_tensors,
)
from xover_core.networks.vit_backbone import DINOV2_VITG14, VIT_SHAPES, VitBackbone, VitShape, vit_shape

# float32 rounding through the blocks
TOLERANCE = 1e-5
SHAPES = [
    pytest.param(TINY_DINO, id="dino"),
    pytest.param(TINY_DINOV2, id="dinov2"),
    pytest.param(TINY_SWIGLU, id="swiglu"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def _transformers() -> None:
    pytest.importorskip("transformers")


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (6, 4)])
def test_equals_the_published_network(shape: VitShape, grid: tuple[int, int]) -> None:
    published = PublishedVit(shape)
    backbone = VitBackbone(shape)
    backbone.load_state_dict(from_published(published.state_dict(), shape))
    images = torch.randn(2, 3, *(shape.patch_size * length for length in grid))
    found = backbone(images)
    assert found.shape == (2, 1 + grid[0] * grid[1], shape.width)
    torch.testing.assert_close(found, published(images), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_those_of_a_hook_on_the_last_block(shape: VitShape) -> None:
    published, backbone = PublishedVit(shape), VitBackbone(shape)
    backbone.load_state_dict(from_published(published.state_dict(), shape))
    images = torch.randn(2, 3, 3 * shape.patch_size, 2 * shape.patch_size)
    found = backbone.values(images)
    torch.testing.assert_close(found, published.values(images), rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 7))


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize("shape", SHAPES)
def test_published_files_load_strictly(shape: VitShape, tmp_path: Path) -> None:
    published = PublishedVit(shape)
    torch.save(published.state_dict(), tmp_path / "vit.pth")
    save_file(published.state_dict(), tmp_path / "vit.safetensors")
    images = torch.randn(1, 3, 2 * shape.patch_size, 3 * shape.patch_size)
    for name in ("vit.pth", "vit.safetensors"):
        found = load_vit_backbone(tmp_path / name, shape)(images)
        torch.testing.assert_close(found, published(images), rtol=TOLERANCE, atol=TOLERANCE)
    other = TINY_DINOV2 if shape is TINY_DINO else TINY_DINO
    with pytest.raises(ModelError, match=r"vit\.pth: .* do not fit the network"):
        load_vit_backbone(tmp_path / "vit.pth", other)
    torch.save({"teacher": published.state_dict()}, tmp_path / "training.pth")
    with pytest.raises(ModelError, match="found also teacher"):
        load_vit_backbone(tmp_path / "training.pth", shape)


@pytest.mark.usefixtures("_transformers")
def test_tokens_are_those_of_the_library_before_its_last_block() -> None:
    from transformers import ViTConfig, ViTModel

    size = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 128, "image_size": 32, "patch_size": 8}
    model = ViTModel(ViTConfig(**size, num_hidden_layers=3, layer_norm_eps=1e-6), add_pooling_layer=False).eval()
    backbone = VitBackbone(TINY_DINO)
    kept = {key: value for key, value in model.state_dict().items() if key in backbone.state_dict()}
    backbone.load_state_dict(kept)
    images = torch.randn(1, 3, 32, 32)
    stream = model(images, output_hidden_states=True).hidden_states
    torch.testing.assert_close(backbone(images), stream[2], rtol=TOLERANCE, atol=TOLERANCE)
    # at other sizes the library aims at the exact size
    backbone.position_offset = 0.0
    images = torch.randn(1, 3, 48, 40)
    stream = model(images, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
    torch.testing.assert_close(backbone(images), stream[2], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.usefixtures("_transformers")
def test_published_names_there_and_back() -> None:
    for shape in (TINY_DINO, TINY_DINOV2, TINY_SWIGLU):
        state = VitBackbone(shape).state_dict()
        back = from_published(to_published(state, shape), shape)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[key], state[key]) for key in state)


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize(
    ("name", "num_parameters", "num_patches"),
    # counted by hand from the published architecture: 11 blocks, no final norm, no pooler
    [
        ("dino-vitb8", 78_718_464, 40 * 32),
        ("dino-vits8", 19_895_040, 40 * 32),
        ("dinov2-vitb14", 79_488_768, 16 * 20),
        ("dinov2-vits14", 20_280_192, 16 * 20),
    ],
)
def test_true_architectures(name: str, num_parameters: int, num_patches: int) -> None:
    shape = vit_shape(name)
    with torch.device("meta"):
        backbone = VitBackbone(shape)
        images = torch.zeros(1, 3, *((256, 320) if shape.patch_size == 8 else (224, 280)))
    assert sum(parameter.numel() for parameter in backbone.parameters()) == num_parameters
    assert backbone(images).shape == (1, 1 + num_patches, shape.width)
    assert backbone.token_dim == shape.width


@pytest.mark.usefixtures("_transformers")
def test_true_architecture_of_crossover() -> None:
    shapes = published_shapes(DINOV2_VITG14)
    assert shapes["blocks.31.attn.qkv.weight"] == (3 * 1536, 1536)
    assert shapes["blocks.0.mlp.w12.weight"] == (2 * 4096, 1536)
    assert shapes["blocks.0.mlp.w3.weight"] == (1536, 4096)
    assert shapes["pos_embed"] == (1, 1370, 1536)
    assert not any(key.startswith("blocks.32.") for key in shapes)
    unused = unused_tensors(DINOV2_VITG14)
    assert {f"blocks.{block}." for block in range(32, 40)} <= set(unused)
    with torch.device("meta"):
        values = VitBackbone(DINOV2_VITG14).values(torch.zeros(1, 3, 224, 224))
    assert values.shape == (1, 257, 1536)


@pytest.mark.usefixtures("_transformers")
def test_published_shapes_of_the_true_backbone() -> None:
    shapes = published_shapes(VIT_SHAPES["dino-vitb8"])
    assert len(shapes) == 4 + 11 * 12
    assert shapes["pos_embed"] == (1, 785, 768)
    assert shapes["patch_embed.proj.weight"] == (768, 3, 8, 8)
    assert shapes["blocks.10.attn.qkv.weight"] == (2304, 768)
    assert published_shapes(VIT_SHAPES["dinov2-vits14"])["pos_embed"] == (1, 1370, 384)


@pytest.mark.usefixtures("_transformers")
def test_is_frozen() -> None:
    backbone = VitBackbone(TINY_DINO)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not torch.nn.Sequential(backbone).train()[0].training
    assert not backbone(torch.randn(1, 3, 32, 32, requires_grad=True)).requires_grad


@pytest.mark.usefixtures("_transformers")
def test_images_that_do_not_fit_the_patches_are_refused() -> None:
    with pytest.raises(SensorDataError, match="multiples"):
        VitBackbone(TINY_DINO)(torch.zeros(1, 3, 30, 32))


def test_unknown_backbones_are_refused() -> None:
    with pytest.raises(ModelError, match="dinov2-vits14"):
        vit_shape("dino-vitx8")
    with pytest.raises(ModelError, match="family"):
        VitShape(family="resnet", width=8, num_heads=1, patch_size=8, trained_size=32)


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install \"xover\[vit\]\""):
        VitBackbone(TINY_DINO)


@pytest.mark.usefixtures("_transformers")
def test_position_embeddings_are_made_once_for_a_few_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    resize = VitBackbone._resize_positions

    def counting_resize(self: VitBackbone, rows: int, cols: int) -> torch.Tensor:
        made.append((rows, cols))
        return resize(self, rows, cols)

    monkeypatch.setattr(VitBackbone, "_resize_positions", counting_resize)
    backbone = VitBackbone(TINY_DINO)
    for _ in range(2):
        for rows in range(2, 12):
            backbone.position_embedding(rows, 5)
    # ten grids, of which eight are kept
    assert len(made) == 10 + 2
    assert backbone.position_embedding(2, 5) is backbone.position_embedding(2, 5)
    assert not any("positions" in key and "kept" in key for key in backbone.state_dict())


@pytest.mark.usefixtures("_transformers")
def test_new_weights_and_another_precision_have_their_own_position_embedding() -> None:
    backbone, other = VitBackbone(TINY_DINO), VitBackbone(TINY_DINO)
    before = backbone.position_embedding(3, 5)
    backbone.load_state_dict(other.state_dict())
    torch.testing.assert_close(backbone.position_embedding(3, 5), other.position_embedding(3, 5), rtol=0, atol=0)
    assert not torch.equal(backbone.position_embedding(3, 5), before)
    assert backbone.half().position_embedding(3, 5).dtype == torch.float16


@pytest.mark.usefixtures("_transformers")
def test_a_traced_network_is_for_all_sizes_and_keeps_nothing() -> None:
    backbone = VitBackbone(TINY_DINO)
    height, width = (8 * torch.export.Dim(name, min=2, max=32) for name in ("rows", "cols"))
    program = torch.export.export(
        backbone, (torch.randn(2, 3, 24, 40),), dynamic_shapes=({2: height, 3: width},), strict=False
    )
    assert not backbone._kept_positions
    traced = program.module()
    # the second is the grid that the embedding is for
    for rows, cols in ((6, 5), (4, 4), (4, 9)):
        images = torch.randn(2, 3, 8 * rows, 8 * cols)
        torch.testing.assert_close(traced(images), backbone(images), rtol=TOLERANCE, atol=TOLERANCE)


class Recorder(TorchDispatchMode):
    """Names of the operations that torch carries out."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.add(str(operation))
        return operation(*args, **(kwargs or {}))


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pass_waits_for_no_number_and_copies_nothing_to_or_from_the_device(shape: VitShape) -> None:
    backbone = VitBackbone(shape)
    images = torch.randn(1, 3, 3 * shape.patch_size, 5 * shape.patch_size)
    backbone(images)
    with Recorder() as recorder:
        backbone(images)
    assert any("scaled_dot_product" in name for name in recorder.names)
    waiting = ("_local_scalar_dense", "nonzero", "_to_copy", "lift_fresh", "bicubic")
    assert not [name for name in recorder.names if any(word in name for word in waiting)]
