# SPDX-License-Identifier: Apache-2.0
"""Smooth average precision, of all pairs in one ranking (LoCUS, eq. 5) or of each query (eq. 3), in linear memory.

For a positive p among candidates u, with d(p, u) = sigmoid((s_u - s_p) / temperature):

    rank_all(p) = 1 + sum over u of d(p, u),    rank_positive(p) = 1 + sum over positive u of d(p, u),
    AP = mean over p of rank_positive(p) / rank_all(p).

Value and gradient are exact (see `sigmoid_sums`), and no |P| x |universe| array is ever held. Two variants differ in
the candidate u = p: Smooth-AP leaves it out, which is the default here; the released LoCUS code counts it, which adds
0.5 to both ranks and draws every ratio towards 1 (`counts_self=True`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xover_core.errors import TrainingError
from xover_core.training.sigmoid_sums import RowValues, kernel_sums, sigmoid, sigmoid_slope

# Of LoCUS and of Smooth-AP.
DEFAULT_TEMPERATURE = 0.01


def vectorized_smooth_ap(
    similarities: Tensor,
    is_positive: Tensor,
    in_universe: Tensor | None = None,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    counts_self: bool = False,
) -> Tensor:
    """Smooth AP of all pairs in one ranking (LoCUS, eq. 5).

    Args:
        similarities: of pairs, of any shape, floating point.
        is_positive: same shape, bool; those outside of the universe count for nothing.
        in_universe: same shape, bool; None = all pairs. Others are "don't care".
        temperature: of the sigmoid, in units of similarity.
        counts_self: count a positive among its own competitors, as the released LoCUS code does.

    Returns:
        0-d in [0, 1]; 0 without positives, NaN when a similarity is not finite. The loss is 1 minus it.
    """
    _check(similarities, is_positive, in_universe, temperature)
    universe = None if in_universe is None else in_universe.reshape(1, -1)
    one_row = _rows_ap(similarities.reshape(1, -1), is_positive.reshape(1, -1), universe, temperature, counts_self)
    return one_row[0]


def smooth_ap_per_query(
    similarities: Tensor,
    is_positive: Tensor,
    in_universe: Tensor | None = None,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    counts_self: bool = False,
) -> Tensor:
    """Smooth AP of each query's own ranking (LoCUS, eq. 3).

    Args:
        similarities: (Q, N), floating point.
        is_positive: (Q, N) bool.
        in_universe: (Q, N) bool; None = all pairs.
        temperature: of the sigmoid, in units of similarity.
        counts_self: count a positive among its own competitors.

    Returns:
        (Q,) in [0, 1]; 0 for a query without positives. See `mean_smooth_ap`.
    """
    _check(similarities, is_positive, in_universe, temperature)
    if similarities.ndim != 2:
        raise TrainingError(f"similarities of queries: expected (Q, N), got {tuple(similarities.shape)}.")
    return _rows_ap(similarities, is_positive, in_universe, temperature, counts_self)


def mean_smooth_ap(
    similarities: Tensor,
    is_positive: Tensor,
    in_universe: Tensor | None = None,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    counts_self: bool = False,
) -> Tensor:
    """Mean of `smooth_ap_per_query` over the queries that have positives, 0-d; 0 when none has."""
    precisions = smooth_ap_per_query(
        similarities, is_positive, in_universe, temperature=temperature, counts_self=counts_self
    )
    counted = is_positive if in_universe is None else is_positive & in_universe
    return precisions.sum() / counted.any(dim=1).sum().clamp(min=1)


def _rows_ap(
    similarities: Tensor, is_positive: Tensor, in_universe: Tensor | None, temperature: float, counts_self: bool
) -> Tensor:
    """(R,) smooth AP of each row of (R, N) similarities."""
    num_rows, num_columns = similarities.shape
    rows = torch.arange(num_rows, device=similarities.device).repeat_interleave(num_columns)
    scores, positive = similarities.reshape(-1), is_positive.reshape(-1)
    if in_universe is not None:
        kept = in_universe.reshape(-1)
        scores, positive, rows = scores[kept], positive[kept], rows[kept]
    if scores.numel() and not bool(torch.isfinite(scores).all()):
        return (scores.sum() * torch.nan).expand(num_rows)
    apply: Callable[..., Tensor] = _SmoothAveragePrecision.apply
    return apply(scores, positive, rows, num_rows, temperature, counts_self)


class _SmoothAveragePrecision(torch.autograd.Function):
    """(M,) scores -> (R,) smooth AP. Keeps O(M) for the backward pass and sums the sigmoids' slopes there again."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        is_positive: Tensor,
        rows: Tensor,
        num_rows: int,
        temperature: float,
        counts_self: bool,
    ) -> Tensor:
        """Rank every positive among the positives and among all."""
        ranked = RowValues(values=_in_temperatures(scores, temperature), rows=rows, num_rows=num_rows)
        positives = ranked.select(is_positive)
        above = kernel_sums(ranked, _one_hot(is_positive), positives, sigmoid)
        # the sum has the positive itself, as sigmoid(0)
        rank_positive = above[:, 0] + (1.0 if counts_self else 0.5)
        ratio = rank_positive / (rank_positive + above[:, 1])
        counts = positives.counts().clamp(min=1)
        ctx.save_for_backward(ranked.values, rows, is_positive, rank_positive, above[:, 1], counts)
        ctx.temperature, ctx.dtype = temperature, scores.dtype
        precision = ratio.new_zeros(num_rows).index_add_(0, positives.rows, ratio) / counts
        return precision.to(torch.promote_types(scores.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_precision: Tensor) -> tuple[Tensor | None, ...]:
        """Each score moves the ranks of all positives; each positive's score moves its own rank by all scores."""
        values, rows, is_positive, rank_positive, above_negative, counts = ctx.saved_tensors
        ranked = RowValues(values=values, rows=rows, num_rows=len(counts))
        positives = ranked.select(is_positive)
        share = (grad_precision.double() / counts)[positives.rows] / (rank_positive + above_negative) ** 2
        # derivatives of the ratio by one more positive, and by one more negative, above it
        pull = torch.stack([share * above_negative, -share * rank_positive], dim=1)
        by_candidate = kernel_sums(positives, pull, ranked, sigmoid_slope)
        by_itself = (pull * kernel_sums(ranked, _one_hot(is_positive), positives, sigmoid_slope)).sum(1)
        gradient = torch.where(is_positive, by_candidate[:, 0], by_candidate[:, 1])
        gradient[is_positive] -= by_itself
        return (gradient / ctx.temperature).to(ctx.dtype), None, None, None, None, None


def _in_temperatures(scores: Tensor, temperature: float) -> Tensor:
    """(M,) float64 scores in units of the temperature, from zero on: only differences count."""
    values = scores.detach().double()
    return (values - values.min()) / temperature if len(values) else values


def _one_hot(is_positive: Tensor) -> Tensor:
    """(M, 2) float64: positive, negative."""
    return torch.stack([is_positive, ~is_positive], dim=1).double()


def _check(similarities: Tensor, is_positive: Tensor, in_universe: Tensor | None, temperature: float) -> None:
    """Raise TrainingError for arguments that do not fit together."""
    masks = [is_positive] if in_universe is None else [is_positive, in_universe]
    if not similarities.is_floating_point() or any(mask.dtype != torch.bool for mask in masks):
        found = ", ".join(str(mask.dtype) for mask in masks)
        raise TrainingError(f"smooth AP: expected floating-point similarities and bool masks, got {found}.")
    if any(mask.shape != similarities.shape for mask in masks):
        shapes = ", ".join(str(tuple(mask.shape)) for mask in masks)
        raise TrainingError(f"smooth AP: expected masks of shape {tuple(similarities.shape)}, got {shapes}.")
    if not temperature > 0:
        raise TrainingError(f"smooth AP: expected a positive temperature, got {temperature}.")
