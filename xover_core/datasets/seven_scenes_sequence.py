# SPDX-License-Identifier: Apache-2.0
"""The layout of Microsoft 7-Scenes: `seq-XX/frame-XXXXXX.{color.png,depth.png,pose.txt}`.

Poses are (4, 4) camera to world, depth is in millimetres with 65535 for no reading. There are no time stamps; frames
are taken to be 1/30 s apart, and sequences 1000 s.

See https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from xover_core.datasets.image_file_sequence import FrameFiles, ImageFileSequence, ImageFormat
from xover_core.datasets.intrinsics_file import INTRINSICS_FILE, read_intrinsics
from xover_core.datasets.matrix_file import read_matrix, rigid_pose
from xover_core.datasets.text_rows import read_rows
from xover_core.errors import DatasetError
from xover_core.types import CameraIntrinsics, Mat4

# The default intrinsics that the data set itself recommends.
_INTRINSICS = CameraIntrinsics(fx=585.0, fy=585.0, cx=320.0, cy=240.0, width=640, height=480)
_DEPTH_SCALE = 1000.0
_INVALID_DEPTH = 65535
_FRAMES_PER_SECOND = 30
_SEQUENCE_NS = 1000 * 10**9
_SPLIT_FILES = ("TrainSplit.txt", "TestSplit.txt")


def is_seven_scenes_layout(path: Path) -> bool:
    """Whether `path` is a sequence, a split file, or a scene of this layout."""
    if path.is_dir():
        return any(path.glob("frame-*.color.*")) or any(path.glob("seq-*/frame-*.color.*"))
    return path.name in _SPLIT_FILES


def open_seven_scenes_sequence(path: Path) -> ImageFileSequence:
    """Open one sequence (`chess/seq-01`) or all of a split (`chess/TrainSplit.txt`).

    Frames without a pose file have no pose. A file `intrinsics.txt` in the sequence or scene replaces the default
    camera (585 585 320 240).

    Raises:
        DatasetError: a scene without saying which part of it, a missing file, a wrong pose, or no frames.
    """
    if path.is_file():
        folders = _split_folders(path)
        name = f"{path.resolve().parent.name}/{path.stem}"
    elif any(path.glob("frame-*.color.*")):
        folders, name = [path], "/".join(path.resolve().parts[-2:])
    else:
        raise DatasetError(
            f"{path}: a scene of 7-Scenes holds sequences for mapping and others for testing; give one of them"
            f" ({path / 'seq-01'}) or a split file ({path / _SPLIT_FILES[0]})."
        )
    frames = [frame for folder in folders for frame in _read_folder(folder)]
    return ImageFileSequence(name, frames, _image_format(folders[0]))


def _split_folders(path: Path) -> list[Path]:
    """The folders that a split file names with rows such as `sequence1`."""
    folders = []
    for row in read_rows(path):
        match = re.fullmatch(r"seq(?:uence)?-?(\d+)", row.words[0])
        if match is None:
            raise row.error("'sequence' and a number")
        folder = path.parent / f"seq-{int(match.group(1)):02d}"
        if not folder.is_dir():
            raise row.error(f"a sequence that is there, but there is no folder {folder}")
        folders.append(folder)
    if not folders:
        raise DatasetError(f"{path}: expected a row such as 'sequence1' for each sequence, got an empty file.")
    return folders


def _read_folder(folder: Path) -> list[FrameFiles]:
    """The frames of a sequence."""
    sequence_match = re.search(r"(\d+)$", folder.resolve().name)
    start_ns = (int(sequence_match.group(1)) if sequence_match else 0) * _SEQUENCE_NS
    frames = []
    for color_path in sorted(folder.glob("frame-*.color.*")):
        stem = color_path.name.split(".", maxsplit=1)[0]
        number = stem.removeprefix("frame-")
        if not number.isdecimal():
            raise DatasetError(f"{color_path}: expected a name such as frame-000000.color.png.")
        pose_path = folder / f"{stem}.pose.txt"
        frames.append(
            FrameFiles(
                name=f"{folder.name}/{stem}",
                stamp_ns=start_ns + int(number) * 10**9 // _FRAMES_PER_SECOND,
                color_path=color_path,
                depth_path=folder / f"{stem}.depth.png",
                T_world_camera=_read_pose(pose_path) if pose_path.is_file() else None,
            )
        )
    return frames


def _read_pose(path: Path) -> Mat4 | None:
    """A (4, 4) pose; its rotation is made exactly orthonormal. None for the NaN of lost tracking."""
    matrix = read_matrix(path)
    return None if np.isnan(matrix).any() else rigid_pose(matrix, str(path))


def _image_format(folder: Path) -> ImageFormat:
    """The camera of the sequence's or scene's `intrinsics.txt`, else the default one."""
    for path in (folder / INTRINSICS_FILE, folder.parent / INTRINSICS_FILE):
        if path.is_file():
            given = read_intrinsics(path)
            return ImageFormat(intrinsics=given.intrinsics, depth_scale=given.depth_scale, invalid_raw=_INVALID_DEPTH)
    return ImageFormat(intrinsics=_INTRINSICS, depth_scale=_DEPTH_SCALE, invalid_raw=_INVALID_DEPTH)
