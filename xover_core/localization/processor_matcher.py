# SPDX-License-Identifier: Apache-2.0
"""Matching on the processor: several keyframes at a time, each thread in memory of its own that is used again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xover_core.config import MatchingSettings
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.matching_products import MatchingProducts
from xover_core.localization.patch_matching import PatchPairs, select_pairs
from xover_core.types import PatchFeatures


class ProcessorMatcher:
    """Implements `ViewMatcher` by NumPy and ONNX Runtime, for the keyframes of one map. Not thread-safe."""

    def __init__(self, settings: MatchingSettings, products: MatchingProducts, num_threads: int) -> None:
        """Begin with no memory but that of the threads.

        Args:
            settings: thresholds.
            products: multiply descriptors.
            num_threads: among which keyframes are shared out, at least 1.
        """
        self._settings = settings
        self._products = products
        self._buffers = [_Buffer(products.dtype) for _ in range(num_threads)]
        # the caller's thread works too
        self._helpers = ThreadPoolExecutor(num_threads - 1, "xover-match") if num_threads > 1 else None

    @property
    def buffer_bytes(self) -> int:
        """Memory for products, of all threads."""
        return sum(buffer.num_bytes for buffer in self._buffers)

    def match(self, query: PatchFeatures, views: Sequence[StoredView]) -> list[PatchPairs]:
        """See `ViewMatcher.match`."""
        ready_query = self._products.of_query(query.finest)
        ready_views = [self._products.of_view(view) for view in views]
        found: list[PatchPairs | None] = [None] * len(views)

        def match_share(worker: int) -> None:
            """Every so many-th view, from the worker's own number on."""
            for index in range(worker, len(views), len(self._buffers)):
                out = self._buffers[worker].of_shape((len(ready_query), ready_views[index].shape[1]))
                self._products.multiply(ready_query, ready_views[index], out)
                found[index] = self._select(out, query, views[index])

        helpers = (
            []
            if self._helpers is None
            else [self._helpers.submit(match_share, worker) for worker in range(1, len(self._buffers))]
        )
        match_share(0)
        for helper in helpers:
            helper.result()
        return [pairs for pairs in found if pairs is not None]

    def _select(self, products: NDArray[Any], query: PatchFeatures, view: StoredView) -> PatchPairs:
        """The pairs of one view."""
        return select_pairs(
            products,
            query.finest,
            view.descriptors,
            query.grid_shape,
            view.keyframe.grid_shape,
            self._settings,
        )


class _Buffer:
    """Memory for matrices one after the other; grows to the largest of them and no further."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._memory: NDArray[Any] = np.empty(0, dtype)

    @property
    def num_bytes(self) -> int:
        """Of the largest matrix so far."""
        return self._memory.nbytes

    def of_shape(self, shape: tuple[int, int]) -> NDArray[Any]:
        """A matrix to write to; whatever was in the one before is lost."""
        size = shape[0] * shape[1]
        if len(self._memory) < size:
            self._memory = np.empty(size, self._memory.dtype)
        return self._memory[:size].reshape(shape)
