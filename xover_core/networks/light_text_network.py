# SPDX-License-Identifier: Apache-2.0
"""A small text network that is trained from scratch: words from character n-grams, and a transformer over words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xover_core.networks.piece_means import PieceMeans

# Small, so that pieces which were never trained on weigh little beside those that were.
_START_DEVIATION = 0.05


class LightTextNetwork(nn.Module):
    """Ids of words' n-grams -> one vector for each text; 1.5 M parameters as they are by default.

    A word is the mean of its n-grams, so that a typo moves it a little and an unknown word lies near words that are
    spelt like it. The words' states are pooled twice, by attention and by their mean: the first leaves out words that
    say nothing, the second cannot be led away by a single one.
    """

    def __init__(
        self,
        num_buckets: int = 8192,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        out_dim: int = 256,
        *,
        max_words: int = 96,
        dropout: float = 0.1,
    ) -> None:
        """Make a network with random weights.

        Args:
            num_buckets: ids are from 1 to this less one; 0 is padding.
            width: of a word's state.
            layers: transformer layers.
            heads: attention heads of each; divides the width.
            out_dim: length of a text's vector.
            max_words: longest text.
            dropout: share of dropped states while training.
        """
        super().__init__()
        self.grams = PieceMeans(num_buckets, width)
        self.positions = nn.Parameter(torch.randn(max_words, width) * _START_DEVIATION)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.words = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.attention = nn.Linear(width, 1)
        self.out = nn.Linear(2 * width, out_dim)
        nn.init.normal_(self.grams.weight, std=_START_DEVIATION)
        with torch.no_grad():
            self.grams.weight[0].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """Texts to vectors.

        Args:
            ids: (B, W, G) int64 of `encoders.text_tokens`, 0 = padding; W at most `max_words`, a word in each text.

        Returns:
            (B, out_dim), of any length.
        """
        if not ids.shape[0]:
            # torch's attention takes no mask for a batch without a text
            return self.out.weight.new_zeros(0, self.out.out_features)
        is_padding = ids[:, :, 0] == 0
        words = self.grams(ids.flatten(0, 1)).unflatten(0, ids.shape[:2])
        states = self.words(words + self.positions[: ids.shape[1]], src_key_padding_mask=is_padding)
        scores = self.attention(states).squeeze(-1).masked_fill(is_padding, -torch.inf)
        attended = (scores.softmax(dim=1).unsqueeze(-1) * states).sum(dim=1)
        # Padding has states too, which may even be infinite or NaN on fast paths: put zeros there.
        present = states.masked_fill(is_padding.unsqueeze(-1), 0.0)
        mean = present.sum(dim=1) / (~is_padding).sum(dim=1, keepdim=True)
        vector: Tensor = self.out(torch.cat([attended, mean], dim=-1))
        return vector
