# SPDX-License-Identifier: Apache-2.0
"""What was made for the sizes that came last: recordings, compiled networks, engines, so many and no more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT")


class RecentItems(Generic[KeyT, ItemT]):
    """Keeps the items that were used last. Not thread-safe."""

    def __init__(self, make: Callable[[KeyT], ItemT], limit: int) -> None:
        """Begin with nothing.

        Args:
            make: makes the item of a key.
            limit: items that are kept, at least 1.
        """
        self._make = make
        self._limit = limit
        self._items: OrderedDict[KeyT, ItemT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: KeyT) -> ItemT:
        """The item of a key, made now if it is not there; the one that was not used for longest then goes."""
        if key not in self._items:
            while len(self._items) >= self._limit:
                self._items.popitem(last=False)  # before the new one is made: they may be large
            self._items[key] = self._make(key)
        self._items.move_to_end(key)
        return self._items[key]
