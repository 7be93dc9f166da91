# SPDX-License-Identifier: Apache-2.0
"""In which numbers descriptors are multiplied to find out which are most alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.inference.whole_products import WholeProducts, to_left, to_right
from xover_core.types import Float32Array

# Keyframes whose whole numbers are kept; 170 kB each where there are 1350 patches.
MAX_KEPT = 500


class MatchingProducts(Protocol):
    """Makes descriptors ready and multiplies them."""

    @property
    def dtype(self) -> type[np.generic]:
        """Of the products."""
        ...

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """What stands for the (N, D) descriptors of a query."""
        ...

    def of_rows(self, key: Hashable, descriptors: Float32Array) -> NDArray[Any]:
        """What stands for the (M, D) descriptors of something that keeps its key; by one thread at a time."""
        ...

    def multiply(self, query: NDArray[Any], rows: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the (N, M) products to `out`, in any unit; by several threads at once."""
        ...


class FloatMatchingProducts:
    """Implements `MatchingProducts` by NumPy."""

    dtype: type[np.generic] = np.float32

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """See `MatchingProducts.of_query`."""
        return descriptors

    def of_rows(self, key: Hashable, descriptors: Float32Array) -> NDArray[Any]:  # noqa: ARG002 - nothing is kept
        """See `MatchingProducts.of_rows`."""
        return np.asarray(descriptors.T)

    def multiply(self, query: NDArray[Any], rows: NDArray[Any], out: NDArray[Any]) -> None:
        """See `MatchingProducts.multiply`."""
        np.matmul(query, rows, out=out)


class WholeMatchingProducts:
    """Implements `MatchingProducts` by whole numbers, for the keyframes or the landmarks of one map.

    Rounding descriptors to 8 and 7 bits changes which patch is the most similar one only where two are equally
    similar to within 0.005 (docs/experiments.md has what that costs).
    """

    dtype: type[np.generic] = np.int32

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        """Begin with nothing.

        Args:
            max_kept: keyframes and the like that are kept as whole numbers; those used last.

        Raises:
            BackendUnavailableError: ONNX Runtime is missing or broken.
        """
        self._products = WholeProducts()
        self._max_kept = max_kept
        self._kept: OrderedDict[Hashable, NDArray[np.int8]] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def of_query(self, descriptors: Float32Array) -> NDArray[Any]:
        """See `MatchingProducts.of_query`."""
        return to_left(descriptors)

    def of_rows(self, key: Hashable, descriptors: Float32Array) -> NDArray[Any]:
        """See `MatchingProducts.of_rows`."""
        if key not in self._kept:
            self._kept[key] = to_right(descriptors)
            if len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def multiply(self, query: NDArray[Any], rows: NDArray[Any], out: NDArray[Any]) -> None:
        """See `MatchingProducts.multiply`."""
        self._products.multiply(query, rows, out)
