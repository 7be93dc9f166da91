# SPDX-License-Identifier: Apache-2.0
"""Opening a data set of scans of scenes whatever its layout."""

from __future__ import annotations

from pathlib import Path

from xover_core.datasets.scan3r_scans import Scan3rScans, is_scan3r_tree
from xover_core.datasets.scan_file import SCAN_SUFFIX
from xover_core.datasets.scan_folder import ScanFolder
from xover_core.datasets.scan_source import ScanSource
from xover_core.datasets.scan_tree import ScanReadingSettings
from xover_core.datasets.scannet_scans import ScanNetScans, is_scannet_tree
from xover_core.errors import DatasetError


def open_scans(directory: Path, settings: ScanReadingSettings | None = None) -> ScanSource:
    """Open a data set, recognising its layout: scan files of this project, ScanNet or 3RScan.

    Args:
        directory: root of the data set.
        settings: what is read of ScanNet and 3RScan; the defaults when not given. Scan files are taken as they are.

    Raises:
        DatasetError: nothing there, no known layout, or a broken data set.
    """
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no folder with scans there; check the path.")
    if any(directory.glob(f"*{SCAN_SUFFIX}")):
        return ScanFolder(directory)
    if is_scannet_tree(directory):
        return ScanNetScans(directory, settings)
    if is_scan3r_tree(directory):
        return Scan3rScans(directory, settings)
    found = ", ".join(sorted(entry.name for entry in directory.iterdir())[:8])
    raise DatasetError(
        f"{directory}: not a data set of scans that xover knows; looked for *{SCAN_SUFFIX}, ScanNet's"
        " [scans/]<scan>/<scan>_vh_clean_2.ply, and 3RScan's 3RScan.json with"
        f" [scans/]<scan>/labels.instances.annotated.v2.ply; found {found or 'nothing'}."
    )
