# SPDX-License-Identifier: Apache-2.0
"""Matching on the device that encodes: keyframes stay there, all are matched in one product, only pairs come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xover_core.config import MatchingSettings
from xover_core.inference.device_descriptors import finest_on
from xover_core.inference.grid_matching import GridMatcher
from xover_core.inference.resident_arrays import ResidentArrays
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.patch_matching import GridShape, PatchPairs
from xover_core.types import Float32Array, PatchFeatures


class TorchViewMatcher:
    """Implements `ViewMatcher` by torch, for the keyframes of one map. Not thread-safe."""

    def __init__(self, settings: MatchingSettings, device: str, cache_mb: float) -> None:
        """Begin with no keyframe on the device.

        Args:
            settings: thresholds.
            device: of torch, such as `cuda:0`.
            cache_mb: for descriptors of keyframes; where it is not enough, those not used for longest are copied again.
        """
        self._device = device
        self._matcher = GridMatcher(settings, device)
        self._resident = ResidentArrays(device, cache_mb)

    @property
    def resident_bytes(self) -> int:
        """Memory that descriptors of keyframes take on the device."""
        return self._resident.num_bytes

    def match(self, query: PatchFeatures, views: Sequence[StoredView]) -> list[PatchPairs]:
        """See `ViewMatcher.match`."""
        descriptors = finest_on(query.descriptors, self._device)
        pairs: dict[int, PatchPairs] = {}
        for grid, rows in _rows_by_grid(views).items():
            resident = [self._resident.take(views[row].keyframe.keyframe_id, _load(views[row])) for row in rows]
            found = self._matcher.match(descriptors, resident, query.grid_shape, grid)
            for row, one in zip(rows, found, strict=True):
                pairs[row] = PatchPairs(rows_a=one.rows_a, rows_b=one.rows_b, similarities=one.similarities)
        return [pairs[row] for row in range(len(views))]


def _load(view: StoredView) -> Callable[[], Float32Array]:
    """What gives a view's descriptors, which are not asked for where they lie on the device already."""
    return lambda: view.descriptors


def _rows_by_grid(views: Sequence[StoredView]) -> dict[GridShape, list[int]]:
    """Which views have a grid of which shape: cameras of one map may differ."""
    rows: dict[GridShape, list[int]] = {}
    for row, view in enumerate(views):
        rows.setdefault(view.keyframe.grid_shape, []).append(row)
    return rows
