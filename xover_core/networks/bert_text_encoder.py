# SPDX-License-Identifier: Apache-2.0
"""BERT without token types, under the tensor names of the text encoder that BLIP publishes; CrossOver's 1D encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_NORM_EPS = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """Sizes of the network; the defaults are those of BLIP's `model_large.pth`.

    Attributes:
        vocabulary_size: tokens; those of BERT and two of BLIP's own.
        width: of a token's state.
        num_layers: transformer layers.
        num_heads: attention heads; divides the width.
        feedforward: hidden layer of the MLPs.
        max_tokens: longest text.
    """

    vocabulary_size: int = 30524
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    feedforward: int = 3072
    max_tokens: int = 512


class BertTextEncoder(nn.Module):
    """Token ids -> state of the first token, without dropout: it is frozen."""

    def __init__(self, shape: BertShape | None = None) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.shape = shape = shape or BertShape()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(shape.vocabulary_size, shape.width, padding_idx=0),
                "position_embeddings": nn.Embedding(shape.max_tokens, shape.width),
                "LayerNorm": nn.LayerNorm(shape.width, eps=_NORM_EPS),
            }
        )
        self.encoder = _Layers(shape)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read texts.

        Args:
            ids: (B, T) int64, T at most `max_tokens`, padded with 0.
            mask: (B, T) bool: this is a token; the first one always is.

        Returns:
            (B, width) states of the first tokens after the last layer.
        """
        positions = torch.arange(ids.shape[1], device=ids.device)
        words, places = self.embeddings["word_embeddings"](ids), self.embeddings["position_embeddings"](positions)
        tokens: Tensor = self.embeddings["LayerNorm"](words + places)
        states: Tensor = self.encoder(tokens, mask)
        return states[:, 0]


class _Layers(nn.Module):
    """All layers, one after the other."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(shape) for _ in range(shape.num_layers))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) and (B, T) bool to (B, T, C)."""
        for layer in self.layer:
            tokens = layer(tokens, mask)
        return tokens


class _Layer(nn.Module):
    """Attention and MLP, each with the norm after the residual."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.attention = _Attention(shape)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(shape.width, shape.feedforward)})
        self.output = _Residual(shape.feedforward, shape.width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) and (B, T) bool to (B, T, C)."""
        tokens = self.attention(tokens, mask)
        hidden = nn.functional.gelu(self.intermediate["dense"](tokens))
        updated: Tensor = self.output(hidden, tokens)
        return updated


class _Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.self = nn.ModuleDict({name: nn.Linear(shape.width, shape.width) for name in ("query", "key", "value")})
        self.output = _Residual(shape.width, shape.width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) and (B, T) bool to (B, T, C)."""
        query, key, value = (
            self.self[name](tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        updated: Tensor = self.output(mixed.transpose(1, 2).flatten(2), tokens)
        return updated


class _Residual(nn.Module):
    """Linear, sum with the input, norm."""

    def __init__(self, in_dim: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_dim, width)
        self.LayerNorm = nn.LayerNorm(width, eps=_NORM_EPS)

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """(B, T, in_dim) and (B, T, C) to (B, T, C)."""
        updated: Tensor = self.LayerNorm(self.dense(hidden) + tokens)
        return updated
