# SPDX-License-Identifier: Apache-2.0
"""Matching the patches of two views: similarity threshold, two continuity conditions both ways, best first.

LoCUS (ICCV 2023, section 4.2) names two continuity conditions without giving them in the paper. These are the two
that its author uses in the later LoCo code, which we take to be meant (docs/experiments.md):

1. approximate mutual nearest neighbour: from a patch to its match and back one lands near where one started;
2. neighbourhood consistency: neighbours map to places near each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xover_core.config import MatchingSettings
from xover_core.types import Float32Array

GridShape = tuple[int, int]
ROWS_PER_BLOCK = 16
# Shapes of grids whose tables of neighbours are kept; a camera has one.
MAX_GRIDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPairs:
    """Matched patches, most similar first; M = 0 when nothing matches.

    Attributes:
        rows_a: (M,) patch indices in a.
        rows_b: (M,) patch indices in b.
        similarities: (M,) cosine.
    """

    rows_a: NDArray[np.int64]
    rows_b: NDArray[np.int64]
    similarities: Float32Array

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows_a)


def match_patches(
    descriptors_a: Float32Array,
    descriptors_b: Float32Array,
    grid_a: GridShape,
    grid_b: GridShape,
    settings: MatchingSettings,
) -> PatchPairs:
    """Match every patch of a to its most similar patch of b, and keep what both continuity conditions allow.

    Args:
        descriptors_a: (N, D) of L2 norm at most 1, row by row on `grid_a`.
        descriptors_b: (M, D) on `grid_b`.
        grid_a: (rows, cols), rows * cols = N.
        grid_b: (rows, cols).
        settings: thresholds.
    """
    products = descriptors_a @ descriptors_b.T
    return select_pairs(products, descriptors_a, descriptors_b, grid_a, grid_b, settings)


def select_pairs(
    products: NDArray[np.float32] | NDArray[np.int32],
    descriptors_a: Float32Array,
    descriptors_b: Float32Array,
    grid_a: GridShape,
    grid_b: GridShape,
    settings: MatchingSettings,
) -> PatchPairs:
    """What `match_patches` keeps, by products that are there already.

    Args:
        products: (N, M) products of descriptors in any unit, more or less exact: they say which patch is most similar.
        descriptors_a: (N, D), as for `match_patches`; how similar matched patches are is computed from them.
        descriptors_b: (M, D).
        grid_a: (rows, cols), rows * cols = N.
        grid_b: (rows, cols).
        settings: thresholds.
    """
    to_b, to_a = products.argmax(axis=1), argmax_of_columns(products)
    rows = np.arange(len(to_b))
    rows = rows[_grid_distance(rows, to_a[to_b], grid_a[1]) <= settings.max_cycle_distance]
    similarities = np.einsum("nd,nd->n", descriptors_a[rows], descriptors_b[to_b[rows]])
    is_similar = similarities >= settings.min_similarity
    rows, similarities = rows[is_similar], similarities[is_similar]
    if settings.max_neighbor_distance > 0:
        keep = _neighbor_distance(to_b, rows, grid_a, grid_b[1]) <= settings.max_neighbor_distance
        keep &= _neighbor_distance(to_a, to_b[rows], grid_b, grid_a[1]) <= settings.max_neighbor_distance
        rows, similarities = rows[keep], similarities[keep]
    order = np.argsort(-similarities, kind="stable")[: settings.max_matches]
    return PatchPairs(rows_a=rows[order], rows_b=to_b[rows[order]], similarities=similarities[order])


def match_to_points(
    descriptors_a: Float32Array, descriptors_b: Float32Array, grid_a: GridShape, settings: MatchingSettings
) -> PatchPairs:
    """Match patches of an image to descriptors that lie on no grid, such as landmarks, by the first condition alone.

    This is the definition, by one product of all with all. Localization takes a `PointMatcher`, which gives the same
    pairs part by part and is tested against it; `benchmarks/bench_scale.py` shows what all at once would cost.

    Args:
        descriptors_a: (N, D) of L2 norm at most 1, row by row on `grid_a`.
        descriptors_b: (M, D), M >= 1.
        grid_a: (rows, cols).
        settings: thresholds.
    """
    products = descriptors_a @ descriptors_b.T
    to_b, to_a = products.argmax(axis=1), argmax_of_columns(products)
    similarities = products[np.arange(len(to_b)), to_b]
    return select_points(to_b, to_a, similarities, grid_a, settings)


def select_points(
    to_b: NDArray[np.int64],
    to_a: NDArray[np.int64],
    similarities: Float32Array,
    grid_a: GridShape,
    settings: MatchingSettings,
) -> PatchPairs:
    """What `match_to_points` keeps, by what is most similar.

    Args:
        to_b: (N,) for each patch the most similar point.
        to_a: (M,) for each point the most similar patch.
        similarities: (N,) of the patches with these points.
        grid_a: (rows, cols).
        settings: thresholds.
    """
    rows = np.arange(len(to_b))
    keep = _grid_distance(rows, to_a[to_b], grid_a[1]) <= settings.max_cycle_distance
    rows = np.flatnonzero(keep & (similarities >= settings.min_similarity))
    rows = rows[np.argsort(-similarities[rows], kind="stable")[: settings.max_matches]]
    return PatchPairs(rows_a=rows, rows_b=to_b[rows], similarities=similarities[rows])


def argmax_of_columns(matrix: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.int64]:
    """`matrix.argmax(axis=0)` of (N, M), three times as fast for large N.

    NumPy's own goes down the columns one value at a time. Maxima of blocks of rows are vectorised, and only the
    winning block of each column is searched.
    """
    num_blocks = len(matrix) // ROWS_PER_BLOCK
    if num_blocks < 2:
        return np.asarray(matrix.argmax(axis=0), dtype=np.int64)
    starts = np.arange(num_blocks) * ROWS_PER_BLOCK
    maxima = matrix[: num_blocks * ROWS_PER_BLOCK].reshape(num_blocks, ROWS_PER_BLOCK, -1).max(axis=1)
    if len(matrix) % ROWS_PER_BLOCK:
        # the last block overlaps the one before, which changes no maximum
        starts = np.append(starts, len(matrix) - ROWS_PER_BLOCK)
        maxima = np.concatenate([maxima, matrix[-ROWS_PER_BLOCK:].max(axis=0, keepdims=True)])
    columns = np.arange(matrix.shape[1])
    rows = starts[maxima.argmax(axis=0)][:, None] + np.arange(ROWS_PER_BLOCK)
    return np.asarray(rows[columns, matrix[rows, columns[:, None]].argmax(axis=1)], dtype=np.int64)


def _grid_distance(rows_a: NDArray[np.int64], rows_b: NDArray[np.int64], cols: int) -> Float32Array:
    """Euclidean distance in patches between patch indices of one grid."""
    distance = np.hypot(rows_a // cols - rows_b // cols, rows_a % cols - rows_b % cols)
    return np.asarray(distance, dtype=np.float32)


def _neighbor_distance(
    targets: NDArray[np.int64], rows: NDArray[np.int64], grid: GridShape, target_cols: int
) -> Float32Array:
    """(R,) mean distance between where some patches and their up to 8 neighbours on the grid map to, in patches.

    Args:
        targets: (N,) where each patch of the grid maps to.
        rows: (R,) the patches asked for.
        grid: (rows, cols) of the patches.
        target_cols: of the grid that they map to.
    """
    around, is_inside = _neighbors_of(grid)
    place = np.stack(np.divmod(targets, target_cols), axis=1).astype(np.float32)
    step = place[around[rows]] - place[rows][:, None]
    inside = is_inside[rows]
    distance = np.sqrt((step * step).sum(axis=2)) * inside
    return np.asarray(distance.sum(axis=1) / np.maximum(inside.sum(axis=1), 1), dtype=np.float32)


@lru_cache(maxsize=MAX_GRIDS)
def _neighbors_of(grid: GridShape) -> tuple[NDArray[np.int64], Float32Array]:
    """(N, 8) neighbours of each patch, and (N, 8) 1 where there is one; elsewhere 0, and any patch stands there."""
    row, col = np.indices(grid).reshape(2, -1, 1)
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    rows, cols = row + steps[:, 0], col + steps[:, 1]
    is_inside = (rows >= 0) & (rows < grid[0]) & (cols >= 0) & (cols < grid[1])
    around = np.where(is_inside, rows * grid[1] + cols, 0)
    return np.asarray(around, np.int64), is_inside.astype(np.float32)
