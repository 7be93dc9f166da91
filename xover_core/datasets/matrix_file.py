# SPDX-License-Identifier: Apache-2.0
"""Text files that hold one (4, 4) matrix, as several data sets keep poses and cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xover_core.datasets.text_rows import parse_numbers, read_rows
from xover_core.errors import DatasetError
from xover_core.types import Float64Array, Mat4

_MAX_ROTATION_ERROR = 0.05  # the poses come from tracking and are rounded; beyond this they are no rotation


def read_matrix(path: Path) -> Float64Array:
    """Read a (4, 4) matrix; NaN and infinity are numbers.

    Raises:
        DatasetError: a missing file, or not 4 rows of 4 numbers.
    """
    rows = list(read_rows(path))
    if len(rows) != 4 or any(len(row.words) != 4 for row in rows):
        raise DatasetError(f"{path}: expected a matrix of 4 rows with 4 numbers, got {len(rows)} rows.")
    return np.array([parse_numbers(row, 0, 4, "4 numbers of a matrix") for row in rows])


def rigid_pose(matrix: Float64Array, where: str) -> Mat4:
    """A (4, 4) pose whose rotation is made exactly orthonormal.

    Args:
        matrix: (4, 4), translation in metres.
        where: file and place, for the message.

    Raises:
        DatasetError: numbers that are not finite, or no rotation in the upper left part.
    """
    if not np.isfinite(matrix).all():
        raise DatasetError(f"{where}: expected finite numbers, got {matrix.tolist()}.")
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    rotation = u @ vt
    if np.abs(rotation - matrix[:3, :3]).max() > _MAX_ROTATION_ERROR or np.linalg.det(rotation) < 0:
        raise DatasetError(f"{where}: expected a rotation in the upper left 3x3 part, got {matrix[:3, :3].tolist()}.")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, matrix[:3, 3]
    return pose
