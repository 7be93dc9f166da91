# SPDX-License-Identifier: Apache-2.0
"""I2P-MAE, the object encoder of CrossOver: points of one object -> 384 numbers, under Point-Bind's tensor names.

Three levels of groups (farthest points and their neighbours), each a small point network followed by transformer blocks
whose attention reaches only so far. It is frozen: drop path, which only its training had, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xover_core.networks.locus_head import Mlp
from xover_core.networks.point_operations import farthest_point_indices, gather_rows, nearest_indices


@dataclass(frozen=True, slots=True, kw_only=True)
class I2pMaeShape:
    """Sizes of the network; the defaults are those of Point-Bind's weights.

    Attributes:
        group_counts: groups of each level.
        group_sizes: neighbours in a group of each level.
        widths: of each level's tokens.
        radii: distance of centres from which attention is cut, for objects in the unit sphere.
        point_widths: of the two hidden layers of the first level's point network.
        depth: blocks of each level.
        num_heads: attention heads; divides all widths.
    """

    group_counts: tuple[int, ...] = (512, 256, 64)
    group_sizes: tuple[int, ...] = (48, 24, 24)
    widths: tuple[int, ...] = (96, 192, 384)
    radii: tuple[float, ...] = (0.24, 0.48, 0.96)
    point_widths: tuple[int, int] = (128, 256)
    depth: int = 5
    num_heads: int = 6


class I2pMae(nn.Module):
    """Objects in the unit sphere -> (B, 384); 12,654,400 parameters as published."""

    def __init__(self, shape: I2pMaeShape | None = None) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.shape = shape or I2pMaeShape()
        self.h_encoder = _HierarchicalEncoder(self.shape)
        self.norm = nn.LayerNorm(self.shape.widths[-1])

    @property
    def feature_dim(self) -> int:
        """Length of an object's features."""
        return self.shape.widths[-1]

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) centred points in the unit sphere, N >= groups of the first level, to (B, feature_dim)."""
        tokens = self.norm(self.h_encoder(points))
        features: Tensor = tokens.mean(1) + tokens.amax(1)
        return features


class _HierarchicalEncoder(nn.Module):
    """Groups of points, groups of groups, and groups of those."""

    def __init__(self, shape: I2pMaeShape) -> None:
        super().__init__()
        first, second = shape.point_widths
        embeds = [_TokenEmbed((3, first, second), (2 * second, 2 * second, shape.widths[0]))]
        for narrow, wide in zip(shape.widths, shape.widths[1:], strict=False):
            embeds.append(_TokenEmbed((narrow, narrow, narrow), (2 * narrow, wide, wide)))
        self.token_embed = nn.ModuleList(embeds)
        self.encoder_pos_embeds = nn.ModuleList(
            nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width)) for width in shape.widths
        )
        self.encoder_blocks = nn.ModuleList(_Blocks(width, shape.num_heads, shape.depth) for width in shape.widths)
        self.shape = shape

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) to (B, groups, width) of the last level."""
        shape = self.shape
        centers, tokens = points, points
        for level, (count, size) in enumerate(zip(shape.group_counts, shape.group_sizes, strict=True)):
            previous = centers
            centers = gather_rows(previous, farthest_point_indices(previous, count, skips_origin=True))
            groups = nearest_indices(previous, centers, size)
            members = gather_rows(tokens, groups)
            # points are told relative to their group's centre, tokens as they are
            tokens = self.token_embed[level](members - centers[:, :, None] if level == 0 else members)
            is_near = torch.cdist(centers, centers) < shape.radii[level]
            tokens = self.encoder_blocks[level](tokens, self.encoder_pos_embeds[level](centers), is_near)
        return tokens


class _TokenEmbed(nn.Module):
    """A group's members -> one token: a point network with two maxima."""

    def __init__(self, first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
        super().__init__()
        self.first_conv = _point_layers(*first)
        self.second_conv = _point_layers(*second)

    def forward(self, groups: Tensor) -> Tensor:
        """(B, G, K, C) to (B, G, width)."""
        batch, count = groups.shape[:2]
        features = self.first_conv(groups.flatten(0, 1).mT)
        common = features.amax(2, keepdim=True).expand_as(features)
        features = self.second_conv(torch.cat([common, features], 1))
        tokens: Tensor = features.amax(2).unflatten(0, (batch, count))
        return tokens


def _point_layers(in_dim: int, hidden: int, out_dim: int) -> nn.Sequential:
    """Two layers that treat each member alike."""
    return nn.Sequential(nn.Conv1d(in_dim, hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Conv1d(hidden, out_dim, 1))


class _Blocks(nn.Module):
    """Transformer blocks with the position added before each."""

    def __init__(self, width: int, num_heads: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(depth))

    def forward(self, tokens: Tensor, positions: Tensor, is_near: Tensor) -> Tensor:
        """(B, G, C) tokens and positions, (B, G, G) bool, to (B, G, C)."""
        for block in self.blocks:
            tokens = block(tokens + positions, is_near)
        return tokens


class _Block(nn.Module):
    """Pre-norm attention and MLP, each added to its input."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _LocalAttention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, tokens: Tensor, is_near: Tensor) -> Tensor:
        """(B, G, C) and (B, G, G) bool to (B, G, C)."""
        tokens = tokens + self.attn(self.norm1(tokens), is_near)
        updated: Tensor = tokens + self.mlp(self.norm2(tokens))
        return updated


class _LocalAttention(nn.Module):
    """Self-attention among tokens that are near each other."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, is_near: Tensor) -> Tensor:
        """(B, G, C) and (B, G, G) bool to (B, G, C)."""
        # (3, B, heads, G, C / heads)
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=is_near[:, None])
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected
