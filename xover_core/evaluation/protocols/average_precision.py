# SPDX-License-Identifier: Apache-2.0
"""Exact average precision with ties, from the scores of positives and negatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

# Scores that are sorted at once: 16 MB.
_GROUP_LENGTH = 4_000_000


def average_precision(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float | None:
    """Mean over the positives of the share of positives among everything that scores at least as high.

    Items of equal score count together, so the order of the input never matters. This is the area under the step
    curve of precision over recall, the limit of smooth AP for a temperature of zero where no two scores are equal.

    Args:
        positives: (P,) scores, higher is more similar.
        negatives: (N,) scores.

    Returns:
        In (0, 1]; None without positives.
    """
    return precision_at_positives(positives, count_at_least(negatives, positives))


def pooled_average_precision(positives: Sequence[Float32Array], negatives: Sequence[Float32Array]) -> float | None:
    """Average precision of one ranking of many chunks, of which few millions of scores are joined at a time.

    Args:
        positives: arrays of scores.
        negatives: arrays of scores.
    """
    scores = np.sort(np.concatenate([np.zeros(0, np.float32), *positives]))
    num_above = np.zeros(len(scores), np.int64)
    for group in _joined(negatives):
        num_above += count_at_least(group, scores)
    return precision_at_positives(scores, num_above)


def precision_at_positives(positives: NDArray[np.floating], num_negatives: NDArray[np.int64]) -> float | None:
    """Average precision of (P,) scores of positives, when `num_negatives` (P,) score at least as high as each."""
    if not len(positives):
        return None
    num_positives = count_at_least(positives, positives)
    return float(np.mean(num_positives / (num_positives + num_negatives)))


def count_at_least(scores: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.int64]:
    """How many of (N,) scores are at least as high as each of (T,) thresholds."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray(len(scores) - below, np.int64)


def _joined(chunks: Sequence[Float32Array]) -> Iterator[Float32Array]:
    """The chunks concatenated to few long ones."""
    waiting: list[Float32Array] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(map(len, waiting)) >= _GROUP_LENGTH:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
