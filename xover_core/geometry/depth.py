# SPDX-License-Identifier: Apache-2.0
"""Reading depth maps: metres, and which readings count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

MAX_DEPTH_M = 20.0
"""RGB-D cameras measure nothing beyond."""


def metres_from_raw(raw: NDArray[np.generic], *, depth_scale: float) -> Float32Array:
    """Convert a depth image to float32 metres with 0 for no reading.

    Args:
        raw: (H, W) of any numeric dtype; NaN, infinite and negative values are no readings.
        depth_scale: units per metre (1000 for millimetres, 5000 for TUM RGB-D, 1 for metres).
    """
    metres = np.asarray(raw, dtype=np.float32) / np.float32(depth_scale)
    return np.asarray(np.where(np.isfinite(metres) & (metres > 0), metres, 0), dtype=np.float32)


def sample_depth(depth: Float32Array, pixels: NDArray[np.floating], *, max_depth: float = np.inf) -> Float32Array:
    """Depth at (N, 2) pixels by nearest sample; 0 outside the image, without reading, or beyond `max_depth`.

    Nearest, because averaging across a depth edge makes points that float in the air.
    """
    height, width = depth.shape
    u = np.rint(pixels[:, 0]).astype(np.intp)
    v = np.rint(pixels[:, 1]).astype(np.intp)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    values = depth[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)]
    return np.asarray(np.where(inside & (values <= max_depth), values, 0), dtype=np.float32)


def nearest_pixels(length: int, full_length: int) -> NDArray[np.intp]:
    """(length,) the pixel of a full side that lies nearest to each pixel of the resized one."""
    position = (np.arange(length) + 0.5) * (full_length / length) - 0.5
    return np.asarray(np.clip(np.rint(position), 0, full_length - 1), np.intp)


def valid_share(depth: Float32Array) -> float:
    """Share of pixels with a reading, in [0, 1]."""
    return float(np.count_nonzero(depth > 0)) / max(depth.size, 1)
