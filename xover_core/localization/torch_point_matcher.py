# SPDX-License-Identifier: Apache-2.0
"""Matching landmarks on the device that encodes: they stay there, and only pairs come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xover_core.config import MatchingSettings
from xover_core.inference.device_descriptors import finest_on
from xover_core.inference.grid_matching import GridMatcher
from xover_core.inference.resident_arrays import ResidentArrays
from xover_core.localization.patch_matching import PatchPairs
from xover_core.localization.point_matcher import PointBlock
from xover_core.types import Float32Array, PatchFeatures


class TorchPointMatcher:
    """Implements `PointMatcher` by torch, for the landmarks of one map. Not thread-safe."""

    def __init__(self, settings: MatchingSettings, device: str, cache_mb: float) -> None:
        """Begin with no landmark on the device.

        Args:
            settings: thresholds.
            device: of torch, such as `cuda:0`.
            cache_mb: for descriptors of blocks; where it is not enough, those not used for longest are copied again.
        """
        self._device = device
        self._matcher = GridMatcher(settings, device)
        self._resident = ResidentArrays(device, cache_mb)

    def match(self, query: PatchFeatures, blocks: Sequence[PointBlock]) -> PatchPairs:
        """See `PointMatcher.match`."""
        resident = [self._resident.take(block.key, _load(block)) for block in blocks]
        found = self._matcher.match_points(finest_on(query.descriptors, self._device), resident, query.grid_shape)
        return PatchPairs(rows_a=found.rows_a, rows_b=found.rows_b, similarities=found.similarities)


def _load(block: PointBlock) -> Callable[[], Float32Array]:
    return lambda: block.descriptors
