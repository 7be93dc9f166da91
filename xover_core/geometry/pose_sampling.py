# SPDX-License-Identifier: Apache-2.0
"""Choosing few cameras that look at a place from as many sides as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import quaternion_from_rotation
from xover_core.types import Float64Array


def farthest_poses(T_world_camera: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Choose cameras by farthest-point sampling on position and orientation, as CrossOver does.

    A camera is a point of seven numbers, its position and its quaternion with w >= 0, each scaled to [0, 1] over all
    cameras. The first one is drawn at random, each further one is the farthest from all chosen before.

    Args:
        T_world_camera: (N, 4, 4).
        count: how many at most; at least 1.
        seed: of the draw.

    Returns:
        (min(count, N),) int64 rows in order of choice, each once; none of no cameras.

    Raises:
        GeometryError: not (N, 4, 4), or a count below 1.
    """
    if T_world_camera.ndim != 3 or T_world_camera.shape[1:] != (4, 4) or count < 1:
        raise GeometryError(
            f"cameras to choose from: expected (N, 4, 4) poses and a count of at least 1, got {T_world_camera.shape}"
            f" and {count}."
        )
    if not len(T_world_camera):
        return np.zeros(0, np.int64)
    coordinates = _pose_coordinates(T_world_camera)
    chosen = np.zeros(min(count, len(coordinates)), np.int64)
    chosen[0] = np.random.default_rng(seed).integers(len(coordinates))
    distances = np.full(len(coordinates), np.inf)
    for i in range(1, len(chosen)):
        last = coordinates[chosen[i - 1]]
        distances = np.minimum(distances, np.linalg.norm(coordinates - last, axis=1))
        distances[chosen[i - 1]] = -1.0  # of equal cameras each is still chosen once only
        chosen[i] = np.argmax(distances)
    return chosen


def _pose_coordinates(T_world_camera: NDArray[np.floating]) -> Float64Array:
    """(N, 7) position and quaternion, each number scaled to [0, 1]; one that never changes is 0."""
    quaternions = np.stack([quaternion_from_rotation(pose[:3, :3]) for pose in T_world_camera])
    values = np.concatenate([T_world_camera[:, :3, 3], quaternions], axis=1)
    lowest = values.min(axis=0)
    spans = values.max(axis=0) - lowest
    return np.asarray((values - lowest) / np.where(spans > 0, spans, 1.0), np.float64)
