# SPDX-License-Identifier: Apache-2.0
"""Tests of the LoCUS head: its size, its names, its maths, and of several heads on one backbone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from xover_core.errors import ModelError
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork

# float32 rounding through two blocks
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_has_as_many_parameters_as_the_paper_says() -> None:
    assert sum(parameter.numel() for parameter in LocusHead(768).parameters()) == 503_232


def test_names_and_shapes_are_those_of_the_released_code() -> None:
    block = {
        "norm1.weight": (128,),
        "norm1.bias": (128,),
        "attn.qkv.weight": (384, 128),
        "attn.qkv.bias": (384,),
        "attn.proj.weight": (128, 128),
        "attn.proj.bias": (128,),
        "norm2.weight": (128,),
        "norm2.bias": (128,),
        "mlp.fc1.weight": (512, 128),
        "mlp.fc1.bias": (512,),
        "mlp.fc2.weight": (128, 512),
        "mlp.fc2.bias": (128,),
    }
    expected = {"0.weight": (128, 768), "0.bias": (128,), "3.weight": (64, 128), "3.bias": (64,)}
    expected |= {f"{index}.{key}": shape for index in (1, 2) for key, shape in block.items()}
    assert {key: tuple(value.shape) for key, value in LocusHead(768).state_dict().items()} == expected


def plain_head(state: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """The head written out with the constants of the released code, for one image's (N, C) tokens."""

    def linear(key: str, x: Tensor) -> Tensor:
        return x @ state[f"{key}.weight"].T + state[f"{key}.bias"]

    def norm(key: str, x: Tensor) -> Tensor:
        centered = x - x.mean(-1, keepdim=True)
        scaled = centered / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return scaled * state[f"{key}.weight"] + state[f"{key}.bias"]

    x = linear("0", tokens)
    for block in ("1", "2"):
        query, key, value = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x)).chunk(3, dim=-1)
        heads = []
        for head in range(4):
            part = slice(32 * head, 32 * head + 32)
            heads.append((query[:, part] @ key[:, part].T * 0.125).softmax(-1) @ value[:, part])
        x = x + linear(f"{block}.attn.proj", torch.cat(heads, dim=-1))
        hidden = linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + linear(f"{block}.mlp.fc2", hidden)
    features = linear("3", x)[1:]
    return features / features.norm(dim=-1, keepdim=True)


def test_equals_the_head_written_out() -> None:
    head = LocusHead(48)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens = torch.randn(2, 13, 48)
    found = head(tokens)
    assert found.shape == (2, 12, 64)
    for image in range(2):
        torch.testing.assert_close(found[image], plain_head(head.state_dict(), tokens[image]), **tolerance())


def tolerance() -> dict[str, float]:
    return {"rtol": TOLERANCE, "atol": TOLERANCE}


def test_the_class_token_takes_part_before_it_is_dropped() -> None:
    head = LocusHead(16)
    tokens = torch.randn(1, 5, 16)
    changed = tokens.clone()
    changed[:, 0] += 5.0
    assert (head(tokens) - head(changed)).abs().max() > TOLERANCE


def test_any_number_of_prefix_tokens() -> None:
    assert LocusHead(16, num_prefix_tokens=5)(torch.randn(1, 9, 16)).shape == (1, 4, 64)
    assert LocusHead(16, num_prefix_tokens=0)(torch.randn(1, 9, 16)).shape == (1, 9, 64)


class CountingBackbone(nn.Module):
    """Means of colour in patches of 4 px, behind a class token of zeros; counts its passes."""

    token_dim, patch_size = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        patches = nn.functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2)
        return nn.functional.pad(patches, (0, 0, 1, 0))


def test_one_pass_feeds_all_heads_and_patches_keep_their_places() -> None:
    backbone = CountingBackbone()
    heads = [LocusHead(3), LocusHead(3), LocusHead(3, feature_dim=8)]
    network = MultiRadiusEncoderNetwork(backbone, heads, (0.2, 0.6, 2.0))
    images = torch.rand(2, 3, 8, 20)
    features = network(images)
    assert backbone.passes == 1
    assert [tuple(f.shape) for f in features] == [(2, 2, 5, 64), (2, 2, 5, 64), (2, 2, 5, 8)]
    alone = heads[1](backbone(images))
    # second row, third column
    torch.testing.assert_close(features[1][:, 1, 2], alone[:, 7], **tolerance())
    for one_radius in features:
        torch.testing.assert_close(one_radius.norm(dim=-1), torch.ones(2, 2, 5), **tolerance())


@pytest.mark.parametrize("radii", [(0.2,), (0.6, 0.2), (0.2, 0.2)])
def test_each_head_has_its_radius_in_order(radii: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="one head for each radius"):
        MultiRadiusEncoderNetwork(CountingBackbone(), [LocusHead(3), LocusHead(3)], radii)
