# SPDX-License-Identifier: Apache-2.0
"""Decoding of uncompressed image messages: encodings, padded rows, byte order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.geometry.depth import metres_from_raw
from xover_core.sensors.messages import RawImage
from xover_core.types import Float32Array

_FLOAT_DEPTH_SCALE = 1.0  # REP 118: floating-point depth is in metres


@dataclass(frozen=True, slots=True)
class _Layout:
    """Memory layout of a pixel, and the OpenCV code that leads to RGB (None: it is RGB or grey already)."""

    dtype: type[np.generic]
    num_channels: int
    conversion: int | None = None


_COLOR_LAYOUTS = {
    "rgb8": _Layout(np.uint8, 3),
    "bgr8": _Layout(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Layout(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Layout(np.uint16, 1, cv2.COLOR_GRAY2RGB),
    # The untyped encodings come from OpenCV, whose order is blue first.
    "8UC1": _Layout(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "uyvy": _Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": _Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": _Layout(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
}
_DEPTH_LAYOUTS = {
    "16UC1": _Layout(np.uint16, 1),
    "mono16": _Layout(np.uint16, 1),
    "32FC1": _Layout(np.float32, 1),
}
COLOR_ENCODINGS = tuple(_COLOR_LAYOUTS)
DEPTH_ENCODINGS = tuple(_DEPTH_LAYOUTS)


def decode_raw_color(image: RawImage) -> NDArray[np.uint8]:
    """An uncompressed colour or grey image as (H, W, 3) RGB uint8, in memory of its own.

    Raises:
        SensorDataError: an encoding that is not in `COLOR_ENCODINGS`, or data that do not fit the size given.
    """
    layout = _layout_of(image, _COLOR_LAYOUTS, "colour")
    pixels = _pixels(image, layout)
    if layout.dtype is np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if layout.conversion is None:
        return pixels.astype(np.uint8, copy=True)
    return np.asarray(cv2.cvtColor(pixels, layout.conversion), dtype=np.uint8)


def decode_raw_depth(image: RawImage, *, depth_scale: float) -> Float32Array:
    """An uncompressed depth image as (H, W) float32 metres, 0 for no reading.

    Args:
        image: 16-bit units or 32-bit metres.
        depth_scale: units per metre of 16-bit images; floating-point ones are in metres always (REP 118).

    Raises:
        SensorDataError: an encoding that is not in `DEPTH_ENCODINGS`, or data that do not fit the size given.
    """
    layout = _layout_of(image, _DEPTH_LAYOUTS, "depth")
    scale = _FLOAT_DEPTH_SCALE if layout.dtype is np.float32 else depth_scale
    return metres_from_raw(_pixels(image, layout), depth_scale=scale)


def _layout_of(image: RawImage, layouts: dict[str, _Layout], kind: str) -> _Layout:
    """The layout of the image's encoding; SensorDataError naming the ones known otherwise."""
    layout = layouts.get(image.encoding)
    if layout is None:
        raise SensorDataError(
            f"{kind} image: encoding {image.encoding!r} cannot be used as {kind}; accepted are {', '.join(layouts)}."
        )
    return layout


def _pixels(image: RawImage, layout: _Layout) -> NDArray[Any]:
    """(H, W) or (H, W, C) pixels in native byte order; a view of the message's data where that is possible."""
    dtype = np.dtype(layout.dtype).newbyteorder(">" if image.is_bigendian else "<")
    row_bytes = image.width * layout.num_channels * dtype.itemsize
    data = np.frombuffer(image.data, dtype=np.uint8)
    needed = (image.height - 1) * image.step + row_bytes
    if min(image.width, image.height) < 1 or image.step < row_bytes or data.size < needed:
        raise SensorDataError(
            f"image: {image.width}x{image.height} {image.encoding} with step {image.step} needs rows of {row_bytes}"
            f" bytes and {max(needed, 0)} bytes in all, got {data.size} bytes; is the message filled in correctly?"
        )
    rows = np.lib.stride_tricks.as_strided(data, (image.height, row_bytes), (image.step, 1), writeable=False)
    pixels: NDArray[Any] = np.ascontiguousarray(rows).view(dtype).astype(layout.dtype, copy=False)
    return pixels if layout.num_channels == 1 else pixels.reshape(image.height, image.width, layout.num_channels)
