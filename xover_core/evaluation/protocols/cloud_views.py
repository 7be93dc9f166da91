# SPDX-License-Identifier: Apache-2.0
"""Pictures of a coloured point cloud from its middle, looking all around, for descriptors made for pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.scene_encoder import ColoredPoints
from xover_core.types import Float64Array

NUM_DIRECTIONS = 8
_WIDTH, _HEIGHT = 160, 120
# 75 degrees wide, as the cameras of robots are
_FOCAL_PX = _WIDTH / 2 / np.tan(np.deg2rad(75) / 2)
_EYE_HEIGHT, _FLOOR_QUANTILE, _MIN_DEPTH = 1.3, 0.01, 0.2
# Gaps between points are filled from around, the narrow ones first.
_FILL_PX = (3, 7)
# Sums of running means leave rounding where nothing is.
_NOTHING = 1e-4


def render_cloud(cloud: ColoredPoints) -> list[NDArray[np.uint8]]:
    """Eight (120, 160, 3) pictures; what no point covers takes the colour of points around it, or is black."""
    eye = np.median(cloud.points, axis=0).astype(np.float64)
    eye[2] = np.quantile(cloud.points[:, 2], _FLOOR_QUANTILE) + _EYE_HEIGHT
    turns = 2 * np.pi * np.arange(NUM_DIRECTIONS) / NUM_DIRECTIONS
    return [_render(cloud, cloud.points - eye, float(turn)) for turn in turns]


def _render(cloud: ColoredPoints, offsets: Float64Array, turn: float) -> NDArray[np.uint8]:
    """Draw points, far ones first, so that near ones stay."""
    depth = offsets[:, 0] * np.cos(turn) + offsets[:, 1] * np.sin(turn)
    right = offsets[:, 0] * np.sin(turn) - offsets[:, 1] * np.cos(turn)
    order = np.argsort(-depth)
    order = order[depth[order] > _MIN_DEPTH]
    u = np.rint((_WIDTH - 1) / 2 + _FOCAL_PX * right[order] / depth[order]).astype(np.int64)
    v = np.rint((_HEIGHT - 1) / 2 - _FOCAL_PX * offsets[order, 2] / depth[order]).astype(np.int64)
    inside = (u >= 0) & (u < _WIDTH) & (v >= 0) & (v < _HEIGHT)
    picture = np.zeros((_HEIGHT, _WIDTH, 3), np.float32)
    covered = np.zeros((_HEIGHT, _WIDTH), np.float32)
    picture[v[inside], u[inside]] = cloud.colors[order[inside]]
    covered[v[inside], u[inside]] = 1
    for size in _FILL_PX:
        total = cv2.blur(covered, (size, size))
        around = cv2.blur(picture, (size, size)) / np.maximum(total, _NOTHING)[..., None]
        is_gap = (covered == 0) & (total > _NOTHING)
        picture[is_gap], covered[is_gap] = around[is_gap], 1
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
