# SPDX-License-Identifier: Apache-2.0
"""Smooth AP as the papers define it: float64, every sigmoid held at once, differentiated by autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def naive_smooth_ap(
    scores: Tensor, is_positive: Tensor, *, temperature: float = 0.01, counts_self: bool = False
) -> Tensor:
    """Smooth AP of one ranking of (M,) scores, 0-d float64."""
    scores = scores.double()
    above = torch.sigmoid((scores - scores[is_positive, None]) / temperature)
    if not counts_self:
        own = torch.nonzero(is_positive) == torch.arange(len(scores))
        above = above.masked_fill(own, 0.0)
    rank_all = 1 + above.sum(1)
    rank_positive = 1 + above[:, is_positive].sum(1)
    return (rank_positive / rank_all).mean()
