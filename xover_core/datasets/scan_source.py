# SPDX-License-Identifier: Apache-2.0
"""Where scans of scenes come from."""

from __future__ import annotations

from typing import Protocol

from xover_core.datasets.scene_scan import SceneScan


class ScanSource(Protocol):
    """Scans of scenes by index; a scan is read when it is asked for."""

    def __len__(self) -> int:
        """Number of scans."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, in the order of their indices."""
        ...

    def scan(self, index: int) -> SceneScan:
        """One scan."""
        ...
