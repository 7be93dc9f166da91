# SPDX-License-Identifier: Apache-2.0
"""Which things, looks and traits an inventory tells apart: those that the training set has often enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.room_wording import COLORS, MATERIALS
from xover_core.datasets.procedural.scene import ObjectClass
from xover_core.types import Float32Array

CLASSES = tuple(kind.name.lower() for kind in ObjectClass)
LOOKS = (*COLORS, *MATERIALS)
UNKNOWN = -1
"""Class or look of what nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingCodes:
    """Class and look of ids.

    Attributes:
        classes: (M,) int64 rows of `CLASSES` by id; `UNKNOWN` for ids that are nothing.
        looks: (M,) int64 rows of `LOOKS` by id; `UNKNOWN` without one.
    """

    classes: NDArray[np.int64]
    looks: NDArray[np.int64]


def codes_of(things: Mapping[int, str]) -> ThingCodes:
    """Codes of the ids of a scan (`SceneScan.things`); other words than those of procedural rooms are unknown."""
    length = 2 + max(things, default=0)
    classes, looks = np.full(length, UNKNOWN, np.int64), np.full(length, UNKNOWN, np.int64)
    for number, name in things.items():
        kind, _, look = name.partition(":")
        classes[number] = CLASSES.index(kind) if kind in CLASSES else UNKNOWN
        looks[number] = LOOKS.index(look) if look in LOOKS else UNKNOWN
    return ThingCodes(classes=classes, looks=looks)


def choose_pairs(scans: Iterable[Iterable[str]], min_scans: int) -> NDArray[np.int64]:
    """(classes * looks) int64: the pair that each class and look belongs to.

    Args:
        scans: names of the things of each, such as `sofa:red`.
        min_scans: rarer pairs belong to the pair of their class alone, which comes first.
    """
    counts = Counter(name for names in scans for name in set(names) if ":" in name)
    pairs = np.repeat(np.arange(len(CLASSES)), len(LOOKS))
    kept = sorted(name for name, number in counts.items() if number >= min_scans)
    for number, name in enumerate(kept):
        kind, _, look = name.partition(":")
        if kind in CLASSES and look in LOOKS:
            pairs[CLASSES.index(kind) * len(LOOKS) + LOOKS.index(look)] = len(CLASSES) + number
    return np.asarray(pairs, np.int64)


@dataclass(frozen=True)
class Traits:
    """Names of K traits, in order."""

    names: Sequence[str]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def __len__(self) -> int:
        """K."""
        return len(self.names)

    def rows(self, names: Iterable[str]) -> list[int]:
        """Rows of those names that are told apart, rising."""
        return sorted(self._rows[name] for name in names if name in self._rows)

    def presence(self, found: Sequence[Iterable[str]]) -> Float32Array:
        """(B, K) 1 where a set has a trait; traits that are not told apart are left out."""
        values = np.zeros((len(found), len(self.names)), np.float32)
        for row, names in enumerate(found):
            values[row, self.rows(names)] = 1
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What is told apart.

    Attributes:
        traits: of rooms.
        kinds: of things in drawings.
    """

    traits: Traits
    kinds: Traits


def choose_traits(rooms: Sequence[Iterable[str]], min_share: float) -> Traits:
    """Those that a share of the rooms has."""
    counts = Counter(name for names in rooms for name in set(names))
    return Traits(sorted(name for name, number in counts.items() if number >= max(1.0, min_share * len(rooms))))
