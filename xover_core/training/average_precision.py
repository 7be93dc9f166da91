# SPDX-License-Identifier: Apache-2.0
"""Exact average precision of one ranking, on any device; the same numbers as `xover protocol patch-retrieval`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def pooled_average_precision(positives: Sequence[Tensor], negatives: Iterable[Tensor]) -> float | None:
    """Mean over the positives of the share of positives among everything that scores at least as high.

    Items of equal score count together, so the order of the input never matters.

    Args:
        positives: 1-d tensors of scores, higher is more similar.
        negatives: 1-d tensors of scores; sorted nowhere, so there may be many.

    Returns:
        In (0, 1]; None without positives.
    """
    if not sum(map(len, positives)):
        return None
    scores = torch.cat(list(positives)).sort().values
    # negatives by the number of positives that they reach or pass
    passed = torch.zeros(len(scores) + 1, dtype=torch.long, device=scores.device)
    for chunk in negatives:
        passed += torch.bincount(torch.searchsorted(scores, chunk, right=True), minlength=len(scores) + 1)
    num_negatives = passed.flip(0).cumsum(0).flip(0)[1:]
    num_positives = len(scores) - torch.searchsorted(scores, scores)
    return float((num_positives / (num_positives + num_negatives).double()).mean())
