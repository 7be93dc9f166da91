# SPDX-License-Identifier: Apache-2.0
"""In which numbers the descriptors of two views are multiplied to find out which patches are most alike."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.inference.whole_products import WholeProducts, to_left, to_right
from xover_core.localization.keyframe_store import StoredView
from xover_core.types import Float32Array

# Keyframes whose whole numbers are kept; 170 kB each where there are 1350 patches.
MAX_WHOLE_VIEWS = 500


class MatchingProducts(Protocol):
    """Makes descriptors ready and multiplies them."""

    @property
    def dtype(self) -> type[np.generic]:
        """Of the products."""
        ...

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """What stands for the (N, D) descriptors of a query."""
        ...

    def of_view(self, view: StoredView) -> NDArray[Any]:
        """What stands for the descriptors of a keyframe; by one thread at a time."""
        ...

    def multiply(self, query: NDArray[Any], view: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the (N, M) products to `out`, in any unit; by several threads at once."""
        ...


class FloatMatchingProducts:
    """Implements `MatchingProducts` by NumPy."""

    dtype: type[np.generic] = np.float32

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """See `MatchingProducts.of_query`."""
        return descriptors

    def of_view(self, view: StoredView) -> NDArray[Any]:
        """See `MatchingProducts.of_view`."""
        return np.asarray(view.descriptors.T)

    def multiply(self, query: NDArray[Any], view: NDArray[Any], out: NDArray[Any]) -> None:
        """See `MatchingProducts.multiply`."""
        np.matmul(query, view, out=out)


class WholeMatchingProducts:
    """Implements `MatchingProducts` by whole numbers, for the keyframes of one map.

    Rounding descriptors to 8 and 7 bits changes which patch is the most similar one only where two are equally
    similar to within 0.005 (docs/experiments.md has what that costs).
    """

    dtype: type[np.generic] = np.int32

    def __init__(self, max_views: int = MAX_WHOLE_VIEWS) -> None:
        """Begin with no keyframes.

        Args:
            max_views: that are kept as whole numbers; those used last.

        Raises:
            BackendUnavailableError: ONNX Runtime is missing or broken.
        """
        self._products = WholeProducts()
        self._max_views = max_views
        self._views: OrderedDict[int, NDArray[np.int8]] = OrderedDict()

    def __len__(self) -> int:
        """Keyframes that are kept."""
        return len(self._views)

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """See `MatchingProducts.of_query`."""
        return to_left(descriptors)

    def of_view(self, view: StoredView) -> NDArray[Any]:
        """See `MatchingProducts.of_view`."""
        key = view.keyframe.keyframe_id
        if key not in self._views:
            self._views[key] = to_right(view.descriptors)
            if len(self._views) > self._max_views:
                self._views.popitem(last=False)
        self._views.move_to_end(key)
        return self._views[key]

    def multiply(self, query: NDArray[Any], view: NDArray[Any], out: NDArray[Any]) -> None:
        """See `MatchingProducts.multiply`."""
        self._products.multiply(query, view, out)
