# SPDX-License-Identifier: Apache-2.0
"""Sums of many sigmoids, `F(t) = sum_s w_s sigmoid(s - t)`, and of their derivatives, in linear memory.

Ranking losses need F at T targets from S sources. Two ways give the same numbers:

- `direct_sums` evaluates all T * S sigmoids, a bounded block at a time. It is the reference, and the fastest for few.
- `grid_sums` uses that the sigmoid is smooth on the scale 1: cells of width 2, and in each a Chebyshev polynomial of
  degree 19, represent it to 5e-15 in the source and in the target alike, which is the rounding of float64. So sources
  are reduced to 20 moments of each cell, the moments are carried from cell to cell, and the result is evaluated at the
  targets: S + T steps instead of S * T. Cells more than 44 apart contribute exactly 0 or 1.

Both work on several independent rows at once. Sums are taken in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_DEGREES = 20
_CELL_WIDTH = 2.0
_SATURATION = 44.0
_BAND = round(_SATURATION / _CELL_WIDTH)
# Differences evaluated at once by the direct way, and values located at once by the grid way.
_BLOCK = 1 << 16
# What the grid way costs, in evaluations of the direct way, measured on one core: to start, for each value, and for
# each product of the transfer between cells.
_GRID_START = 400_000
_GRID_PER_VALUE = 20
_GRID_PER_PRODUCT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RowValues:
    """Numbers that belong to rows.

    Attributes:
        values: (M,) float64.
        rows: (M,) int64, ascending, in [0, num_rows).
        num_rows: R.
    """

    values: Tensor
    rows: Tensor
    num_rows: int

    def select(self, chosen: Tensor) -> RowValues:
        """Those where (M,) bool `chosen` is set."""
        return RowValues(values=self.values[chosen], rows=self.rows[chosen], num_rows=self.num_rows)

    def counts(self) -> Tensor:
        """(R,) int64 how many each row has."""
        return self.rows.new_zeros(self.num_rows).index_add_(0, self.rows, torch.ones_like(self.rows))


def sigmoid(differences: Tensor) -> Tensor:
    """The kernel of ranks."""
    return torch.sigmoid(differences)


def sigmoid_slope(differences: Tensor) -> Tensor:
    """Derivative of the sigmoid; even, and without cancellation far from zero."""
    return torch.sigmoid(differences) * torch.sigmoid(-differences)


def kernel_sums(sources: RowValues, weights: Tensor, targets: RowValues, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum `weights * kernel(source - target)` over the sources of each target's row, the faster way.

    Args:
        sources: S finite values.
        weights: (S, C) float64.
        targets: T finite values, with as many rows.
        kernel: `sigmoid` or `sigmoid_slope`.

    Returns:
        (T, C) float64; zeros without sources.
    """
    num_sources, num_targets = len(sources.values), len(targets.values)
    if not num_sources or not num_targets:
        return weights.new_zeros(num_targets, weights.shape[1])
    evaluations = int((sources.counts() * targets.counts()).sum())
    products = 2 * _BAND * _DEGREES**2 * sources.num_rows * _num_cells(sources, targets)
    grid_cost = _GRID_START + _GRID_PER_VALUE * (num_sources + num_targets) + _GRID_PER_PRODUCT * products
    way = direct_sums if evaluations <= grid_cost else grid_sums
    return way(sources, weights, targets, kernel)


