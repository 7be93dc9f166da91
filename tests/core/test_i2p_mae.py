# SPDX-License-Identifier: Apache-2.0
"""Tests of the object encoder: size, tensor names, its laws, and its attention against the published formula."""

from __future__ import annotations

import pytest
import torch

from xover_core.networks.i2p_mae import I2pMae, I2pMaeShape

TINY = I2pMaeShape(
    group_counts=(16, 8, 4),
    group_sizes=(6, 4, 3),
    widths=(12, 24, 48),
    radii=(0.24, 0.48, 0.96),
    point_widths=(8, 16),
    depth=2,
    num_heads=3,
)
PUBLISHED_PARAMETERS = 12_654_400
# float32 rounding over six blocks
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def objects(count: int = 2, num_points: int = 40) -> torch.Tensor:
    points = torch.randn(count, num_points, 3)
    return points / points.norm(dim=-1).amax(1)[:, None, None]


def test_size_is_the_published_one() -> None:
    with torch.device("meta"):
        network = I2pMae()
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED_PARAMETERS


def test_tensor_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        names = set(I2pMae().state_dict())
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    linear = {"weight", "bias"}
    expected = {f"norm.{kind}" for kind in linear}
    for level in range(3):
        for part in ("first_conv", "second_conv"):
            where = f"h_encoder.token_embed.{level}.{part}"
            expected |= {f"{where}.{i}.{kind}" for i, kinds in ((0, linear), (1, norm), (3, linear)) for kind in kinds}
        expected |= {f"h_encoder.encoder_pos_embeds.{level}.{i}.{kind}" for i in (0, 2) for kind in linear}
        for block in range(5):
            where = f"h_encoder.encoder_blocks.{level}.blocks.{block}"
            parts = ("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
            expected |= {f"{where}.{part}.{kind}" for part in parts for kind in linear}
            expected.add(f"{where}.attn.qkv.weight")
    assert names == expected


def test_order_of_points_does_not_matter_but_for_the_first() -> None:
    network, points = I2pMae(TINY).eval(), objects()
    features = network(points)
    assert features.shape == (2, 48)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(39)])
    torch.testing.assert_close(network(points[:, order]), features, rtol=TOLERANCE, atol=TOLERANCE)


def test_objects_do_not_see_each_other() -> None:
    network, points = I2pMae(TINY).eval(), objects(3)
    torch.testing.assert_close(network(points)[1:2], network(points[1:2]), rtol=TOLERANCE, atol=TOLERANCE)


def test_attention_is_cut_as_published() -> None:
    attention = I2pMae(TINY).h_encoder.encoder_blocks[0].blocks[0].attn
    tokens, is_near = torch.randn(1, 5, 12), torch.rand(1, 5, 5) < 0.5
    is_near |= torch.eye(5, dtype=torch.bool)
    query, key, value = attention.qkv(tokens).reshape(1, 5, 3, 3, 4).permute(2, 0, 3, 1, 4)
    logits = query @ key.mT * 4**-0.5 - 100000.0 * (~is_near)[:, None]
    expected = attention.proj((logits.softmax(-1) @ value).transpose(1, 2).reshape(1, 5, 12))
    torch.testing.assert_close(attention(tokens, is_near), expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert not torch.allclose(attention(tokens, torch.ones_like(is_near)), expected, atol=1e-3)


def test_parts_of_an_object_that_are_far_from_each_other_do_not_attend() -> None:
    shape = I2pMaeShape(
        group_counts=(8,), group_sizes=(2,), widths=(12,), radii=(0.24,), point_widths=(8, 16), depth=2, num_heads=3
    )
    network = I2pMae(shape).eval()
    near, far = 0.02 * torch.randn(1, 4, 3), 0.02 * torch.randn(1, 4, 3)
    offset = torch.tensor([0.5, 0.0, 0.0])
    tokens = network.h_encoder(torch.cat([near - offset, far + offset], 1))
    moved = network.h_encoder(torch.cat([near - offset, 0.5 * far + offset], 1))
    # the groups of the half that did not change
    assert ((tokens - moved).abs().amax(-1) < TOLERANCE).sum() == 4
