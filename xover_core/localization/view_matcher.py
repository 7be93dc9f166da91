# SPDX-License-Identifier: Apache-2.0
"""Matching a query with many keyframes at once, behind one protocol: on the processor or on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.patch_matching import PatchPairs
from xover_core.types import PatchFeatures


class ViewMatcher(Protocol):
    """Finds the patches of a query in keyframes. Keeps what it needs of keyframes between calls, within a limit."""

    def match(self, query: PatchFeatures, views: Sequence[StoredView]) -> list[PatchPairs]:
        """Match the query with each view, with the similarity threshold and the two continuity conditions.

        Args:
            query: patches of an image, by the encoder that made the views.
            views: keyframes; may be empty.

        Returns:
            One set of pairs for each view, rows_a in the query, rows_b in the view.
        """
        ...
