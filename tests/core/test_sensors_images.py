# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays: every encoding against hand-made bytes, compressed forms, and what must be refused."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.sensors.compressed_images import encode_compressed_color, encode_compressed_depth
from xover_core.sensors.image_decoding import decode_color, decode_depth, resize_depth_to_color
from xover_core.sensors.messages import RawCompressedImage, RawImage

JPEG_TOLERANCE = 6.0  # grey levels, mean, on a smooth image at quality 95
YUV_TOLERANCE = 3  # grey levels: rounding of the 8-bit colour conversion
MM = 0.001

RGB = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
DEPTH_MM = np.random.default_rng(1).integers(0, 9000, (5, 4)).astype(np.uint16)


def message(encoding: str, pixels: NDArray[np.generic], *, padding: int = 0, is_bigendian: bool = False) -> RawImage:
    """An image message of little-endian pixels, each row followed by `padding` bytes of rubbish but the last."""
    swapped = pixels.astype(pixels.dtype.newbyteorder(">")) if is_bigendian else pixels
    rows = [row.tobytes() for row in swapped]
    return RawImage(
        stamp_ns=1,
        frame_id="camera",
        encoding=encoding,
        height=pixels.shape[0],
        width=pixels.shape[1],
        step=len(rows[0]) + padding,
        is_bigendian=is_bigendian,
        data=(b"\xaa" * padding).join(rows),
    )


def compressed(image_format: str, data: bytes) -> RawCompressedImage:
    return RawCompressedImage(stamp_ns=1, frame_id="camera", format=image_format, data=data)


ALPHA = np.full((5, 4, 1), 7, np.uint8)
COLOR_CASES = {
    "rgb8": RGB,
    "bgr8": RGB[:, :, ::-1],
    "rgba8": np.concatenate([RGB, ALPHA], axis=2),
    "bgra8": np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2),
    "8UC3": RGB[:, :, ::-1],
}


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", COLOR_CASES)
def test_color_encodings(encoding: str, padding: int) -> None:
    decoded = decode_color(message(encoding, COLOR_CASES[encoding], padding=padding))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding: str) -> None:
    decoded = decode_color(message(encoding, RGB[:, :, 0], padding=2))
    np.testing.assert_array_equal(decoded, np.repeat(RGB[:, :, :1], 3, axis=2))


def test_mono16_keeps_the_high_byte() -> None:
    grey16 = RGB[:, :, 0].astype(np.uint16) * 256 + 3
    decoded = decode_color(message("mono16", grey16, is_bigendian=True))
    np.testing.assert_array_equal(decoded[:, :, 1], RGB[:, :, 0])


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv_of_plain_red(encoding: str, order: str) -> None:
    component = {"y": 81, "u": 90, "v": 240}  # red in BT.601, limited range
    row = [component[letter] for letter in order] * 2
    pixels = np.array([row] * 2, np.uint8).reshape(2, 4, 2)
    decoded = decode_color(message(encoding, pixels))
    assert np.abs(decoded.astype(int) - (255, 0, 0)).max() <= YUV_TOLERANCE


@pytest.mark.parametrize("data_type", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_any_buffer_is_taken(data_type: type) -> None:
    raw = message("rgb8", RGB)
    held = RawImage(
        stamp_ns=1,
        frame_id="c",
        encoding="rgb8",
        height=5,
        width=4,
        step=raw.step,
        is_bigendian=False,
        data=data_type(raw.data),
    )
    np.testing.assert_array_equal(decode_color(held), RGB)


def test_decoded_color_does_not_alias_the_message() -> None:
    buffer = bytearray(RGB.tobytes())
    raw = RawImage(
        stamp_ns=1, frame_id="c", encoding="rgb8", height=5, width=4, step=12, is_bigendian=False, data=buffer
    )
    decoded = decode_color(raw)
    buffer[:] = b"\x00" * len(buffer)
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_in_millimetres(is_bigendian: bool, padding: int) -> None:
    raw = message("16UC1", DEPTH_MM, padding=padding, is_bigendian=is_bigendian)
    depth = decode_depth(raw, depth_scale=1000.0)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, DEPTH_MM * MM, rtol=1e-6)


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_float_depth_is_in_metres_and_nan_is_no_reading(is_bigendian: bool) -> None:
    metres = np.array([[1.5, np.nan, np.inf], [-1.0, 0.0, 2.25]], np.float32)
    depth = decode_depth(message("32FC1", metres, is_bigendian=is_bigendian), depth_scale=1000.0)
    np.testing.assert_array_equal(depth, np.array([[1.5, 0, 0], [0, 0, 2.25]], np.float32))


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "", "RGB8", "16UC1"])
def test_unknown_color_encoding_names_the_accepted_ones(encoding: str) -> None:
    with pytest.raises(SensorDataError, match=rf"'{encoding}'.*rgb8, bgr8"):
        decode_color(message(encoding, RGB))


def test_color_as_depth_is_refused() -> None:
    with pytest.raises(SensorDataError, match=r"'rgb8' cannot be used as depth.*16UC1"):
        decode_depth(message("rgb8", RGB), depth_scale=1000.0)


