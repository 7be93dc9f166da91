# SPDX-License-Identifier: Apache-2.0
"""Values that are kept as long as they fit."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.landmark_map.bounded_cache import BoundedCache

Made = list[int]


@pytest.fixture
def made() -> Made:
    """Keys in the order in which their values were made."""
    return []


def cache_of(made: Made, max_bytes: float) -> BoundedCache[int, bytes]:
    """The value of a key is as many bytes."""

    def make(key: int) -> bytes:
        made.append(key)
        return bytes(key)

    return BoundedCache(make, len, max_bytes)


def test_a_value_is_made_once_while_it_fits(made: Made) -> None:
    cache = cache_of(made, 10)
    assert [len(cache[key]) for key in (3, 4, 3, 4, 3)] == [3, 4, 3, 4, 3]
    assert made == [3, 4]
    assert (len(cache), cache.used_bytes) == (2, 7)


def test_what_was_not_asked_for_the_longest_goes_first(made: Made) -> None:
    cache = cache_of(made, 10)
    for key in (3, 4, 3, 5):
        cache[key]
    assert (len(cache), cache.used_bytes) == (2, 8)
    cache[3]
    assert made == [3, 4, 5], "4 had to go, 3 was asked for since"
    cache[4]
    assert made == [3, 4, 5, 4]


def test_the_limit_always_holds(made: Made, random: np.random.Generator) -> None:
    cache = cache_of(made, 50)
    for key in random.integers(0, 40, 500).tolist():
        assert len(cache[key]) == key
        assert cache.used_bytes <= 50


def test_a_value_that_is_too_large_drives_nothing_out(made: Made) -> None:
    cache = cache_of(made, 10)
    cache[4]
    assert len(cache[11]) == len(cache[11]) == 11
    cache[4]
    assert made == [4, 11, 11]
