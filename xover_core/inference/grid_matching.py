# SPDX-License-Identifier: Apache-2.0
"""Matching patch grids in torch, one with many at once: what `localization.patch_matching` does, on any device.

One matrix product for all views, one copy of the pairs back to the processor. The pairs are those of `match_patches`
but for ties: of similarities that are equal, both take the first, but sums in another order can make two similarities
equal in one of them that differ by a rounding in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.config import MatchingSettings
from xover_core.types import Float32Array

GridShape = tuple[int, int]
# Similarities that exist at a time; more views are matched in several products. Ten views of 1280 patches take 66 MB.
MAX_PRODUCT_BYTES = 256_000_000
_FLOAT_BYTES = 4
# Shapes of grids whose tables are kept; a camera has one.
_MAX_SHAPES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPairs:
    """Matched patches of one view, most similar first; as `PatchPairs`."""

    rows_a: NDArray[np.int64]
    rows_b: NDArray[np.int64]
    similarities: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbors:
    """Of each patch of a grid its 8 neighbours: (N, 8) indices, 0 outside of the grid; (N, 8) 1 inside; (N,) number."""

    rows: Tensor
    is_inside: Tensor
    count: Tensor


class GridMatcher:
    """Matches a grid of patches with others. Keeps small tables of each shape of grid that it has seen."""

    def __init__(self, settings: MatchingSettings, device: str) -> None:
        """Take thresholds.

        Args:
            settings: as for `match_patches`.
            device: of torch, where all descriptors that are given lie.
        """
        self._settings = settings
        self._device = torch.device(device)
        self._neighbors_of = lru_cache(maxsize=_MAX_SHAPES)(lambda grid: _make_neighbors(grid, self._device))

    def match(
        self, query: Tensor, views: Sequence[Tensor], grid_query: GridShape, grid_views: GridShape
    ) -> list[GridPairs]:
        """Match the query with each view.

        Args:
            query: (N, D) of L2 norm at most 1, row by row on `grid_query`.
            views: (M, D) each, at least one.
            grid_query: (rows, cols), rows * cols = N.
            grid_views: the same of all views.
        """
        per_product = max(1, MAX_PRODUCT_BYTES // (_FLOAT_BYTES * query.shape[0] * views[0].shape[0]))
        with torch.inference_mode():
            found = [
                self._pairs(query, torch.stack(list(views[start : start + per_product])), grid_query, grid_views)
                for start in range(0, len(views), per_product)
            ]
            packed = torch.cat(found).cpu().numpy()
        return [_unpack(one) for one in packed]

    def match_points(self, query: Tensor, points: Sequence[Tensor], grid_query: GridShape) -> GridPairs:
        """Match the query with descriptors that lie on no grid, by the first condition alone; as `match_to_points`.

        Args:
            query: (N, D) of L2 norm at most 1, row by row on `grid_query`.
            points: (M, D) each, M >= 1 together; rows are counted through all of them.
            grid_query: (rows, cols), rows * cols = N.
        """
        with torch.inference_mode():
            best, to_b, to_a = _nearest_point(query, torch.cat(list(points)))
            packed = self._pack(best, to_b, self._is_returned(best, to_b, to_a, grid_query)).cpu().numpy()
        return _unpack(packed[0])

    def _pairs(self, query: Tensor, views: Tensor, grid_query: GridShape, grid_views: GridShape) -> Tensor:
        """Packed pairs of each view."""
        limit = self._settings.max_neighbor_distance
        best, to_b, to_a = _nearest(query, views)
        keep = self._is_returned(best, to_b, to_a, grid_query)
        if limit > 0:
            keep &= self._spread(to_b, grid_query, grid_views[1]) <= limit
            keep &= (self._spread(to_a, grid_views, grid_query[1]) <= limit).gather(1, to_b)
        return self._pack(best, to_b, keep)

    def _is_returned(self, best: Tensor, to_b: Tensor, to_a: Tensor, grid_query: GridShape) -> Tensor:
        """(K, N) which patches are similar enough to their match, whose own match is near them."""
        here = torch.arange(to_b.shape[1], device=self._device)
        distance = _distance(here, to_a.gather(1, to_b), grid_query[1])
        return (best >= self._settings.min_similarity) & (distance <= self._settings.max_cycle_distance)

    def _pack(self, best: Tensor, to_b: Tensor, keep: Tensor) -> Tensor:
        """(K, 1 + 3 * P) int32: how many were kept, then P rows of the query, of the view, and similarities' bits."""
        ranked, rows = torch.sort(best.masked_fill(~keep, -torch.inf), dim=1, descending=True, stable=True)
        ranked, rows = ranked[:, : self._settings.max_matches], rows[:, : self._settings.max_matches]
        count = keep.sum(dim=1, keepdim=True)
        # one tensor of one type, so that it is one copy
        parts = (count.int(), rows.int(), to_b.gather(1, rows).int(), ranked.contiguous().view(torch.int32))
        return torch.cat(parts, dim=1)

    def _spread(self, targets: Tensor, grid: GridShape, target_cols: int) -> Tensor:
        """(K, N) mean distance between where each patch and its neighbours map to, in patches."""
        neighbors = self._neighbors_of(grid)
        distance = _distance(targets[:, neighbors.rows], targets[:, :, None], target_cols)
        return (distance * neighbors.is_inside).sum(dim=2) / neighbors.count


