# SPDX-License-Identifier: Apache-2.0
"""What many views say together of each scene: the mean of its few most similar ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array, Float64Array

# One view alone may be alike by chance.
NUM_BEST_VIEWS = 3
# Similarities lie in [-1, 1], so steps of this keep groups apart.
_STEP = 4.0


class BestViewMeans:
    """Views that belong to groups; made once, asked with every frame."""

    def __init__(self, groups: NDArray[np.integer], num_groups: int) -> None:
        """Note who belongs where.

        Args:
            groups: (K,) group of each view, from 0 on, in any order.
            num_groups: G.
        """
        self._offsets = _STEP * groups.astype(np.float64)
        self._counts = np.bincount(groups, minlength=num_groups)
        self._ends = np.cumsum(self._counts)

    def __call__(self, similarities: Float32Array) -> Float64Array:
        """(G,) mean of the best of each group's (K,) similarities; NaN for a group without views."""
        # sorted by group and, within it, by similarity
        ordered = np.sort(self._offsets + similarities)
        total = np.zeros(len(self._counts))
        for place in range(1, NUM_BEST_VIEWS + 1):
            there = self._counts >= place
            total[there] += ordered[self._ends[there] - place] - _STEP * np.flatnonzero(there)
        divisors = np.minimum(self._counts, NUM_BEST_VIEWS)
        return np.where(divisors > 0, total / np.maximum(divisors, 1), np.nan)
