# SPDX-License-Identifier: Apache-2.0
"""Settings -> what matches a query with keyframes: the processor, or the GPU that encodes."""

from __future__ import annotations

from collections.abc import Sequence

from xover_core.config import MatchingSettings, XoverSettings
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.patch_matching import PatchPairs, match_patches
from xover_core.localization.view_matcher import ViewMatcher
from xover_core.types import PatchFeatures


class OneByOneMatcher:
    """Implements `ViewMatcher` on the processor, one keyframe after the other."""

    def __init__(self, settings: MatchingSettings) -> None:
        """Take thresholds."""
        self._settings = settings

    def match(self, query: PatchFeatures, views: Sequence[StoredView]) -> list[PatchPairs]:
        """See `ViewMatcher.match`."""
        return [
            match_patches(query.finest, view.descriptors, query.grid_shape, view.keyframe.grid_shape, self._settings)
            for view in views
        ]


def make_view_matcher(settings: XoverSettings) -> ViewMatcher:
    """Make the matcher for the keyframes of one map."""
    return OneByOneMatcher(settings.matching)
