# SPDX-License-Identifier: Apache-2.0
"""Finding the files of a data set of scans in the layouts that people keep it in, and what is read of it.

Scans are folders in `scans/` of the root or in the root itself. Files for all scans lie in the root or in `files/`,
those of SceneVerse also in `sceneverse/` there, as CrossOver's own preparation leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xover_core.config import Settings, setting
from xover_core.datasets.text_rows import read_rows
from xover_core.errors import DatasetError

_SCAN_FOLDERS = ("scans", "scenes", "")
_FILE_FOLDERS = ("", "files", "sceneverse", "files/sceneverse")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReadingSettings(Settings):
    """What is read of ScanNet and 3RScan; the defaults are CrossOver's."""

    split: str = setting(
        "", "only scans of this split, for example train, val or test; empty: all scans that are there"
    )
    num_views: int = setting(
        20, "pictures of a scan, chosen as far apart as can be in position and direction; 0 = all", minimum=0
    )
    frame_step: int = setting(
        0, "one frame of this many is a candidate for them; 0 = 5 for ScanNet and 1 for 3RScan", minimum=0
    )
    num_sentences: int = setting(10, "sentences drawn to describe a scan", minimum=0)
    seed: int = setting(0, "of all draws", minimum=0)
    shapenet: str = setting(
        "", "folder of ShapeNetCore.v2 (<category>/<model>/models/); empty: looked for in the root of the data set"
    )
    num_cad_points: int = setting(5000, "points sampled on the CAD model of an object", minimum=1)
    use_label_colors: bool = setting(
        False, "3RScan: colour points by their label, as the released CrossOver does, and not by what the camera saw"
    )


def find_file(root: Path, *names: str) -> Path | None:
    """The first of some files that is there; None when none is."""
    candidates = (root / folder / name for name in names for folder in _FILE_FOLDERS)
    return next((path for path in candidates if path.is_file()), None)


def find_folder(root: Path, *names: str) -> Path | None:
    """The first of some folders that is there; None when none is."""
    candidates = (root / folder / name for name in names for folder in ("", "files"))
    return next((path for path in candidates if path.is_dir()), None)


def scan_folders(root: Path, pattern: str) -> dict[str, Path]:
    """Folders of scans by scan id: those that hold a file of a pattern, in which `*` stands for anything."""
    for folder in _SCAN_FOLDERS:
        found = {path.parent.name: path.parent for path in sorted((root / folder).glob(f"*/{pattern}"))}
        if found:
            return found
    return {}


def choose_scans(folders: dict[str, Path], root: Path, split_ids: tuple[str, ...] | None) -> dict[str, Path]:
    """The folders of the scans to read, in the order of their ids.

    Args:
        folders: by scan id, all that are there.
        root: of the data set, for messages.
        split_ids: only these; None for all. Those that were not downloaded are passed over.

    Raises:
        DatasetError: nothing is left.
    """
    wanted = folders if split_ids is None else {i: folders[i] for i in split_ids if i in folders}
    if not wanted:
        raise DatasetError(
            f"{root}: expected folders of scans"
            f"{'' if split_ids is None else ' of the split'}, got {len(folders)} scans of which none is wanted; is the"
            " path that of the data set's root?"
        )
    return dict(sorted(wanted.items()))


def read_scan_list(path: Path) -> tuple[str, ...]:
    """Scan ids of a text file with one in each line."""
    return tuple(row.words[0] for row in read_rows(path))