def direct_sums(sources: RowValues, weights: Tensor, targets: RowValues, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """As `kernel_sums`, by evaluating every pair."""
    sums = weights.new_zeros(len(targets.values), weights.shape[1])
    first_source = first_target = 0
    counts = zip(sources.counts().tolist(), targets.counts().tolist(), strict=True)
    for num_sources, num_targets in counts:
        row = slice(first_source, first_source + num_sources)
        step = max(1, _BLOCK // max(num_sources, 1))
        for start in range(first_target, first_target + num_targets, step):
            block = slice(start, min(start + step, first_target + num_targets))
            sums[block] = kernel(sources.values[row] - targets.values[block, None]) @ weights[row]
        first_source += num_sources
        first_target += num_targets
    return sums


def grid_sums(sources: RowValues, weights: Tensor, targets: RowValues, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """As `kernel_sums`, through moments of cells."""
    if not len(sources.values) or not len(targets.values):
        return weights.new_zeros(len(targets.values), weights.shape[1])
    origin = torch.minimum(sources.values.min(), targets.values.min())
    num_cells = _num_cells(sources, targets)
    moments = _moments(sources, weights, origin, num_cells)
    return _evaluate(_transfer(moments, kernel), targets, origin)


def _num_cells(sources: RowValues, targets: RowValues) -> int:
    """Cells that cover all sources and targets."""
    low = torch.minimum(sources.values.min(), targets.values.min())
    high = torch.maximum(sources.values.max(), targets.values.max())
    return int((high - low) / _CELL_WIDTH) + 1


def _moments(sources: RowValues, weights: Tensor, origin: Tensor, num_cells: int) -> Tensor:
    """(degrees, cells, R, C) sums of weights times Chebyshev polynomials of the positions in the cells."""
    num_rows, channels = sources.num_rows, weights.shape[1]
    moments = weights.new_zeros(_DEGREES, num_cells * num_rows, channels)
    for start in range(0, len(sources.values), _BLOCK):
        block = slice(start, start + _BLOCK)
        cells, positions = _locate(sources.values[block], origin)
        places = cells * num_rows + sources.rows[block]
        for moment, polynomial in zip(moments, _polynomials(positions), strict=True):
            moment.index_add_(0, places, weights[block] * polynomial[:, None])
    return moments.view(_DEGREES, num_cells, num_rows, channels)


def _evaluate(coefficients: Tensor, targets: RowValues, origin: Tensor) -> Tensor:
    """(T, C) values at the targets of (degrees, cells, R, C) Chebyshev series."""
    num_rows, channels = coefficients.shape[2:]
    series = coefficients.reshape(_DEGREES, -1, channels)
    sums = coefficients.new_zeros(len(targets.values), channels)
    for start in range(0, len(targets.values), _BLOCK):
        block = slice(start, start + _BLOCK)
        cells, positions = _locate(targets.values[block], origin)
        places = cells * num_rows + targets.rows[block]
        for coefficient, polynomial in zip(series, _polynomials(positions), strict=True):
            sums[block] += coefficient[places] * polynomial[:, None]
    return sums


def _transfer(moments: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """From the moments of all source cells to the Chebyshev series of each target cell."""
    num_cells = moments.shape[1]
    series = torch.zeros_like(moments)
    for offset in range(-min(_BAND, num_cells - 1), min(_BAND, num_cells - 1) + 1):
        matrix = _cell_matrix(offset, kernel, moments)
        first, last = max(0, -offset), num_cells - max(0, offset)
        near = moments[:, first + offset : last + offset]
        series[:, first:last] += (matrix @ near.reshape(_DEGREES, -1)).view(near.shape)
    # further above, the kernel is the constant it tends to
    limit = float(kernel(moments.new_full((), math.inf)))
    if limit and num_cells > _BAND + 1:
        above = moments[0].flip(0).cumsum(0).flip(0)
        series[0, : -_BAND - 1] += limit * above[_BAND + 1 :]
    return series


def _cell_matrix(offset: int, kernel: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """(target degree, source degree) Chebyshev coefficients of the kernel between cells `offset` apart."""
    degrees = torch.arange(_DEGREES, dtype=torch.float64, device=like.device)
    angles = (degrees + 0.5) * (math.pi / _DEGREES)
    to_coefficients = torch.cos(torch.outer(degrees, angles)) * (2 / _DEGREES)
    to_coefficients[0] /= 2
    nodes = torch.cos(angles)
    differences = _CELL_WIDTH * (offset + (nodes - nodes[:, None]) / 2)
    return to_coefficients @ kernel(differences) @ to_coefficients.T


def _locate(values: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) int64 cells, and (M,) positions in them from -1 to 1."""
    cell_units = (values - origin) / _CELL_WIDTH
    cells = cell_units.floor()
    return cells.long(), 2 * (cell_units - cells) - 1


def _polynomials(positions: Tensor) -> list[Tensor]:
    """Chebyshev polynomials T_0 ... of (M,) positions."""
    polynomials = [torch.ones_like(positions), positions]
    while len(polynomials) < _DEGREES:
        polynomials.append(2 * positions * polynomials[-1] - polynomials[-2])
    return polynomials
