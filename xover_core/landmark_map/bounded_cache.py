# SPDX-License-Identifier: Apache-2.0
"""Things that are costly to make, kept as long as they fit into a given number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Makes values when they are asked for and forgets those that were not asked for the longest. For one thread."""

    def __init__(self, make: Callable[[K], V], num_bytes: Callable[[V], int], max_bytes: float) -> None:
        """Make an empty cache.

        Args:
            make: the value of a key, always the same.
            num_bytes: memory that a value takes.
            max_bytes: that all values together may take; one that is larger alone is made, but not kept.
        """
        self._make = make
        self._num_bytes = num_bytes
        self._max_bytes = max_bytes
        self._values: OrderedDict[K, V] = OrderedDict()
        self._used_bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def used_bytes(self) -> int:
        """Bytes of all values that are kept."""
        return self._used_bytes

    def __getitem__(self, key: K) -> V:
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._make(key)
        size = self._num_bytes(value)
        if size <= self._max_bytes:
            self._values[key] = value
            self._used_bytes += size
            self._forget()
        return value

    def _forget(self) -> None:
        """Drop the values that were not asked for the longest until the rest fits."""
        while self._used_bytes > self._max_bytes:
            _, value = self._values.popitem(last=False)
            self._used_bytes -= self._num_bytes(value)
