# SPDX-License-Identifier: Apache-2.0
"""A point cloud in a file, PLY or NumPy: positions and, where it has them, colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.ply_file import read_ply_vertices
from xover_core.errors import DatasetError
from xover_core.types import Float32Array

# Of points whose colour nobody knows.
UNKNOWN_COLOR = 127
_COLOR_NAMES = ("red", "green", "blue")


def read_cloud(path: Path) -> tuple[Float32Array, NDArray[np.uint8]]:
    """Read a point cloud.

    Args:
        path: a PLY file, or a `.npy` file of (N, 3) positions or (N, 6) positions and colours. Colours are integers up
            to 255, or floats up to 1.

    Returns:
        (N, 3) positions in m and (N, 3) RGB, gray where the file has no colours; points with a position that is not
        finite are left out.

    Raises:
        DatasetError: the file is missing or broken, or has no finite point.
    """
    points, colors = _read_numpy(path) if path.suffix == ".npy" else _read_ply(path)
    is_finite = np.isfinite(points).all(axis=1)
    if not is_finite.any():
        raise DatasetError(f"{path}: expected a point cloud, got {len(points)} points and none of them finite.")
    return points[is_finite].astype(np.float32), _as_bytes(colors[is_finite])


def _read_ply(path: Path) -> tuple[NDArray[np.floating], NDArray[np.generic]]:
    vertices = read_ply_vertices(path)
    points = vertices.columns("x", "y", "z").astype(np.float64)
    if set(_COLOR_NAMES) <= set(vertices.data.dtype.names or ()):
        return points, vertices.columns(*_COLOR_NAMES)
    return points, np.full((len(points), 3), UNKNOWN_COLOR, np.uint8)


def _read_numpy(path: Path) -> tuple[NDArray[np.floating], NDArray[np.generic]]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: cannot be read as a NumPy array: {error}; was it written by numpy.save?"
        ) from error
    is_cloud = isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] in (3, 6)
    if not is_cloud or values.dtype.kind not in "fiu":
        shape = getattr(values, "shape", "several arrays")
        raise DatasetError(
            f"{path}: expected numbers of shape (N, 3) or (N, 6): x y z and red green blue, got {shape}."
        )
    points = values[:, :3].astype(np.float64)
    if values.shape[1] == 6:
        return points, values[:, 3:]
    return points, np.full((len(points), 3), UNKNOWN_COLOR, np.uint8)


def _as_bytes(colors: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Colours as uint8; floats that never exceed 1 are shares."""
    if colors.dtype == np.uint8:
        return np.ascontiguousarray(colors, np.uint8)
    values = np.nan_to_num(np.asarray(colors, np.float64))
    scale = 255.0 if colors.dtype.kind == "f" and values.max(initial=0.0) <= 1.0 else 1.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
