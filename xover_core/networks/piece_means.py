# SPDX-License-Identifier: Apache-2.0
"""Words as the means of what is known of their pieces, in a form that every runtime computes at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PADDING = 0
"""The id of no piece."""


class PieceMeans(nn.EmbeddingBag):
    """Ids of pieces -> mean of their vectors.

    `EmbeddingBag` has no counterpart in ONNX: torch exports it as a loop over words, which took ten times as long. So a
    graph of it is made of operations that all runtimes have; it needs the vectors of all pieces at once, which training
    would pay for in memory.
    """

    def __init__(self, num_buckets: int, width: int) -> None:
        """Make random vectors.

        Args:
            num_buckets: ids are from 1 to this less one; 0 is padding.
            width: of a vector.
        """
        super().__init__(num_buckets, width, mode="mean", padding_idx=PADDING)

    def forward(self, ids: Tensor) -> Tensor:  # type: ignore[override]
        """(N, G) int64 ids, padded with 0, to (N, width); zero for a row of padding only."""
        if not torch.compiler.is_compiling():
            means: Tensor = super().forward(ids)
            return means
        is_piece = (ids != PADDING).to(self.weight.dtype)
        shares = is_piece / is_piece.sum(1, keepdim=True).clamp_min(1)
        return (shares[:, None] @ functional.embedding(ids, self.weight))[:, 0]
