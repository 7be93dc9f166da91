# SPDX-License-Identifier: Apache-2.0
"""Matching the patches of an image with descriptors on no grid, such as landmarks, behind one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.config import MatchingSettings
from xover_core.localization.matching_products import FloatMatchingProducts
from xover_core.localization.patch_matching import PatchPairs, argmax_of_columns, select_points
from xover_core.localization.product_threads import ProductThreads
from xover_core.types import Float32Array, PatchFeatures

# Products of more points than this with all patches would be larger than those with a keyframe.
POINTS_PER_PRODUCT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PointBlock:
    """Descriptors that come and go together.

    Attributes:
        key: the same key is the same block for good.
        descriptors: (M, D) of L2 norm at most 1.
    """

    key: int
    descriptors: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some points of a block: its key and the first of them, and their descriptors."""

    key: tuple[int, int]
    descriptors: Float32Array


class PointMatcher(Protocol):
    """Finds the patches of a query among points. Keeps what it needs of blocks between calls, within a limit."""

    def match(self, query: PatchFeatures, blocks: Sequence[PointBlock]) -> PatchPairs:
        """Match by similarity and the first continuity condition.

        Args:
            query: patches of an image.
            blocks: with at least one point together.

        Returns:
            Pairs, rows_b counted through all blocks.
        """
        ...


class ProcessorPointMatcher:
    """Implements `PointMatcher` by NumPy and ONNX Runtime, for the landmarks of one map. Not thread-safe."""

    def __init__(self, settings: MatchingSettings, threads: ProductThreads | None = None) -> None:
        """Make a matcher.

        Args:
            settings: thresholds.
            threads: multiply, for this matcher alone; None: NumPy does, in the caller's thread.
        """
        self._settings = settings
        self._threads = threads or ProductThreads(FloatMatchingProducts(), 1)

    def match(self, query: PatchFeatures, blocks: Sequence[PointBlock]) -> PatchPairs:
        """See `PointMatcher.match`."""
        parts = [part for block in blocks for part in _split(block)]
        products, descriptors = self._threads.products, query.finest

        def find_best(index: int, found: NDArray[Any]) -> tuple[NDArray[np.int64], Float32Array, NDArray[np.int64]]:
            """For each patch the best point and its similarity, for each point the best patch."""
            to_point = found.argmax(axis=1)
            # exact: products of different parts need not be in the same unit
            similarities = np.einsum("nd,nd->n", descriptors, parts[index].descriptors[to_point])
            return to_point, similarities, argmax_of_columns(found)

        ready = [products.of_rows(part.key, part.descriptors) for part in parts]
        best = self._threads.map(products.of_query(descriptors), ready, find_best)
        to_point, similarities, to_patch = (list(each) for each in zip(*best, strict=True))
        starts = np.cumsum([0, *(len(part.descriptors) for part in parts[:-1])])
        winner = np.argmax(similarities, axis=0)
        rows = np.arange(len(winner))
        to_b = np.stack(to_point)[winner, rows] + starts[winner]
        to_a = np.concatenate(to_patch)
        return select_points(to_b, to_a, np.stack(similarities)[winner, rows], query.grid_shape, self._settings)


def _split(block: PointBlock) -> list[_Part]:
    """A block in parts that are small enough for one product; none where it has no points."""
    starts = range(0, len(block.descriptors), POINTS_PER_PRODUCT)
    return [
        _Part(key=(block.key, start), descriptors=block.descriptors[start : start + POINTS_PER_PRODUCT])
        for start in starts
    ]