@pytest.mark.parametrize(("step", "height", "width"), [(11, 5, 4), (12, 6, 4), (0, 5, 4), (12, 0, 4), (12, 5, 0)])
def test_sizes_that_do_not_fit_the_data_are_refused(step: int, height: int, width: int) -> None:
    raw = RawImage(
        stamp_ns=1,
        frame_id="c",
        encoding="rgb8",
        height=height,
        width=width,
        step=step,
        is_bigendian=False,
        data=RGB.tobytes(),
    )
    with pytest.raises(SensorDataError, match="step"):
        decode_color(raw)


def smooth_image() -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, 64)
    return np.stack(np.broadcast_arrays(ramp[None, :], ramp[:48, None], 255 - ramp[None, :]), axis=2).astype(np.uint8)


def test_jpeg_round_trip_keeps_the_order_of_channels() -> None:
    rgb = smooth_image()
    decoded = decode_color(compressed("rgb8; jpeg compressed bgr8", encode_compressed_color(rgb, quality=95)))
    assert np.abs(decoded.astype(float) - rgb).mean() < JPEG_TOLERANCE


def test_png_color_is_exact() -> None:
    png = cv2.imencode(".png", RGB[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_color(compressed("png", png)), RGB)


def test_compressed_depth_round_trip_is_exact() -> None:
    message_data = encode_compressed_depth(DEPTH_MM)
    assert message_data[12:16] == b"\x89PNG"
    depth = decode_depth(compressed("16UC1; compressedDepth png", message_data), depth_scale=1000.0)
    np.testing.assert_allclose(depth, DEPTH_MM * MM, rtol=1e-6)


def test_depth_as_plain_png() -> None:
    png = cv2.imencode(".png", DEPTH_MM)[1].tobytes()
    np.testing.assert_allclose(decode_depth(compressed("png", png), depth_scale=500.0), DEPTH_MM / 500.0, rtol=1e-6)


def test_inverse_depth_known_answer() -> None:
    # depth = a / (q - b): with a = 10100 and b = -1009, q = 4041 is 2 m
    png = cv2.imencode(".png", np.array([[4041, 0]], np.uint16))[1].tobytes()
    data = struct.pack("<iff", 0, 10100.0, -1009.0) + png
    depth = decode_depth(compressed("32FC1; compressedDepth", data), depth_scale=1000.0)
    np.testing.assert_allclose(depth, [[2.0, 0.0]], rtol=1e-6)


def encode_inverse_depth(depth: NDArray[np.float32]) -> bytes:
    """What compressed_depth_image_transport publishes for 32FC1 with its default parameters."""
    a, b = 100.0 * 101.0, 1 - 100.0 * 101.0 / 10.0
    is_kept = (depth > 0) & (depth < 10)
    inverse = np.where(is_kept, a / np.where(is_kept, depth, 1) + b, 0)
    png = cv2.imencode(".png", inverse.astype(np.uint16))[1].tobytes()
    return struct.pack("<iff", 0, a, b) + png


def test_inverse_depth_round_trip() -> None:
    depth = np.array([[0.5, 1.0, 4.0], [9.9, 0.0, 12.0]], np.float32)
    data = encode_inverse_depth(depth)
    decoded = decode_depth(compressed("32FC1; compressedDepth png", data), depth_scale=1000.0)
    quantum = depth**2 / 10100  # one unit of inverse depth
    expected = np.where(depth < 10, depth, 0)
    assert (np.abs(decoded - expected) <= np.where(depth < 10, quantum * 1.01 + 1e-6, 0)).all()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\nshort", b"rubbish" * 10])
def test_broken_compressed_color_is_refused(data: bytes) -> None:
    with pytest.raises(SensorDataError, match="cannot be decoded"):
        decode_color(compressed("jpeg", data))


def test_depth_as_jpeg_rvl_or_8_bits_is_refused() -> None:
    jpeg = encode_compressed_color(RGB, quality=90)
    png8 = cv2.imencode(".png", RGB[:, :, 0])[1].tobytes()
    for data, text in ((jpeg, "JPEG would destroy"), (b"\x00" * 40, "accepted are PNG"), (png8, "16 bits")):
        with pytest.raises(SensorDataError, match=text):
            decode_depth(compressed("16UC1; compressedDepth rvl", data), depth_scale=1000.0)


def test_depth_of_half_the_size_is_resized_by_nearest() -> None:
    depth = np.array([[1.0, 2.0], [0.0, 4.0]], np.float32)
    resized = resize_depth_to_color(depth, width=4, height=4)
    np.testing.assert_array_equal(resized, np.repeat(np.repeat(depth, 2, axis=0), 2, axis=1))
    assert resize_depth_to_color(depth, width=2, height=2) is depth


def test_depth_of_another_aspect_is_refused() -> None:
    with pytest.raises(SensorDataError, match="4x3 is not registered to the colour image of 16x9"):
        resize_depth_to_color(np.ones((3, 4), np.float32), width=16, height=9)
