# SPDX-License-Identifier: Apache-2.0
"""A folder of scan files."""

from __future__ import annotations

from pathlib import Path

from xover_core.datasets.scan_file import SCAN_SUFFIX, load_scan
from xover_core.datasets.scene_scan import SceneScan
from xover_core.errors import DatasetError


class ScanFolder:
    """Implements `ScanSource`: the scans of a folder by rising file name, which is their id; listed once."""

    def __init__(self, directory: Path) -> None:
        """List the folder.

        Raises:
            DatasetError: no such folder, or no scan in it.
        """
        self._paths = sorted(path for path in Path(directory).glob(f"*{SCAN_SUFFIX}") if path.is_file())
        if not self._paths:
            raise DatasetError(
                f"scans in {directory}: expected files *{SCAN_SUFFIX}, found none; make some with `xover scenes`."
            )

    def __len__(self) -> int:
        """Number of scans."""
        return len(self._paths)

    @property
    def ids(self) -> tuple[str, ...]:
        """File names without suffix."""
        return tuple(path.name.removesuffix(SCAN_SUFFIX) for path in self._paths)

    def scan(self, index: int) -> SceneScan:
        """Read one scan; its views are read when they are asked for.

        Raises:
            DatasetError: its file is damaged or foreign.
        """
        return load_scan(self._paths[index])