def _nearest(query: Tensor, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(K, N) largest similarity of each patch of the query, (K, N) where it is, (K, M) the nearest patch the other way.

    Products are of float32: half precision would make ties of similarities that differ.
    """
    num_views, num_patches, _ = views.shape
    similarity = query.float() @ views.float().flatten(0, 1).T
    similarity = similarity.view(-1, num_views, num_patches)
    best, to_b = similarity.max(dim=2)
    return best.T, to_b.T, similarity.argmax(dim=0)


def _nearest_point(query: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `_nearest` for one view of (M, D) points, which may be too many for one product."""
    per_product = max(1, MAX_PRODUCT_BYTES // (_FLOAT_BYTES * query.shape[0]))
    best, to_b, to_a = _nearest(query, points[None, :per_product])
    for start in range(per_product, points.shape[0], per_product):
        similarity, nearest, back = _nearest(query, points[None, start : start + per_product])
        # among equals the first
        is_better = similarity > best
        best, to_b = torch.where(is_better, similarity, best), torch.where(is_better, nearest + start, to_b)
        to_a = torch.cat([to_a, back], dim=1)
    return best, to_b, to_a


def _distance(rows_a: Tensor, rows_b: Tensor, cols: int) -> Tensor:
    """Euclidean distance in patches between patch indices of one grid, rounded to float32 once."""
    down = rows_a // cols - rows_b // cols
    across = rows_a % cols - rows_b % cols
    return (down * down + across * across).float().sqrt()


def _make_neighbors(grid: GridShape, device: torch.device) -> _Neighbors:
    """Indices of neighbours on a grid, row by row."""
    steps = torch.tensor([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1]))[:, None] + steps
    is_inside = ((places >= 0) & (places < torch.tensor(grid))).all(dim=2)
    rows = torch.where(is_inside, places[..., 0] * grid[1] + places[..., 1], 0)
    count = is_inside.sum(dim=1).clamp(min=1).float()
    return _Neighbors(rows=rows.to(device), is_inside=is_inside.float().to(device), count=count.to(device))


def _unpack(packed: NDArray[np.int32]) -> GridPairs:
    """Pairs of a row that `GridMatcher._pairs` made."""
    count = int(packed[0])
    rows_a, rows_b, bits = packed[1:].reshape(3, -1)[:, :count]
    return GridPairs(
        rows_a=rows_a.astype(np.int64), rows_b=rows_b.astype(np.int64), similarities=bits.copy().view(np.float32)
    )
