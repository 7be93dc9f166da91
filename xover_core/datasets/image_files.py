# SPDX-License-Identifier: Apache-2.0
"""Reading one colour or depth image from a file into the project's conventions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError
from xover_core.geometry.depth import metres_from_raw
from xover_core.types import Float32Array


def read_color(path: Path) -> NDArray[np.uint8]:
    """Read an image file of any common format as (H, W, 3) RGB uint8.

    Raises:
        DatasetError: the file is missing or cannot be decoded.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def read_depth(path: Path, *, depth_scale: float, invalid_raw: int | None = None) -> Float32Array:
    """Read a 16-bit single-channel image as (H, W) float32 metres with 0 for no reading.

    Args:
        path: PNG or another lossless format.
        depth_scale: units per metre.
        invalid_raw: a raw value that stands for "no reading" besides 0, for example 65535.

    Raises:
        DatasetError: the file is missing, cannot be decoded, or is not 16-bit with one channel.
    """
    raw = _decode(path, cv2.IMREAD_UNCHANGED)
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise DatasetError(
            f"{path}: expected a depth image with one channel of 16 bits, got {raw.dtype} {raw.shape};"
            " depth saved as 8 bits or in colour has lost its readings, export it again."
        )
    if invalid_raw is not None:
        raw = np.where(raw == invalid_raw, np.uint16(0), raw)
    return metres_from_raw(raw, depth_scale=depth_scale)


def _decode(path: Path, flags: int) -> NDArray[np.generic]:
    """Read and decode an image file, or raise DatasetError."""
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the recording complete?") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise DatasetError(f"{path}: not an image that OpenCV can decode ({data.size} bytes); copy or export it again.")
    return np.asarray(image)
