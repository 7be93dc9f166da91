# SPDX-License-Identifier: Apache-2.0
"""The LoCUS head: tokens of a frozen backbone -> 64-d patch features that recognise a place from any side."""

from __future__ import annotations

from torch import Tensor, nn

# The published heads were trained with this constant instead of 32 ** -0.5; with another their weights are useless.
ATTENTION_SCALE = 0.125


class LocusHead(nn.Sequential):
    """Linear, two pre-norm transformer blocks, linear; 503,232 parameters for 768-d tokens.

    Its parts are numbered as in the released checkpoints, so that `trainable_head.*` loads strictly. The backbone's
    class token goes through the head with the patches, and is dropped afterwards.
    """

    def __init__(
        self,
        token_dim: int = 768,
        *,
        width: int = 128,
        num_blocks: int = 2,
        num_heads: int = 4,
        feature_dim: int = 64,
        attention_scale: float = ATTENTION_SCALE,
        num_prefix_tokens: int = 1,
    ) -> None:
        """Make a head with random weights.

        Args:
            token_dim: C, length of the backbone's tokens.
            width: of the blocks.
            num_blocks: transformer blocks.
            num_heads: attention heads of each block; divides the width.
            feature_dim: D, length of the features.
            attention_scale: factor of the attention's products.
            num_prefix_tokens: tokens before the patches (class token, registers) that are dropped in the end.
        """
        blocks = [TransformerBlock(width, num_heads, attention_scale) for _ in range(num_blocks)]
        super().__init__(nn.Linear(token_dim, width), *blocks, nn.Linear(width, feature_dim))
        self.num_prefix_tokens = num_prefix_tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, prefix + N, C) tokens to (B, N, D) L2-normalised features."""
        for part in self:
            tokens = part(tokens)
        return nn.functional.normalize(tokens[:, self.num_prefix_tokens :], dim=-1)


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each added to its input."""

    def __init__(self, width: int, num_heads: int, attention_scale: float, mlp_ratio: int = 4) -> None:
        """Make a block of the given width."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, num_heads, attention_scale)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, mlp_ratio * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        updated: Tensor = tokens + self.mlp(self.norm2(tokens))
        return updated


class Attention(nn.Module):
    """Multi-head self-attention with a given scale."""

    def __init__(self, width: int, num_heads: int, scale: float) -> None:
        """Make the projections; query, key and value are one matrix."""
        super().__init__()
        self.num_heads = num_heads
        self.scale = scale
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        # (3, B, heads, N, C / heads)
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make the layers."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        activated = nn.functional.gelu(self.fc1(tokens))
        projected: Tensor = self.fc2(activated)
        return projected
