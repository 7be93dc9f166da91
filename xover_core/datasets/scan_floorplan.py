# SPDX-License-Identifier: Apache-2.0
"""A floorplan of a scan: its walls, and the outlines of its CAD models, seen from above.

CrossOver renders SceneCAD's layout edges and Scan2CAD's models with a light from above. Here walls are dark lines and
furniture is outlined, as in the plans of the procedural apartments, so that all plans of this project look alike. x of
the scan is to the right, y up.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.scene_scan import ScanFloorplan
from xover_core.geometry.transforms import transform_points
from xover_core.types import Float32Array, Float64Array, Mat4

PIXELS_PER_M = 40.0
_MARGIN = 0.4  # m of white around
_WALL_WIDTH_PX = 3
_WALL_COLOR, _FILL_COLOR, _LINE_COLOR = (40, 40, 40), (235, 230, 220), (90, 90, 90)
_MIN_WALL_HEIGHT = 0.3  # m; points of a wall lie above each other, those of its foot or of noise do not
_GAP_PX = 5  # holes up to this width between sampled points are closed
_NOWHERE = 1e6  # m, higher than all walls
_SHIFT = 4  # bits of a pixel's fraction


def read_layout_edges(path: Path, T_scan_mesh: Mat4) -> Float64Array:
    """(E, 2, 3) edges of SceneCAD's layout of a room in the scan's frame.

    Its file has `verts` with y up and `edges` as pairs of their rows.

    Raises:
        DatasetError: the file is missing or another one.
    """
    layout = read_json(path)
    with expecting(path, "SceneCAD's layout with verts and edges"):
        vertices = np.array(layout["verts"], dtype=np.float64).reshape(-1, 3)
        edges = np.array(layout["edges"], dtype=np.int64).reshape(-1, 2)
        points = transform_points(T_scan_mesh, np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1))
        return points[edges]


def draw_scan_floorplan(
    *, edges: Float64Array | None, wall_points: Float32Array, models: list[Float32Array]
) -> ScanFloorplan | None:
    """Draw a plan; None when there are no walls.

    Args:
        edges: (E, 2, 3) of a layout; None when nobody drew one, then walls are where points of them are.
        wall_points: (N, 3) labelled as wall.
        models: (P, 3) points on each CAD model.
    """
    walls = wall_points if edges is None else edges.reshape(-1, 3).astype(np.float32)
    if not len(walls):
        return None
    everything = np.concatenate([walls, *models])[:, :2]
    lower, upper = everything.min(axis=0) - _MARGIN, everything.max(axis=0) + _MARGIN
    width, height = (int(n) for n in np.ceil((upper - lower) * PIXELS_PER_M))
    image = np.full((height, width, 3), 255, np.uint8)
    for points in sorted(models, key=lambda model: float(model[:, 2].max())):
        _draw_model(image, _pixels(points, lower, height))
    if edges is None:
        _draw_wall_points(image, _pixels(wall_points, lower, height), wall_points[:, 2])
    else:
        ends = np.rint(_pixels(edges.reshape(-1, 3), lower, height) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 2, 2)
        cv2.polylines(image, list(ends), False, _WALL_COLOR, _WALL_WIDTH_PX, cv2.LINE_AA, _SHIFT)
    return ScanFloorplan(image=image, pixels_per_m=PIXELS_PER_M)


def _pixels(points: NDArray[np.floating], lower: NDArray[np.floating], height: int) -> Float64Array:
    """(N, 2) pixels (u, v) of points, pixel centres at integers."""
    u = (points[:, 0] - lower[0]) * PIXELS_PER_M - 0.5
    v = height - (points[:, 1] - lower[1]) * PIXELS_PER_M - 0.5
    return np.stack([u, v], axis=1).astype(np.float64)


def _draw_model(image: NDArray[np.uint8], pixels: Float64Array) -> None:
    """The outline of one model, filled."""
    mask = np.zeros(image.shape[:2], np.uint8)
    u, v = np.rint(pixels).astype(np.intp).T
    mask[v, u] = 255
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_GAP_PX, _GAP_PX), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, _FILL_COLOR, cv2.FILLED)
    cv2.drawContours(image, contours, -1, _LINE_COLOR, 1, cv2.LINE_AA)


def _draw_wall_points(image: NDArray[np.uint8], pixels: Float64Array, z: NDArray[np.floating]) -> None:
    """Walls where points of them lie above each other."""
    u, v = np.rint(pixels).astype(np.intp).T
    lowest, highest = np.full(image.shape[:2], _NOWHERE), np.full(image.shape[:2], -_NOWHERE)
    np.minimum.at(lowest, (v, u), z)
    np.maximum.at(highest, (v, u), z)
    kernel = np.ones((3, 3), np.uint8)  # a wall's points fall on either side of it
    mask = (cv2.dilate(highest, kernel) - cv2.erode(lowest, kernel) >= _MIN_WALL_HEIGHT) & (lowest < _NOWHERE)
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_GAP_PX, _GAP_PX), np.uint8))
    image[closed > 0] = _WALL_COLOR
