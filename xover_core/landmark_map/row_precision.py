# SPDX-License-Identifier: Apache-2.0
"""Average precision of each row of similarities: exact, or smooth as in LoCUS (eq. 3), without torch.

Smooth: with d(p, u) = sigmoid((s_u - s_p) / temperature), summed over all u but p,

    rank_all(p) = 1 + sum of d(p, u),    rank_positive(p) = 1 + sum over positive u of d(p, u),

and the precision is the mean of rank_positive / rank_all over the positives. A sigmoid is smooth on the scale of the
temperature, so the scores of a row are gathered on a grid of quarters of it, all sums at the grid's points are one
convolution, and the positives read theirs from the grid. Both ways are cubic interpolations. Time and memory grow with
the number of scores, not with that of pairs of a positive and another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import expit

from xover_core.types import Float32Array, Float64Array

# Points of the grid in one temperature. Interpolating a sigmoid is off by at most 1.3e-5 then.
_PER_TEMPERATURE = 4
# A point of the grid on each side of a score, and one more.
_OFFSETS = (-1, 0, 1, 2)
# Rows are treated together as long as scores and grids are not more than this many numbers; bounds the memory to 50 MB.
_MAX_NUMBERS = 1_000_000


def average_precision(similarities: Float32Array, is_positive: NDArray[np.bool_]) -> Float32Array:
    """Exact average precision of each row of (M, N) similarities; 0 for a row without positives.

    The mean over the positives of the share of positives among everything ranked up to and including them.
    """
    order = np.argsort(-similarities, axis=1)
    hits = np.take_along_axis(is_positive, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    totals = np.maximum(hits.sum(axis=1), 1)
    return np.asarray((precision * hits).sum(axis=1) / totals, np.float32)


def smooth_average_precision(
    similarities: Float32Array, is_positive: NDArray[np.bool_], temperature: float
) -> Float32Array:
    """Smooth average precision of each row, a positive not being its own competitor.

    Args:
        similarities: (M, N), finite.
        is_positive: (M, N).
        temperature: above 0, in units of similarity; as it vanishes, the result becomes `average_precision`.

    Returns:
        (M,) in [0, 1]; 0 for a row without positives. It differs by some 1e-5 from the definition.
    """
    precision = np.zeros(len(similarities), np.float32)
    if not is_positive.any():
        return precision
    cells = (similarities - similarities.min()) * np.float32(_PER_TEMPERATURE / temperature)
    length = _grid_length(float(cells.max()))
    step = max(1, _MAX_NUMBERS // max(length, cells.shape[1]))
    for start in range(0, len(cells), step):
        rows = slice(start, start + step)
        precision[rows] = _precision_on_grid(cells[rows], is_positive[rows], length)
    return precision


def precision_measure(temperature: float) -> Callable[[Float32Array, NDArray[np.bool_]], Float32Array]:
    """Smooth average precision of this temperature; exact at 0."""
    if temperature == 0:
        return average_precision
    return lambda similarities, is_positive: smooth_average_precision(similarities, is_positive, temperature)


def _grid_length(last: float) -> int:
    """Points of a grid for scores in [0, last], twice, so that a circular convolution never meets itself."""
    return int(scipy.fft.next_fast_len(2 * (int(last) + len(_OFFSETS))))


def _precision_on_grid(cells: Float32Array, is_positive: NDArray[np.bool_], length: int) -> Float64Array:
    """Precision of (M, N) scores in units of the grid, from 0 on."""
    below = np.floor(cells)
    shares = _cubic_shares(cells - below)
    # the first point lies one before the smallest score
    places = below.astype(np.int32) + 1 + np.arange(len(cells), dtype=np.int32)[:, None] * np.int32(length)
    of_positives = places[is_positive], [share[is_positive] for share in shares]
    size = len(cells) * length
    grid = _gather(places.ravel(), [share.ravel() for share in shares], size) + 1j * _gather(*of_positives, size)
    sums = _sums_above(grid.reshape(len(cells), length)).ravel()
    # real part: over all scores, imaginary part: over positives; both count the score itself, as sigmoid(0) = 0.5
    above = sum(sums[of_positives[0] + offset] * share for offset, share in zip(_OFFSETS, of_positives[1], strict=True))
    ratio = (above.imag + 0.5) / (above.real + 0.5)
    counts = is_positive.sum(axis=1)
    totals = np.bincount(np.nonzero(is_positive)[0], ratio, minlength=len(cells))
    return np.asarray(totals / np.maximum(counts, 1), np.float64)


def _cubic_shares(t: Float32Array) -> list[NDArray[np.floating]]:
    """What the points at `_OFFSETS` take of a value that lies at t in [0, 1): Lagrange's polynomials."""
    before, after, second = t + 1, t - 1, t - 2
    return [-t * after * second / 6, before * after * second / 2, -before * t * second / 2, before * t * after / 6]


def _gather(places: NDArray[np.int32], shares: list[NDArray[np.floating]], size: int) -> Float64Array:
    """(size,) sums of the shares that fall on each point."""
    parts = (np.bincount(places + offset, share, size) for offset, share in zip(_OFFSETS, shares, strict=True))
    return np.asarray(sum(parts), np.float64)


def _sums_above(grid: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """(M, length) sums of everything on the grid, each times the sigmoid of how far above it lies."""
    return np.asarray(scipy.fft.ifft(scipy.fft.fft(grid, axis=1) * _kernel(grid.shape[1]), axis=1))


@lru_cache(maxsize=16)
def _kernel(length: int) -> NDArray[np.complex128]:
    """Transform of the sigmoid of distances between points; those in the second half lie before."""
    distances = np.arange(length)
    distances[length // 2 :] -= length
    return np.asarray(scipy.fft.fft(expit(-distances / _PER_TEMPERATURE)))
