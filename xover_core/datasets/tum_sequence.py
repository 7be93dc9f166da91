# SPDX-License-Identifier: Apache-2.0
"""The layout of the TUM RGB-D benchmark: `rgb.txt`, `depth.txt`, `groundtruth.txt`.

Rows are `timestamp filename` and `timestamp tx ty tz qx qy qz qw` (camera to world). Colour, depth and poses have
clocks of their own and are associated by time. Depth is in units of 1/5000 m.

See https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xover_core.datasets.image_file_sequence import FrameFiles, ImageFileSequence, ImageFormat
from xover_core.datasets.intrinsics_file import INTRINSICS_FILE, read_intrinsics
from xover_core.datasets.text_rows import parse_pose, parse_stamp_ns, read_rows
from xover_core.errors import DatasetError
from xover_core.sensors.camera_info import Undistorter
from xover_core.sensors.messages import RawCameraInfo
from xover_core.types import Mat4

MAX_DIFFERENCE_NS = 20_000_000  # 0.02 s, as in the benchmark's own associate.py
_DEPTH_SCALE = 5000.0
_COLOR_LIST, _DEPTH_LIST, _POSE_LIST = "rgb.txt", "depth.txt", "groundtruth.txt"
_EXPECTED_IMAGE = "timestamp filename"
_EXPECTED_POSE = "timestamp tx ty tz qx qy qz qw"


@dataclass(frozen=True, slots=True)
class _Calibration:
    """fx, fy, cx, cy and the five plumb_bob coefficients."""

    K: tuple[float, float, float, float]
    D: tuple[float, ...] = ()


# From the benchmark's page on its cameras; the images of freiburg3 were undistorted before publication.
_CALIBRATIONS = {
    "freiburg1": _Calibration((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "freiburg2": _Calibration((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "freiburg3": _Calibration((535.4, 539.2, 320.1, 247.6)),
}
_WIDTH, _HEIGHT = 640, 480


def is_tum_layout(path: Path) -> bool:
    """Whether `path` looks like this layout."""
    return path.is_dir() and (path / _COLOR_LIST).is_file() and (path / _DEPTH_LIST).is_file()


def open_tum_sequence(path: Path) -> ImageFileSequence:
    """Open a sequence of the TUM RGB-D benchmark.

    The camera is known by `freiburg1`, `2` or `3` in the folder's name; a file `intrinsics.txt` (one row `fx fy cx cy
    width height depth_scale`, no distortion) goes before that. Images of freiburg1 and 2 are undistorted. Colour images
    without depth within 0.02 s are left out; frames without a pose within 0.02 s have none, nor have any without
    groundtruth.txt.

    Raises:
        DatasetError: a missing file, a wrong row, an unknown camera, or no colour image with depth.
    """
    image_format = _image_format(path)
    colors, depths = _read_image_list(path / _COLOR_LIST), _read_image_list(path / _DEPTH_LIST)
    poses = _read_poses(path / _POSE_LIST) if (path / _POSE_LIST).is_file() else []
    pose_stamps = [stamp for stamp, _ in poses]
    frames = []
    for color_index, depth_index in associate([stamp for stamp, _ in colors], [stamp for stamp, _ in depths]):
        stamp_ns, color_path = colors[color_index]
        pose_index = _nearest(pose_stamps, stamp_ns)
        frames.append(
            FrameFiles(
                name=color_path.stem,
                stamp_ns=stamp_ns,
                color_path=color_path,
                depth_path=depths[depth_index][1],
                T_world_camera=None if pose_index is None else poses[pose_index][1],
            )
        )
    if not frames:
        raise DatasetError(
            f"{path}: no image of {_COLOR_LIST} has one of {_DEPTH_LIST} within 0.02 s; do the lists belong together?"
        )
    return ImageFileSequence(path.resolve().name, frames, image_format)


def associate(first_ns: Sequence[int], second_ns: Sequence[int]) -> list[tuple[int, int]]:
    """Indices of stamps that belong together: at most 0.02 s apart, each used once, the closest pairs first."""
    order = sorted(range(len(second_ns)), key=second_ns.__getitem__)
    stamps = [second_ns[index] for index in order]
    candidates = []
    for i, stamp_ns in enumerate(first_ns):
        at = bisect_left(stamps, stamp_ns - MAX_DIFFERENCE_NS)
        while at < len(stamps) and stamps[at] <= stamp_ns + MAX_DIFFERENCE_NS:
            candidates.append((abs(stamps[at] - stamp_ns), i, order[at]))
            at += 1
    used_first: set[int] = set()
    used_second: set[int] = set()
    pairs = []
    for _, i, j in sorted(candidates):
        if i not in used_first and j not in used_second:
            used_first.add(i)
            used_second.add(j)
            pairs.append((i, j))
    return sorted(pairs)


def _nearest(stamps_ns: Sequence[int], stamp_ns: int) -> int | None:
    """Index of the nearest of sorted stamps, None when none is within 0.02 s."""
    at = bisect_left(stamps_ns, stamp_ns)
    near = [i for i in (at - 1, at) if 0 <= i < len(stamps_ns) and abs(stamps_ns[i] - stamp_ns) <= MAX_DIFFERENCE_NS]
    return min(near, key=lambda i: abs(stamps_ns[i] - stamp_ns), default=None)


def _read_image_list(path: Path) -> list[tuple[int, Path]]:
    """Stamps and image files of a list."""
    rows = []
    for row in read_rows(path):
        if len(row.words) != 2:
            raise row.error(_EXPECTED_IMAGE)
        rows.append((parse_stamp_ns(row, 0, _EXPECTED_IMAGE), path.parent / row.words[1]))
    if not rows:
        raise DatasetError(f"{path}: expected a row {_EXPECTED_IMAGE!r} for each image, got an empty list.")
    return rows


def _read_poses(path: Path) -> list[tuple[int, Mat4]]:
    """Stamps and poses, sorted by time; rows with NaN are left out."""
    poses = []
    for row in read_rows(path):
        pose = parse_pose(row, 1, _EXPECTED_POSE)
        if pose is not None:
            poses.append((parse_stamp_ns(row, 0, _EXPECTED_POSE), pose))
    return sorted(poses, key=lambda entry: entry[0])


def _image_format(path: Path) -> ImageFormat:
    """The camera, from `intrinsics.txt` or the folder's name."""
    if (path / INTRINSICS_FILE).is_file():
        return read_intrinsics(path / INTRINSICS_FILE)
    found = re.search(r"freiburg[123]", path.resolve().name)
    if found is None:
        raise DatasetError(
            f"{path}: the camera is unknown, because the folder's name has none of {', '.join(_CALIBRATIONS)}; add a"
            f" file {INTRINSICS_FILE} with the row 'fx fy cx cy width height depth_scale' (TUM's depth_scale is 5000)."
        )
    calibration = _CALIBRATIONS[found.group()]
    fx, fy, cx, cy = calibration.K
    info = RawCameraInfo(
        stamp_ns=0,
        frame_id=found.group(),
        width=_WIDTH,
        height=_HEIGHT,
        K=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        D=calibration.D,
        distortion_model="plumb_bob",
    )
    undistorter = Undistorter(info)
    return ImageFormat(intrinsics=undistorter.intrinsics, depth_scale=_DEPTH_SCALE, undistorter=undistorter)
