# SPDX-License-Identifier: Apache-2.0
"""What is known of all keyframes of a map at once, however many there are: ids, scenes and poses as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float64Array, Keyframe, Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeTable:
    """K keyframes; a row is a place in these arrays.

    Attributes:
        keyframe_ids: (K,) int64.
        scene_ids: (K,) int64.
        poses: (K, 4, 4) T_map_camera.
    """

    keyframe_ids: NDArray[np.int64]
    scene_ids: NDArray[np.int64]
    poses: Float64Array

    def __len__(self) -> int:
        """Number of keyframes K."""
        return len(self.keyframe_ids)

    def row_of(self, keyframe_id: int) -> int | None:
        """Row of a keyframe; None when there is none of this id."""
        rows = np.flatnonzero(self.keyframe_ids == keyframe_id)
        return int(rows[0]) if len(rows) else None

    def rows_towards(
        self, T_map_camera: Mat4, *, max_distance: float, max_angle: float, max_views: int
    ) -> NDArray[np.int64]:
        """Rows of keyframes near a pose that look the same way, nearest first.

        Args:
            T_map_camera: (4, 4) the pose.
            max_distance: between the cameras, m.
            max_angle: between the optical axes, rad.
            max_views: so many of the nearest, by distance and angle together, are looked at.
        """
        offsets = self.poses[:, :3, 3] - T_map_camera[:3, 3]
        # most of a large map is far away: what is out of reach twice over comes after all that is within it
        near = np.flatnonzero(np.einsum("ki,ki->k", offsets, offsets) <= (2 * max_distance) ** 2)
        distance = np.linalg.norm(offsets[near], axis=1)
        turn = np.arccos(np.clip(self.poses[near, :3, 2] @ T_map_camera[:3, 2], -1, 1))
        order = np.argsort(distance / max_distance + turn / max_angle, kind="stable")[:max_views]
        is_towards = (distance[order] <= max_distance) & (turn[order] <= max_angle)
        return np.asarray(near[order[is_towards]], np.int64)


def table_of(keyframes: Sequence[Keyframe]) -> KeyframeTable:
    """The table of keyframes that are in memory."""
    return KeyframeTable(
        keyframe_ids=np.array([k.keyframe_id for k in keyframes], np.int64),
        scene_ids=np.array([k.scene_id for k in keyframes], np.int64),
        poses=np.array([k.T_map_camera for k in keyframes], np.float64).reshape(-1, 4, 4),
    )
