# SPDX-License-Identifier: Apache-2.0
"""Tests of CrossOver's heads, fusion and unified model: sizes, names, missing modalities; and of its text encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
from xover_core.networks.crossover import CrossOver, CrossOverShape
from xover_core.networks.crossover_heads import FrameMlp, ProjectionHead, WeightedFusion, masked_mean
from xover_core.networks.instance_encoder import OBJECT_MODALITIES, InstanceShape
from xover_core.networks.sparse_quantization import quantize_points
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
TINY = CrossOverShape(
    instance=InstanceShape(
        feature_dims={CLOUD: 12, CAD: 12, IMAGE: 8, TEXT: 6},
        head_widths={CLOUD: 6, CAD: 6, IMAGE: 4, TEXT: 4},
        out_dim=10,
        num_layers=1,
        num_heads=3,
        feedforward=16,
    ),
    image_dim=8,
    image_head=4,
    text_dim=6,
    text_head=4,
    cloud_channels=(4, 4, 6, 8),
    cloud_head=4,
)
TINY_BERT = BertShape(vocabulary_size=50, width=24, num_layers=2, num_heads=3, feedforward=32, max_tokens=16)
PUBLISHED_SIZES = {
    "objectwise_mlp_head": 591_744,
    "encoder1D_mlp_head": 591_744,
    "encoder2D_mlp_head": 886_656,
    "encoder3D_mlp_head": 329_216,
    "frame_mlp": 7_080_960,
    "encoder3D": 70_554_816,
    "fusion": 4,
}
# float32 rounding over some layers
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        parts = dict(CrossOver().named_children())
    assert {name: count(parts[name]) for name in PUBLISHED_SIZES} == PUBLISHED_SIZES
    assert set(parts) == {*PUBLISHED_SIZES, "objectwise_modality_encoder"}


def test_names_of_tensors_are_the_published_ones() -> None:
    with torch.device("meta"):
        names = {
            name for name in CrossOver().state_dict() if not name.startswith(("encoder3D.", "objectwise_modality"))
        }
    heads = ("objectwise_mlp_head", "encoder1D_mlp_head", "encoder2D_mlp_head", "encoder3D_mlp_head")
    kinds = ("weight", "bias")
    expected = {f"{head}.{i}.{kind}" for head in heads for i in (0, 2, 4) for kind in kinds}
    expected |= {f"frame_mlp.mlp_layers.{i}.{kind}" for i in (0, 3) for kind in kinds}
    assert names == expected | {"fusion.weight"}


def test_head_is_that_of_its_description() -> None:
    head, features = ProjectionHead(6, 4, 8), torch.randn(3, 6)
    hidden = (features @ head[0].weight.T + head[0].bias).clamp(min=0)
    hidden = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, keepdim=True, correction=0) + 1e-12).sqrt()
    expected = hidden @ head[4].weight.T + head[4].bias
    expected = expected / expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(head(features), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_frame_mlp_is_that_of_its_description() -> None:
    mlp, views = FrameMlp(6, 4), torch.randn(2, 3, 6)
    first, last = mlp.mlp_layers[0], mlp.mlp_layers[3]
    hidden = nn.functional.gelu(views @ first.weight.T + first.bias)
    torch.testing.assert_close(mlp(views), hidden @ last.weight.T + last.bias)


@pytest.mark.parametrize("renormalizes", [True, False])
def test_fusion_weighs_what_is_there(renormalizes: bool) -> None:
    fusion = WeightedFusion(3, renormalizes=renormalizes)
    fusion.weight.data = torch.tensor([[0.0], [1.0], [2.0]])
    embeddings = torch.randn(2, 3, 5)
    embeddings[0, 1] = torch.nan
    is_present = torch.tensor([[True, False, True], [True, True, True]])
    found = fusion(embeddings, is_present)
    shares = fusion.weight.detach()[:, 0].exp() / fusion.weight.detach().exp().sum()
    units = embeddings / embeddings.norm(dim=-1, keepdim=True)
    first = shares[0] * units[0, 0] + shares[2] * units[0, 2]
    if renormalizes:
        first = first / (shares[0] + shares[2])
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], (shares[:, None] * units[1]).sum(0))


def test_fusion_of_nothing_is_zero() -> None:
    fusion = WeightedFusion(3)
    found = fusion(torch.randn(1, 3, 5), torch.zeros(1, 3, dtype=torch.bool))
    assert not found.any()
    found.sum().backward()
    assert fusion.weight.grad is not None
    assert fusion.weight.grad.isfinite().all()


def test_mean_is_over_what_is_there() -> None:
    values, mask = torch.randn(2, 4, 3), torch.tensor([[True, False, True, False], [False] * 4])
    values[0, 1] = torch.nan
    found = masked_mean(values, mask)
    torch.testing.assert_close(found[0], (values[0, 0] + values[0, 2]) / 2)
    assert not found[1].any()


def objects(num: int = 4) -> tuple[dict, dict, dict]:
    features = {m: torch.randn(2, num, dim) for m, dim in TINY.instance.feature_dims.items()}
    location = torch.randn(2, num, 6)
    masks = {m: torch.rand(2, num) < 0.6 for m in features}
    return features, {CLOUD: location, CAD: location}, masks


def test_objects_are_fused_from_what_is_there() -> None:
    network = CrossOver(TINY).eval()
    features, locations, masks = objects()
    masks = {m: mask & (m != TEXT) for m, mask in masks.items()}
    embedded, fused, has_objects = network.embed_objects(features, locations, masks)
    assert fused.shape == (2, 10)
    assert has_objects.all()
    torch.testing.assert_close(fused.norm(dim=-1), torch.ones(2))
    del features[TEXT]
    again, without, _ = network.embed_objects(features, locations, masks)
    torch.testing.assert_close(without, fused, rtol=TOLERANCE, atol=TOLERANCE)
    assert torch.equal(again[IMAGE], embedded[IMAGE])


def test_a_single_modality_is_fused_by_its_mean() -> None:
    network = CrossOver(TINY).eval()
    features, _, masks = objects()
    masks[IMAGE][0], masks[IMAGE][1] = True, False
    embedded, fused, has_objects = network.embed_objects({IMAGE: features[IMAGE]}, {}, masks)
    mean = nn.functional.normalize(embedded[IMAGE][0].mean(0), dim=-1)
    torch.testing.assert_close(fused[0], network.objectwise_mlp_head(mean))
    assert has_objects.tolist() == [True, False]


def test_fusion_weights_are_in_the_published_order() -> None:
    assert list(OBJECT_MODALITIES.values()) == ["point", "cad", "rgb", "referral"]
    network = CrossOver(TINY).eval()
    features, locations, masks = objects()
    everywhere = {m: torch.ones_like(mask) for m, mask in masks.items()}
    network.fusion.weight.data = torch.tensor([[0.0], [0.0], [60.0], [0.0]])
    _, fused, _ = network.embed_objects(features, locations, everywhere)
    _, images, _ = network.embed_objects({IMAGE: features[IMAGE]}, {}, everywhere)
    torch.testing.assert_close(fused, images, rtol=TOLERANCE, atol=TOLERANCE)


def test_views_are_averaged_after_the_frame_mlp() -> None:
    network, views = CrossOver(TINY).eval(), torch.randn(1, 3, 16)
    mask = torch.tensor([[True, True, False]])
    expected = network.encoder2D_mlp_head(network.frame_mlp(views[:, :2]).mean(1))
    torch.testing.assert_close(network.embed_views(views, mask), expected)


def test_clouds_of_a_batch_do_not_see_each_other() -> None:
    network = CrossOver(TINY).eval()
    points, colors = [2 * torch.rand(60, 3), 2 * torch.rand(80, 3)], [torch.rand(60, 3) - 0.5, torch.rand(80, 3) - 0.5]
    with torch.no_grad():
        both = network.embed_clouds(quantize_points(points, colors, 0.1))
        alone = network.embed_clouds(quantize_points(points[1:], colors[1:], 0.1))
    torch.testing.assert_close(both[1:], alone, rtol=TOLERANCE, atol=TOLERANCE)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def some_texts() -> tuple[Tensor, Tensor]:
    mask = torch.arange(9)[None] < torch.tensor([9, 4, 1])[:, None]
    return torch.randint(1, 50, (3, 9)) * mask, mask


def test_text_encoder_equals_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.BlipTextModel(
        transformers.BlipTextConfig(
            vocab_size=50,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=32,
            max_position_embeddings=16,
            layer_norm_eps=1e-12,
            is_decoder=False,
        ),
        add_pooling_layer=False,
    ).eval()
    network = BertTextEncoder(TINY_BERT).eval()
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    reference.load_state_dict(network.state_dict())
    ids, mask = some_texts()
    expected = reference(input_ids=ids, attention_mask=mask.long(), is_decoder=False).last_hidden_state[:, 0]
    torch.testing.assert_close(network(ids, mask), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_padding_of_texts_changes_nothing() -> None:
    network = BertTextEncoder(TINY_BERT).eval()
    ids, mask = some_texts()
    alone = network(ids[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(network(ids, mask)[1:2], alone, rtol=TOLERANCE, atol=TOLERANCE)


def test_text_encoder_has_the_published_size() -> None:
    with torch.device("meta"):
        network = BertTextEncoder()
    layer = 4 * (768 * 768 + 768) + 2 * 2 * 768 + 768 * 3072 + 3072 + 3072 * 768 + 768
    assert count(network) == (30524 + 512) * 768 + 2 * 768 + 12 * layer
