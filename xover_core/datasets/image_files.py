# SPDX-License-Identifier: Apache-2.0
"""Image files: reading one into the project's conventions, and finding those of a folder."""

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
    return decode_color(_read_bytes(path), str(path))


def read_depth(path: Path, *, depth_scale: float, invalid_raw: int | None = None) -> Float32Array:
    """Read a 16-bit single-channel image as (H, W) float32 metres with 0 for no reading.

    Args:
        path: PNG or another lossless format.
        depth_scale: units per metre.
        invalid_raw: a raw value that stands for "no reading" besides 0, for example 65535.

    Raises:
        DatasetError: the file is missing, cannot be decoded, or is not 16-bit with one channel.
    """
    return decode_depth(_read_bytes(path), str(path), depth_scale=depth_scale, invalid_raw=invalid_raw)


def decode_depth(data: bytes, where: str, *, depth_scale: float, invalid_raw: int | None = None) -> Float32Array:
    """Decode an encoded depth image as `read_depth` does; DatasetError naming `where` when it cannot."""
    raw = _decode(data, where, cv2.IMREAD_UNCHANGED)
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise DatasetError(
            f"{where}: expected a depth image with one channel of 16 bits, got {raw.dtype} {raw.shape};"
            " depth saved as 8 bits or in colour has lost its readings, export it again."
        )
    if invalid_raw is not None:
        raw = np.where(raw == invalid_raw, np.uint16(0), raw)
    return metres_from_raw(raw, depth_scale=depth_scale)


def decode_color(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decode an encoded image (JPEG, PNG ...) to (H, W, 3) RGB uint8; DatasetError naming `where` when it cannot."""
    image = _decode(data, where, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def read_labels(path: Path) -> NDArray[np.int32]:
    """Read an image of one channel with 8 or 16 bits as (H, W) numbers.

    Raises:
        DatasetError: the file is missing, cannot be decoded, or has several channels.
    """
    labels = _decode(_read_bytes(path), str(path), cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(
            f"{path}: expected a label image with one channel of 8 or 16 bits, got {labels.dtype} {labels.shape};"
            " images of coloured labels hold no numbers."
        )
    return labels.astype(np.int32)


def index_images(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Image files of a folder by the number in their name, ascending.

    Raises:
        DatasetError: no folder, no image, or a number that occurs twice.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this folder of the recording does not exist; is the recording complete?")
    paths: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or not path.stem.isdecimal():
            continue
        other = paths.setdefault(int(path.stem), path)
        if other is not path:
            raise DatasetError(f"{folder}: {other.name} and {path.name} have the same index; keep one of them.")
    if not paths:
        raise DatasetError(f"{folder}: expected images named by their index ({', '.join(suffixes)}), found none.")
    return dict(sorted(paths.items()))


def _read_bytes(path: Path) -> bytes:
    """The whole file, or DatasetError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the recording complete?") from error


def _decode(data: bytes, where: str, flags: int) -> NDArray[np.generic]:
    """Decode an image, or raise DatasetError."""
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags) if data else None
    if image is None:
        raise DatasetError(
            f"{where}: not an image that OpenCV can decode ({len(data)} bytes); copy or export it again."
        )
    return np.asarray(image)
