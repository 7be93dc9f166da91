# SPDX-License-Identifier: Apache-2.0
"""Places that were recorded twice: once to be described, once to be recognised."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.scene_protocol_settings import WhichPlaceSettings
from xover_core.geometry.pose_sampling import farthest_poses
from xover_core.types import Float64Array, Mat4, RgbdFrame

MAP_PART, QUERY_PART = "map", "query"
"""Folders of a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPlace:
    """One place.

    Attributes:
        name: in tables; no two places share one.
        mapping: what the place is described from; its frames have poses.
        query: what asks; its poses are not looked at.
    """

    name: str
    mapping: RgbdSequence
    query: RgbdSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedPlace:
    """What the map recording of a place shows.

    Attributes:
        name: of the place.
        scenes: frames of each part of the place, each frame far from those before it.
    """

    name: str
    scenes: tuple[tuple[RgbdFrame, ...], ...]

    @property
    def frames(self) -> tuple[RgbdFrame, ...]:
        """Those of all scenes."""
        return tuple(frame for scene in self.scenes for frame in scene)


def map_place(place: RecordedPlace, settings: WhichPlaceSettings) -> MappedPlace:
    """Split a place into scenes and choose a few frames of each; the recording is read twice.

    Raises:
        DatasetError: no frame of the map recording has a pose.
    """
    poses = {n: item.T_world_camera for n, item in enumerate(place.mapping) if item.T_world_camera is not None}
    if not poses:
        raise DatasetError(
            f"place {place.name}: expected frames with a camera pose in {place.mapping.name}, got none of"
            f" {len(place.mapping)}; a place is described by frames far from each other."
        )
    chosen = _choose_frames(poses, settings)
    frames = _read_frames(place.mapping, {n for scene in chosen for n in scene})
    return MappedPlace(name=place.name, scenes=tuple(tuple(frames[n] for n in scene) for scene in chosen))


def split_by_position(positions: Float64Array, radius: float) -> NDArray[np.int64]:
    """Group cameras around few of them, chosen by farthest-point sampling from the first one on.

    Args:
        positions: (N, 3) metres, N >= 1.
        radius: a camera is at most this far from the one in the middle of its group, m.

    Returns:
        (N,) group of each camera, from 0.
    """
    groups = np.zeros(len(positions), np.int64)
    distances = np.linalg.norm(positions - positions[0], axis=1)
    while distances.max() > radius:
        to_farthest = np.linalg.norm(positions - positions[distances.argmax()], axis=1)
        is_nearer = to_farthest < distances
        groups[is_nearer] = groups.max() + 1
        distances = np.minimum(distances, to_farthest)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _choose_frames(poses: dict[int, Mat4], settings: WhichPlaceSettings) -> list[list[int]]:
    """Numbers of the frames of each scene."""
    numbers, T_world_camera = np.array(list(poses)), np.stack(list(poses.values()))
    groups = split_by_position(T_world_camera[:, :3, 3], settings.scene_radius)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    chosen = [rows[farthest_poses(T_world_camera[rows], settings.views, settings.seed)] for rows in members]
    return [numbers[rows].tolist() for rows in chosen]


def _read_frames(sequence: RgbdSequence, wanted: Collection[int]) -> dict[int, RgbdFrame]:
    """Frames by their number in the recording."""
    return {number: item.frame for number, item in enumerate(sequence) if number in wanted}
