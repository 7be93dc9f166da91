# SPDX-License-Identifier: Apache-2.0
"""Several products at a time, each thread in memory of its own that is used again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xover_core.localization.matching_products import MatchingProducts

T = TypeVar("T")


class ProductThreads:
    """Multiplies descriptors of a query with those of many others. Not thread-safe itself."""

    def __init__(self, products: MatchingProducts, num_threads: int) -> None:
        """Begin with no memory but that of the threads.

        Args:
            products: multiply descriptors.
            num_threads: among which the work is shared out, at least 1.
        """
        self._products = products
        self._buffers = [_Buffer(products.dtype) for _ in range(num_threads)]
        # the caller's thread works too
        self._helpers = ThreadPoolExecutor(num_threads - 1, "xover-match") if num_threads > 1 else None

    @property
    def products(self) -> MatchingProducts:
        """What multiplies."""
        return self._products

    @property
    def buffer_bytes(self) -> int:
        """Memory for products, of all threads."""
        return sum(buffer.num_bytes for buffer in self._buffers)

    def map(self, query: NDArray[Any], others: list[NDArray[Any]], use: Callable[[int, NDArray[Any]], T]) -> list[T]:
        """What `use` makes of the products of the query with each of the others.

        Args:
            query: as `MatchingProducts.of_query` gives it, for (N, D).
            others: as `MatchingProducts.of_rows` gives them, for (M, D).
            use: of the number of the other one and the (N, M) products, which are overwritten after it returns; called
                by several threads.
        """
        found: dict[int, T] = {}

        def do_share(worker: int) -> None:
            """Every so many-th of the others, from the worker's own number on."""
            for index in range(worker, len(others), len(self._buffers)):
                out = self._buffers[worker].of_shape((len(query), others[index].shape[1]))
                self._products.multiply(query, others[index], out)
                found[index] = use(index, out)

        workers = range(1, min(len(self._buffers), len(others)))
        helping = [self._helpers.submit(do_share, worker) for worker in workers] if self._helpers else []
        try:
            do_share(0)
        finally:
            for one in helping:
                one.exception()  # waits: buffers are not to be used by two threads
        for one in helping:
            one.result()
        return [found[index] for index in range(len(others))]


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
