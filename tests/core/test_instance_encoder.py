# SPDX-License-Identifier: Apache-2.0
"""Tests of the instance encoder: sizes, names, attention against the published formula, padding, missing objects."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from xover_core.networks.instance_encoder import (
    BASELINE_SHAPE,
    InstanceEncoder,
    InstanceShape,
    SpatialAttention,
    pair_features,
)
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
TINY = InstanceShape(
    feature_dims={CLOUD: 12, CAD: 12, IMAGE: 8, TEXT: 6},
    head_widths={CLOUD: 6, CAD: 6, IMAGE: 4, TEXT: 4},
    out_dim=10,
    num_layers=2,
    num_heads=3,
    feedforward=16,
)
LAYER_PARAMETERS = 2_196_680
# float32 rounding over two layers
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def scene(num_objects: int = 5, num_padded: int = 0) -> tuple[dict, dict, dict]:
    """Features, locations and masks of one scene with zero rows at the end."""
    rows = num_objects + num_padded
    mask = torch.arange(rows)[None] < num_objects
    features = {m: torch.randn(1, rows, dim) * mask[..., None] for m, dim in TINY.feature_dims.items()}
    # far from the origin, so that padding there is farther away than any object
    location = (torch.randn(1, rows, 6) + 20) * mask[..., None]
    return features, {CLOUD: location, CAD: location}, dict.fromkeys(TINY.feature_dims, mask)


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        network, baseline = InstanceEncoder(), InstanceEncoder(BASELINE_SHAPE)
    assert count(network.modality_encoders["point"].spatial_encoder[0]) == LAYER_PARAMETERS
    heads = {name: count(head) for name, head in network.modality_projections.items()}
    assert heads == {"point": 222_528, "cad": 222_528, "rgb": 886_656, "referral": 591_744}
    assert count(baseline.modality_projections["rgb"]) == 1_772_544
    assert not baseline.modality_encoders


def test_tensor_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        names = set(InstanceEncoder().state_dict())
    kinds = ("weight", "bias")
    expected = {
        f"modality_projections.{name}.{i}.{kind}"
        for name in ("point", "cad", "rgb", "referral")
        for i in (0, 2, 4)
        for kind in kinds
    }
    for name in ("point", "cad"):
        expected |= {f"modality_encoders.{name}.loc_layers.0.{i}.{kind}" for i in (0, 1) for kind in kinds}
    attention = ("w_qs", "w_ks", "w_vs", "fc", "layer_norm", "lang_cond_fc")
    parts = [f"self_attn.{part}" for part in attention] + ["linear1", "linear2", "norm1", "norm2"]
    expected |= {
        f"modality_encoders.point.spatial_encoder.{i}.{part}.{kind}"
        for i in range(4)
        for part in parts
        for kind in kinds
    }
    assert names == expected


def naive_attention(module: SpatialAttention, tokens: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
    """Head by head and row by row, as published."""
    heads, width = module.num_heads, tokens.shape[-1]
    size = width // heads
    query, key, value = (linear(tokens)[0] for linear in (module.w_qs, module.w_ks, module.w_vs))
    questions = module.lang_cond_fc(tokens)[0]
    mixed = torch.zeros_like(tokens[0])
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(tokens.shape[1]):
            bias, *weights = questions[i, head * 6 : head * 6 + 6]
            logits = query[i, part] @ key[:, part].T / size**0.5
            spatial = torch.sigmoid(pairs[0, i] @ torch.stack(weights) + bias)
            logits = torch.where(mask[0], logits + spatial.clamp(min=1e-6).log(), -torch.inf)
            mixed[i, part] = logits.softmax(0) @ value[:, part]
    return module.layer_norm(module.fc(mixed)[None] + tokens)


def test_attention_is_that_of_the_published_formula() -> None:
    module = SpatialAttention(12, 3, 0.0)
    tokens, pairs = torch.randn(1, 6, 12), 5 * torch.randn(1, 6, 6, 5)
    mask = torch.tensor([[True, True, False, True, True, False]])
    expected = naive_attention(module, tokens, pairs, mask)
    torch.testing.assert_close(module(tokens, pairs, mask), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_pair_features_of_two_objects() -> None:
    found = pair_features(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 6.0, 15.0]]]), None)
    torch.testing.assert_close(found[0, 0, 1], torch.tensor([1, -12 / 13, 5 / 13, -4 / 5, -3 / 5]))
    torch.testing.assert_close(found[0, 1, 0], torch.tensor([1, 12 / 13, 5 / 13, 4 / 5, 3 / 5]))
    # the root of 1e-10 stands for a distance of 0
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([1e-5 / 13, 0, 1, 0, 0]))


def test_padding_changes_nothing_unless_as_published() -> None:
    features, locations, masks = scene(num_objects=4, num_padded=3)
    cut = [{m: value[:, :4] for m, value in part.items()} for part in (features, locations, masks)]
    for counts_padding in (False, True):
        network = InstanceEncoder(dataclasses.replace(TINY, counts_padding=counts_padding)).eval()
        for parameter in network.parameters():  # so that the pair features weigh something
            parameter.data += 0.3 * torch.randn_like(parameter)
        padded, alone = network(features, locations, masks), network(*cut)
        for modality in (IMAGE, TEXT, CAD):
            torch.testing.assert_close(padded[modality][:, :4], alone[modality], rtol=TOLERANCE, atol=TOLERANCE)
        difference = (padded[CLOUD][:, :4] - alone[CLOUD]).abs().max()
        assert (difference > 100 * TOLERANCE) == counts_padding
        assert (difference < TOLERANCE) != counts_padding


def test_order_of_objects_does_not_matter() -> None:
    features, locations, masks = scene()
    network, order = InstanceEncoder(TINY).eval(), torch.randperm(5)
    shuffled = [{m: value[:, order] for m, value in part.items()} for part in (features, locations, masks)]
    for modality, value in network(features, locations, masks).items():
        found = network(*shuffled)[modality]
        torch.testing.assert_close(found, value[:, order], rtol=TOLERANCE, atol=TOLERANCE)
        torch.testing.assert_close(value.norm(dim=-1), torch.ones(1, 5))


def test_cad_models_do_not_attend_unless_told_to() -> None:
    features, locations, masks = scene()
    moved = dict(locations)
    moved[CAD] = locations[CAD].clone()
    moved[CAD][0, 0, 0] += 3
    for attending in ((CLOUD,), (CLOUD, CAD)):
        network = InstanceEncoder(dataclasses.replace(TINY, attending=attending)).eval()
        before, after = (network(features, place, masks)[CAD] for place in (locations, moved))
        assert not torch.equal(before[:, 0], after[:, 0])
        assert torch.equal(before[:, 1:], after[:, 1:]) == (CAD not in attending)
    encoder = InstanceEncoder(TINY).eval().modality_encoders["cad"]
    expected = features[CAD] + 2 * encoder.loc_layers[0](locations[CAD])
    torch.testing.assert_close(encoder(features[CAD], locations[CAD], masks[CAD]), expected)


def test_a_scene_without_objects_makes_no_nan() -> None:
    features, locations, masks = scene(num_objects=0, num_padded=3)
    network = InstanceEncoder(TINY)
    embeddings = network(features, locations, masks)
    sum(value.sum() for value in embeddings.values()).backward()
    assert all(value.isfinite().all() for value in embeddings.values())
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_modalities_may_be_missing() -> None:
    features, _, masks = scene()
    assert set(InstanceEncoder(TINY)({TEXT: features[TEXT]}, {}, masks)) == {TEXT}
