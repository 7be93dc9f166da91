# SPDX-License-Identifier: Apache-2.0
"""The plain folder layout: `rgb/`, `depth/`, `poses.txt`, `intrinsics.txt`.

`poses.txt` has one row `index timestamp tx ty tz qx qy qz qw` a frame: camera to world, optical frame, metres, seconds.
The pose may be left out or NaN where it is unknown. Rows may come in any order and indices may have gaps. Images
are named by their index, with any number of leading zeros.
"""

from __future__ import annotations

import logging
from pathlib import Path

from xover_core.datasets.image_file_sequence import FrameFiles, ImageFileSequence
from xover_core.datasets.image_files import index_images
from xover_core.datasets.intrinsics_file import INTRINSICS_FILE, read_intrinsics
from xover_core.datasets.text_rows import TextRow, parse_pose, parse_stamp_ns, read_rows
from xover_core.errors import DatasetError

_LOGGER = logging.getLogger(__name__)

COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png",)
_POSES_FILE = "poses.txt"
_EXPECTED = "index timestamp tx ty tz qx qy qz qw"


def is_folder_layout(path: Path) -> bool:
    """Whether `path` looks like this layout."""
    return path.is_dir() and (path / "rgb").is_dir() and (path / _POSES_FILE).is_file()


def open_folder_sequence(path: Path) -> ImageFileSequence:
    """Open a recording in the plain folder layout.

    Raises:
        DatasetError: a missing or empty part, a wrong row, an index that occurs twice.
    """
    image_format = read_intrinsics(path / INTRINSICS_FILE)
    color_paths = index_images(path / "rgb", COLOR_SUFFIXES)
    depth_paths = index_images(path / "depth", DEPTH_SUFFIXES)
    frames: dict[int, FrameFiles] = {}
    for row in read_rows(path / _POSES_FILE):
        index = _parse_index(row)
        if index in frames:
            raise row.error(f"each index once ({index} occurs twice)")
        frames[index] = _frame_files(row, index, color_paths, depth_paths)
    if not frames:
        raise DatasetError(f"{path / _POSES_FILE}: expected a row {_EXPECTED!r} for each frame, got an empty file.")
    num_unnamed = len(color_paths.keys() - frames.keys())
    if num_unnamed:
        _LOGGER.warning("recording %s: %d images have no row in %s and are left out", path, num_unnamed, _POSES_FILE)
    return ImageFileSequence("/".join(path.resolve().parts[-2:]), list(frames.values()), image_format)


def _parse_index(row: TextRow) -> int:
    """The frame index at the start of a row; DatasetError when it is no whole number."""
    if not row.words[0].isdecimal() or len(row.words) not in (2, 9):
        raise row.error(f"{_EXPECTED!r} or, for an unknown pose, 'index timestamp'")
    return int(row.words[0])


def _frame_files(row: TextRow, index: int, color_paths: dict[int, Path], depth_paths: dict[int, Path]) -> FrameFiles:
    """The frame that a row names; DatasetError when one of its images is missing."""
    for kind, paths in (("colour", color_paths), ("depth", depth_paths)):
        if index not in paths:
            raise row.error(f"a {kind} image with index {index} in {next(iter(paths.values())).parent}")
    return FrameFiles(
        name=color_paths[index].stem,
        stamp_ns=parse_stamp_ns(row, 1, _EXPECTED),
        color_path=color_paths[index],
        depth_path=depth_paths[index],
        T_world_camera=parse_pose(row, 2, _EXPECTED) if len(row.words) == 9 else None,
    )
