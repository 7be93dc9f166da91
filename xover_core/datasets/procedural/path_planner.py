# SPDX-License-Identifier: Apache-2.0
"""Where a robot can drive: a 2D grid of free floor, and shortest paths on it that keep away from things."""

from __future__ import annotations

import heapq
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import primitive_corners, primitive_extent
from xover_core.datasets.procedural.scene import ObjectClass, SceneObject
from xover_core.errors import DatasetError
from xover_core.types import Float64Array

CELL = 0.05
_STEPS = tuple((i, j, math.hypot(i, j)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
_COMFORT = 0.5


class DrivableFloor:
    """The floor of an apartment as a grid: distance from each cell to the nearest obstacle.

    An obstacle is any part of an object between `min_z` and `max_z`: what a robot of that height would touch.
    """

    def __init__(self, apartment: Apartment, *, min_z: float = 0.03, max_z: float = 1.3) -> None:
        """Draw all obstacles into the grid."""
        width, depth = apartment.layout.extent
        self._shape = (math.ceil(depth / CELL), math.ceil(width / CELL))
        blocked = np.ones(self._shape, np.uint8)
        for room in apartment.rooms:
            _draw(blocked, room.polygon, 0)
        for opening in apartment.openings:
            if not opening.is_window:
                _draw(blocked, _passage(opening.axis, opening.offset, opening.start, opening.end), 0)
        for scene_object in apartment.objects:
            for outline in _outlines(scene_object, min_z, max_z):
                _draw(blocked, outline, 1)
        self._clearance = cv2.distanceTransform(1 - blocked, cv2.DIST_L2, 5) * CELL

    def clearance(self, x: float, y: float) -> float:
        """Distance to the nearest obstacle, to about a cell; 0 on obstacles and outside."""
        i, j = int(y / CELL), int(x / CELL)
        if not (0 <= i < self._shape[0] and 0 <= j < self._shape[1]):
            return 0.0
        return float(self._clearance[i, j])

    def free_points(self, lower: tuple[float, float], upper: tuple[float, float], radius: float) -> Float64Array:
        """(N, 2) cell centres in a rectangle with at least `radius` to all obstacles."""
        i, j = np.nonzero(self._clearance >= radius)
        points = np.stack([(j + 0.5) * CELL, (i + 0.5) * CELL], axis=1)
        return points[((points >= lower) & (points <= upper)).all(axis=1)]

    def reachable(self, points: Float64Array, start: tuple[float, float], radius: float) -> NDArray[np.bool_]:
        """(N,) which of (N, 2) points a robot of this radius reaches from `start`."""
        _, labels = cv2.connectedComponents((self._clearance >= radius).astype(np.uint8), connectivity=4)
        index = (np.asarray(points) / CELL).astype(np.intp)
        label = labels[int(start[1] / CELL), int(start[0] / CELL)]
        return np.asarray((labels[index[:, 1], index[:, 0]] == label) & (label > 0))

    def find_path(self, start: tuple[float, float], goal: tuple[float, float], radius: float) -> Float64Array:
        """(N, 2) path from start to goal with corners only where needed; A* that prefers the middle of free space.

        Raises:
            DatasetError: there is no way for a robot of this radius.
        """
        source, target = ((int(p[1] / CELL), int(p[0] / CELL)) for p in (start, goal))
        parents = self._search(source, target, radius)
        if parents is None:
            raise DatasetError(
                f"path planner: expected a way from {start} to {goal} for a robot of radius {radius} m, found none;"
                f" choose a smaller radius or other points."
            )
        cells = [target]
        while cells[-1] != source:
            cells.append(parents[cells[-1]])
        points = np.array([((j + 0.5) * CELL, (i + 0.5) * CELL) for i, j in reversed(cells)])
        return self._straighten(points, radius)

    def _search(
        self, source: tuple[int, int], target: tuple[int, int], radius: float
    ) -> dict[tuple[int, int], tuple[int, int]] | None:
        """Parents of the cells on the way; None when the target is not reached."""
        clearance = self._clearance
        costs = {source: 0.0}
        parents: dict[tuple[int, int], tuple[int, int]] = {}
        queue = [(0.0, source)]
        done = set()
        while queue:
            _, cell = heapq.heappop(queue)
            if cell == target:
                return parents
            if cell in done:
                continue
            done.add(cell)
            for di, dj, length in _STEPS:
                new = (cell[0] + di, cell[1] + dj)
                if not (0 <= new[0] < self._shape[0] and 0 <= new[1] < self._shape[1]):
                    continue
                room = float(clearance[new])
                if room < radius and new != target:
                    continue
                cost = costs[cell] + length * (1.0 + 4.0 * max(0.0, _COMFORT - room))
                if cost < costs.get(new, math.inf):
                    costs[new], parents[new] = cost, cell
                    heapq.heappush(queue, (cost + math.hypot(new[0] - target[0], new[1] - target[1]), new))
        return None

    def _straighten(self, points: Float64Array, radius: float) -> Float64Array:
        """Leave out corners as long as the straight line between the rest stays comfortably free."""
        kept = [0]
        while kept[-1] < len(points) - 1:
            here = kept[-1]
            end = here + 1
            for candidate in range(min(here + 40, len(points) - 1), here + 1, -1):
                worst = min(self.clearance(*p) for p in points[here : candidate + 1])
                if self._is_line_free(points[here], points[candidate], max(radius, min(worst, _COMFORT) - CELL)):
                    end = candidate
                    break
            kept.append(end)
        return points[kept]

    def _is_line_free(self, a: Float64Array, b: Float64Array, radius: float) -> bool:
        count = max(2, int(np.hypot(*(b - a)) / (CELL / 2)))
        return all(self.clearance(*(a + t * (b - a))) >= radius for t in np.linspace(0, 1, count))


def _passage(axis: int, offset: float, start: float, end: float) -> Float64Array:
    """(4, 2) floor inside a door opening, through both halves of the wall."""
    low, high = offset - 0.09, offset + 0.09
    corners = [(start, low), (end, low), (end, high), (start, high)]
    return np.array(corners if axis == 0 else [(y, x) for x, y in corners])


def _outlines(scene_object: SceneObject, min_z: float, max_z: float) -> list[Float64Array]:
    """Convex outlines, seen from above, of the parts of an object that are in the way."""
    ignored = (ObjectClass.FLOOR, ObjectClass.CEILING, ObjectClass.WALL, ObjectClass.RUG, ObjectClass.BASEBOARD)
    if scene_object.object_class in ignored:
        return []
    pose = scene_object.T_map_object
    outlines = []
    for primitive in scene_object.primitives:
        lower, upper = primitive_extent(primitive)
        z = scene_object.position[2]
        if lower[2] + z < max_z and upper[2] + z > min_z:
            corners = primitive_corners(primitive) @ pose[:3, :3].T + pose[:3, 3]
            outlines.append(cv2.convexHull(corners[:, :2].astype(np.float32))[:, 0].astype(np.float64))
    return outlines


def _draw(grid: NDArray[np.uint8], polygon: Float64Array, value: int) -> None:
    """Fill a polygon given in metres, to 1/16 of a cell."""
    fixed = np.rint((polygon / CELL - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(grid, fixed, value, lineType=cv2.LINE_8, shift=4)
