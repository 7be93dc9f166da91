# SPDX-License-Identifier: Apache-2.0
"""Which colours there are: shares of cells of the Lab space, the same for pixels and for points."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

_CELLS = (8, 10, 10)
_LOW = np.array([0.0, -50.0, -50.0], np.float32)
_HIGH = np.array([100.0, 50.0, 60.0], np.float32)
NUM_COLOR_CELLS = int(np.prod(_CELLS))
"""Length of a histogram."""


def color_histogram(colors: NDArray[np.uint8] | Float32Array) -> Float32Array:
    """(800,) float32 shares of the cells, which sum to 1.

    Args:
        colors: (..., 3) RGB from 0 to 255, at least one.
    """
    rgb = np.ascontiguousarray(colors, np.float32).reshape(-1, 1, 3) / np.float32(255)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[:, 0]
    cell = np.zeros(len(lab), np.int32)
    # one channel after the other: a short last axis takes three times as long
    for values, low, high, cells in zip(lab.T, _LOW, _HIGH, _CELLS, strict=True):
        position = (values - low) / (high - low) * np.float32(cells)
        cell *= cells
        cell += np.clip(position, 0, cells - 1).astype(np.int32)
    counts = np.bincount(cell, minlength=NUM_COLOR_CELLS)
    return np.asarray(counts / len(lab), np.float32)
