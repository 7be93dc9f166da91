# SPDX-License-Identifier: Apache-2.0
"""Tests of keyframe images: size, colours, and what is no JPEG."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.errors import MapFormatError
from xover_core.landmark_map.thumbnails import decode_thumbnail, encode_thumbnail

# JPEG of a smooth image at quality 95, grey levels.
JPEG_TOLERANCE = 4


def smooth_image(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    v, u = np.mgrid[0:height, 0:width]
    return np.stack([u * 200 // width, v * 200 // height, np.full_like(u, 90)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "grid_shape", "expected"),
    [
        ((240, 320), (30, 40), (240, 320)),
        ((480, 640), (30, 40), (240, 320)),
        ((720, 1280), (30, 53), (240, 424)),
        ((120, 160), (30, 40), (120, 160)),
    ],
    ids=["as it is", "by half", "another shape", "never enlarged"],
)
def test_size_is_the_encoders(size: tuple[int, int], grid_shape: tuple[int, int], expected: tuple[int, int]) -> None:
    image = decode_thumbnail(encode_thumbnail(smooth_image(*size), grid_shape, quality=90))
    assert image.shape == (*expected, 3)
    assert image.dtype == np.uint8


def test_colours_keep_their_order() -> None:
    image = smooth_image(240, 320)
    again = decode_thumbnail(encode_thumbnail(image, (30, 40), quality=95))
    assert np.abs(again.astype(int) - image).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(MapFormatError, match=f"expected a JPEG, got {len(data)} bytes"):
        decode_thumbnail(data)
