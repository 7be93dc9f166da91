# SPDX-License-Identifier: Apache-2.0
"""The file `intrinsics.txt`: one row `fx fy cx cy width height depth_scale`."""

from __future__ import annotations

from pathlib import Path

from xover_core.datasets.image_file_sequence import ImageFormat
from xover_core.datasets.text_rows import parse_numbers, read_rows
from xover_core.errors import DatasetError, SensorDataError
from xover_core.types import CameraIntrinsics

INTRINSICS_FILE = "intrinsics.txt"
_EXPECTED = "fx fy cx cy width height depth_scale"


def read_intrinsics(path: Path) -> ImageFormat:
    """Read the camera of a recording.

    Raises:
        DatasetError: missing file, another number of values, or values that describe no camera.
    """
    rows = list(read_rows(path))
    if len(rows) != 1 or len(rows[0].words) != len(_EXPECTED.split()):
        raise DatasetError(f"{path}: expected one row {_EXPECTED!r}, got {[' '.join(row.words) for row in rows][:3]}.")
    fx, fy, cx, cy, width, height, depth_scale = parse_numbers(rows[0], 0, 7, _EXPECTED)
    if not depth_scale > 0 or width != int(width) or height != int(height):
        raise rows[0].error(f"{_EXPECTED} with a positive depth_scale and a size in whole pixels")
    try:
        intrinsics = CameraIntrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))
    except SensorDataError as error:
        raise DatasetError(f"{path}: {error}") from error
    if not (0 <= cx < width and 0 <= cy < height):
        raise rows[0].error(f"{_EXPECTED} with the principal point inside of the image")
    return ImageFormat(intrinsics=intrinsics, depth_scale=depth_scale)
