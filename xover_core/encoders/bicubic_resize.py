# SPDX-License-Identifier: Apache-2.0
"""Bicubic resizing that averages where it shrinks, as Pillow does it; OpenCV's takes samples and leaves the rest."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

# Of Pillow's cubic.
_SHARPNESS = -0.5
_REACH = 2.0


def resize_bicubic(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize both sides, one after the other.

    Args:
        image: (H, W, C).
        height: of the result, px.
        width: of the result, px.
    """
    rows, cols = _weights(image.shape[0], height), _weights(image.shape[1], width)
    # Pillow rounds in between, too
    narrow = _round(np.einsum("xw,hwc->hxc", cols, image, optimize=True))
    return _round(np.einsum("yh,hxc->yxc", rows, narrow, optimize=True))


def _round(values: Float32Array) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _weights(length: int, new_length: int) -> Float32Array:
    """(new_length, length): share of each pixel in each new one; rows sum to 1."""
    factor = length / new_length
    stretch = max(factor, 1.0)
    centers = (np.arange(new_length) + 0.5) * factor
    distances = np.abs(np.arange(length) + 0.5 - centers[:, None]) / stretch
    weights = np.where(distances < _REACH, _cubic(distances), 0.0)
    shares: Float32Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    shares.flags.writeable = False
    return shares


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution kernel at distances of 0 to 2 pixels."""
    inner = ((_SHARPNESS + 2) * distance - (_SHARPNESS + 3)) * distance**2 + 1
    outer = _SHARPNESS * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance < 1, inner, outer)
