# SPDX-License-Identifier: Apache-2.0
"""Which traits of a room a text names: word by word with a few neighbours, long texts like short ones."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

# A word says most traits never.
_START_LOGIT = -6.0
_NEVER = -30.0


class TraitTagger(nn.Module):
    """Ids of words' n-grams (`encoders.text_tokens`) -> logits of K traits; a text says what any of its words say."""

    def __init__(
        self, num_traits: int, *, num_buckets: int = 8192, gram_dim: int = 128, width: int = 160, layers: int = 2
    ) -> None:
        """Make the network with random weights.

        Args:
            num_traits: K.
            num_buckets: ids are from 1 to this less one; 0 is padding.
            gram_dim: of a piece of a word.
            width: of a word's state.
            layers: each looks two words further to either side.
        """
        super().__init__()
        self.grams = nn.EmbeddingBag(num_buckets, gram_dim, mode="mean", padding_idx=0)
        self.enter = nn.Linear(gram_dim, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.neighbours = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(layers))
        self.leave_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.leave = nn.Linear(width, num_traits)
        nn.init.constant_(self.leave.bias, _START_LOGIT)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, W, G) int64 to (B, K) logits."""
        is_padding = (ids[:, :, 0] == 0)[:, :, None]
        words = self.grams(ids.flatten(0, 1)).unflatten(0, ids.shape[:2])
        states = self.enter(words).masked_fill(is_padding, 0)
        for norm, neighbours in zip(self.norms, self.neighbours, strict=True):
            seen = norm(states).masked_fill(is_padding, 0).transpose(1, 2)
            states = (states + functional.gelu(neighbours(seen).transpose(1, 2))).masked_fill(is_padding, 0)
        logits: Tensor = self.leave(self.leave_norm(states)).masked_fill(is_padding, _NEVER)
        return logits.amax(dim=1)
