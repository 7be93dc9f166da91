# SPDX-License-Identifier: Apache-2.0
"""Matching with keyframes on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from xover_core.config import MatchingSettings
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.matching_products import FloatMatchingProducts
from xover_core.localization.patch_matching import PatchPairs, select_pairs
from xover_core.localization.product_threads import ProductThreads
from xover_core.types import PatchFeatures


class ProcessorMatcher:
    """Implements `ViewMatcher` by NumPy and ONNX Runtime, for the keyframes of one map. Not thread-safe."""

    def __init__(self, settings: MatchingSettings, threads: ProductThreads | None = None) -> None:
        """Make a matcher.

        Args:
            settings: thresholds.
            threads: multiply, for this matcher alone; None: NumPy does, in the caller's thread.
        """
        self._settings = settings
        self._threads = threads or ProductThreads(FloatMatchingProducts(), 1)

    def match(self, query: PatchFeatures, views: Sequence[StoredView]) -> list[PatchPairs]:
        """See `ViewMatcher.match`."""
        products = self._threads.products
        descriptors = query.finest

        def select(index: int, found: NDArray[Any]) -> PatchPairs:
            """The pairs of one view."""
            view = views[index]
            grids = query.grid_shape, view.keyframe.grid_shape
            return select_pairs(found, descriptors, view.descriptors, *grids, self._settings)

        ready = [products.of_rows(view.keyframe.keyframe_id, view.descriptors) for view in views]
        return self._threads.map(products.of_query(descriptors), ready, select)
