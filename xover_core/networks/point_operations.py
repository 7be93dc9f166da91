# SPDX-License-Identifier: Apache-2.0
"""Sampling and neighbours of point sets, batched, in plain torch on any device."""

from __future__ import annotations

import torch
from torch import Tensor

# Squared distance from the origin up to which `pointnet2_ops` never picks a point.
_ORIGIN_SQUARED = 1e-3


def farthest_point_indices(points: Tensor, count: int, *, skips_origin: bool = False) -> Tensor:
    """Start at the first point, then always take the one that is farthest from all taken so far.

    Args:
        points: (B, N, 3), N >= 1.
        count: points to take; where it exceeds N, points are taken again.
        skips_origin: never take points within 0.03 of the origin (but the first), as `pointnet2_ops` does; networks
            that were trained with it have seen no other samples.

    Returns:
        (B, count) int64 in the order of taking.
    """
    batch = torch.arange(len(points), device=points.device)
    taken = torch.zeros(len(points), count, dtype=torch.long, device=points.device)
    distances = points.new_full(points.shape[:2], torch.inf)
    if skips_origin:
        # below every distance, so that the choice falls on them only when nothing else is there
        distances = distances.masked_fill(points.square().sum(-1) <= _ORIGIN_SQUARED, -1.0)
    for step in range(1, count):
        last = points[batch, taken[:, step - 1]]
        distances = torch.minimum(distances, (points - last[:, None]).square().sum(-1))
        taken[:, step] = distances.argmax(1)
    return taken


def nearest_indices(points: Tensor, queries: Tensor, count: int) -> Tensor:
    """The nearest points of each query, nearest first.

    Args:
        points: (B, N, 3), N >= count.
        queries: (B, M, 3).
        count: k.

    Returns:
        (B, M, k) int64.
    """
    # by differences: the faster product form is off by 1e-3 for points that nearly coincide
    distances = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(count, dim=-1, largest=False).indices


def gather_rows(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of each batch item by index.

    Args:
        values: (B, N, C).
        indices: (B, ...) int64 in [0, N).

    Returns:
        (B, ..., C).
    """
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (indices.ndim - 1))
    return values[batch, indices]
