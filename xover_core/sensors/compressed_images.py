# SPDX-License-Identifier: Apache-2.0
"""Compressed image messages: JPEG and PNG colour, and the format of compressed_depth_image_transport.

The latter is a header of 12 bytes (an int32 and two float32, a and b) before a PNG of 16 bits. For 16UC1 the PNG holds
the depth itself; for 32FC1 it holds inverse depth q, with depth = a / (q - b) metres and q = 0 for no reading.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.geometry.depth import metres_from_raw
from xover_core.sensors.messages import ByteData, RawCompressedImage
from xover_core.types import Float32Array

_HEADER = struct.Struct("<iff")
_INVERSE_DEPTH_FORMAT = 0
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode_compressed_color(image: RawCompressedImage) -> NDArray[np.uint8]:
    """A JPEG or PNG message as (H, W, 3) RGB uint8.

    Raises:
        SensorDataError: data that cannot be decoded.
    """
    bgr = _decode(image.data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, image.format)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def decode_compressed_depth(image: RawCompressedImage, *, depth_scale: float) -> Float32Array:
    """A compressedDepth message, or a plain PNG of 16 bits, as (H, W) float32 metres, 0 for no reading.

    Args:
        image: the message.
        depth_scale: units per metre of 16-bit images; 32FC1 comes in metres.

    Raises:
        SensorDataError: RVL or another compression, data that cannot be decoded, or not 16 bits.
    """
    data = np.frombuffer(image.data, dtype=np.uint8)
    has_header = data[: len(_PNG_SIGNATURE)].tobytes() != _PNG_SIGNATURE
    png = data[_HEADER.size :] if has_header else data
    if png[: len(_PNG_SIGNATURE)].tobytes() != _PNG_SIGNATURE:
        raise SensorDataError(
            f"depth image: format {image.format!r} cannot be decoded; accepted are PNG and compressedDepth with PNG"
            " (set the publisher's parameter format to png; JPEG would destroy depth)."
        )
    raw = _decode(png, cv2.IMREAD_UNCHANGED, image.format)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise SensorDataError(f"depth image: expected a PNG with one channel of 16 bits, got {raw.dtype} {raw.shape}.")
    if has_header and image.format.strip().startswith("32FC1"):
        _, a, b = _HEADER.unpack(data[: _HEADER.size].tobytes())
        return _depth_from_inverse(raw, a, b)
    return metres_from_raw(raw, depth_scale=depth_scale)


def encode_compressed_color(rgb: NDArray[np.uint8], *, quality: int) -> bytes:
    """(H, W, 3) RGB uint8 as JPEG of a quality from 1 to 100."""
    is_done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _encoded(is_done, data, "JPEG")


def encode_compressed_depth(depth_mm: NDArray[np.uint16]) -> bytes:
    """(H, W) depth in millimetres as the data of a message with the format `16UC1; compressedDepth png`."""
    is_done, data = cv2.imencode(".png", depth_mm, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return _HEADER.pack(_INVERSE_DEPTH_FORMAT, 0.0, 0.0) + _encoded(is_done, data, "PNG")


def _depth_from_inverse(inverse: NDArray[Any], a: float, b: float) -> Float32Array:
    """Metres from quantised inverse depth, 0 for no reading."""
    with np.errstate(divide="ignore"):
        depth = np.float32(a) / (inverse.astype(np.float32) - np.float32(b))
    return metres_from_raw(np.where(inverse > 0, depth, 0), depth_scale=1.0)


def _decode(data: ByteData, flags: int, described_as: str) -> NDArray[Any]:
    """Decode an image file in memory; SensorDataError when OpenCV cannot."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    image = cv2.imdecode(buffer, flags) if buffer.size else None
    if image is None:
        raise SensorDataError(
            f"compressed image: {buffer.size} bytes of format {described_as!r} cannot be decoded as JPEG or PNG;"
            " was the message cut short?"
        )
    return np.asarray(image)


def _encoded(is_done: bool, data: NDArray[np.uint8], name: str) -> bytes:
    """The bytes that OpenCV made; SensorDataError when it made none."""
    if not is_done:
        raise SensorDataError(f"image: OpenCV could not encode it as {name}.")
    return data.tobytes()
