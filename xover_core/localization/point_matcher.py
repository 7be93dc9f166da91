# SPDX-License-Identifier: Apache-2.0
"""Matching the patches of an image with descriptors on no grid, such as landmarks, behind one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xover_core.config import MatchingSettings
from xover_core.localization.patch_matching import PatchPairs, match_to_points
from xover_core.types import Float32Array, PatchFeatures


@dataclass(frozen=True, slots=True, kw_only=True)
class PointBlock:
    """Descriptors that come and go together.

    Attributes:
        key: the same key is the same block for good.
        descriptors: (M, D) of L2 norm at most 1.
    """

    key: int
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
    """Implements `PointMatcher` by NumPy."""

    def __init__(self, settings: MatchingSettings) -> None:
        """Take thresholds."""
        self._settings = settings

    def match(self, query: PatchFeatures, blocks: Sequence[PointBlock]) -> PatchPairs:
        """See `PointMatcher.match`."""
        parts = [block.descriptors for block in blocks]
        points = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return match_to_points(query.finest, points, query.grid_shape, self._settings)
