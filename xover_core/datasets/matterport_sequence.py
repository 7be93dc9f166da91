# SPDX-License-Identifier: Apache-2.0
"""The layout of Matterport3D's undistorted images, one scan (a building) a recording.

`undistorted_camera_parameters/<scan>.conf` has a row `intrinsics_matrix` (nine numbers) for the rows `scan` after it,
each `depth_file colour_file` and a (4, 4) camera-to-world matrix in sixteen numbers. Their camera looks along -z with y
up, and their images begin at the bottom; both are turned to the conventions of this project here. Depth is in units of
1/4000 m. Holes are not filled: depth is 0 there.

See https://github.com/niessner/Matterport/blob/master/data_organization.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xover_core.config import Settings, setting
from xover_core.datasets.image_file_sequence import FrameFiles, ImageFileSequence, ImageFormat
from xover_core.datasets.image_files import read_color
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.datasets.text_rows import TextRow, parse_numbers, read_rows
from xover_core.errors import DatasetError, SensorDataError
from xover_core.types import CameraIntrinsics, Float64Array

_DEPTH_SCALE = 4000.0
_MIN_DEPTH = 0.01  # m, as in LoCUS; its upper limit of 20 m is beyond what 16 bits hold, 16.4 m
_FRAME_NS = 10**9  # there are no time stamps, and the camera stands still for each image
_PARAMETERS = "undistorted_camera_parameters"
_COLOR, _DEPTH = "undistorted_color_images", "undistorted_depth_images"
_HORIZONTAL_CAMERA = 1
# <panorama>_i<camera>_<yaw>.jpg; of the three cameras the middle one looks flat, the others up and down
_IMAGE_NAME = re.compile(r"_i(?P<camera>\d)_\d\.\w+$")
_EXPECTED_SCAN = "'scan depth_file colour_file' and 16 numbers of a pose"
_EXPECTED_INTRINSICS = "'intrinsics_matrix' and 9 numbers: fx 0 cx 0 fy cy 0 0 1"
# OpenCV's camera (y down, looks along +z) in theirs (y up, looks along -z): p_theirs = T @ p_ours.
_T_THEIRS_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class MatterportSettings(Settings):
    """Which images of a scan are read."""

    horizontal_only: bool = setting(True, "only the camera that looks flat, not those that look up and down")
    min_valid_depth: float = setting(
        0.5, "an image with a smaller share of depth readings is left out", minimum=0.0, maximum=1.0
    )


def is_matterport_layout(path: Path) -> bool:
    """Whether `path` looks like a scan of this layout."""
    return path.is_dir() and (_scan_folder(path) / _PARAMETERS).is_dir()


def open_matterport_sequence(path: Path, settings: MatterportSettings | None = None) -> ImageFileSequence:
    """Open the images of a scan, in the order of its `.conf` file; stamps are 1 s apart.

    Args:
        path: folder of the scan, or the one around it that unpacking leaves (`<scan>/<scan>/undistorted_...`).
        settings: which images; the defaults when not given.

    Raises:
        DatasetError: a missing file, a wrong row, or no image that the settings let through.
    """
    settings = settings or MatterportSettings()
    folder = _scan_folder(path)
    parameters = _parameter_file(folder)
    rows = _read_scan_rows(parameters)
    chosen = [row for row in rows if not settings.horizontal_only or row.camera == _HORIZONTAL_CAMERA]
    if not chosen:
        raise DatasetError(
            f"{parameters}: expected images of the horizontal camera (..._i1_0.jpg), got {len(rows)} others."
        )
    # all images of the data set have one size
    height, width = read_color(folder / _COLOR / chosen[0].color_name).shape[:2]
    frames = [_frame_files(folder, row, number, width, height) for number, row in enumerate(chosen)]
    image_format = ImageFormat(
        intrinsics=chosen[0].intrinsics(width, height),
        depth_scale=_DEPTH_SCALE,
        min_depth=_MIN_DEPTH,
        min_valid_depth=settings.min_valid_depth,
    )
    return ImageFileSequence(parameters.stem, frames, image_format)


def scans_of_split(root: Path, split: str) -> list[Path]:
    """Folders of the scans that a published list names.

    The lists aren't part of the images; put the one to be used into `root`, as `scenes_<split>.txt` (its name in
    Matterport3D's repository) or `<split>_scenes.txt` (in LoCUS' repository). Empty lines and repeated names are passed
    over.

    Args:
        root: folder with a folder for each scan.
        split: for example "train", "val" or "test".

    Raises:
        DatasetError: no list, an empty one, or a scan that isn't there.
    """
    names = (f"scenes_{split}.txt", f"{split}_scenes.txt")
    found = [root / name for name in names if (root / name).is_file()]
    if not found:
        raise DatasetError(f"{root}: expected {' or '.join(names)}, found neither; docs/recordings.md says where from.")
    scans = list(dict.fromkeys(word for row in read_rows(found[0]) for word in row.words))
    missing = [scan for scan in scans if not is_matterport_layout(root / scan)]
    if not scans or missing:
        raise DatasetError(
            f"{found[0]}: expected the name of a folder with {_PARAMETERS} in each line, got"
            f" {', '.join(missing[:5]) or 'an empty file'}{' ...' if len(missing) > 5 else ''}; download these scans or"
            " take them out of the list."
        )
    return [root / scan for scan in scans]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScanRow:
    """A row `scan` with the `intrinsics_matrix` that holds for it.

    Attributes:
        row: for messages.
        K: (3, 3), origin at the bottom left.
        color_name: file name.
        depth_name: file name.
        camera: 0 to 2 by the file name, -1 when it does not say.
    """

    row: TextRow
    K: Float64Array
    color_name: str
    depth_name: str
    camera: int

    def intrinsics(self, width: int, height: int) -> CameraIntrinsics:
        """The camera with its origin at the top left; DatasetError when it is none."""
        K = self.K
        try:
            # rows counted from the bottom: v = height - 1 - v_bottom
            return CameraIntrinsics(
                fx=K[0, 0], fy=K[1, 1], cx=K[0, 2], cy=height - 1 - K[1, 2], width=width, height=height
            )
        except SensorDataError as error:
            raise DatasetError(f"{self.row.path} line {self.row.line_number}: {error}") from error


def _scan_folder(path: Path) -> Path:
    """The folder that holds the images: `path`, or the one of the same name in it."""
    inner = path / path.resolve().name
    return inner if (inner / _PARAMETERS).is_dir() else path


def _parameter_file(folder: Path) -> Path:
    """The only `.conf` file; DatasetError when there are none or several."""
    files = sorted((folder / _PARAMETERS).glob("*.conf"))
    if len(files) != 1:
        raise DatasetError(f"{folder / _PARAMETERS}: expected one file <scan>.conf, found {len(files)}.")
    return files[0]


def _read_scan_rows(path: Path) -> list[_ScanRow]:
    """All rows `scan` of a parameter file; other rows are passed over."""
    K: Float64Array | None = None
    rows = []
    for row in read_rows(path):
        if row.words[0] == "intrinsics_matrix":
            K = np.array(parse_numbers(row, 1, 9, _EXPECTED_INTRINSICS)).reshape(3, 3)
        elif row.words[0] == "scan":
            if K is None or len(row.words) != 19:
                raise row.error(f"{_EXPECTED_SCAN}, after a row {_EXPECTED_INTRINSICS}")
            match = _IMAGE_NAME.search(row.words[2])
            camera = int(match["camera"]) if match else -1
            rows.append(_ScanRow(row=row, K=K, depth_name=row.words[1], color_name=row.words[2], camera=camera))
    return rows


def _frame_files(folder: Path, scan: _ScanRow, number: int, width: int, height: int) -> FrameFiles:
    """Files, pose and camera of a row."""
    row = scan.row
    T_world_theirs = np.array(parse_numbers(row, 3, 16, _EXPECTED_SCAN)).reshape(4, 4)
    return FrameFiles(
        name=Path(scan.color_name).stem,
        stamp_ns=number * _FRAME_NS,
        color_path=folder / _COLOR / scan.color_name,
        depth_path=folder / _DEPTH / scan.depth_name,
        T_world_camera=rigid_pose(T_world_theirs, f"{row.path} line {row.line_number}") @ _T_THEIRS_CAMERA,
        intrinsics=scan.intrinsics(width, height),
    )
