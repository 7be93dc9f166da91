# SPDX-License-Identifier: Apache-2.0
"""The landmarks of a map scene by scene, so that a search needs those around it only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from xover_core.landmark_map.landmark_arrays import take_landmarks
from xover_core.types import Landmarks


class LandmarkBlocks(Protocol):
    """Landmarks by scene, in memory or in a file."""

    def __len__(self) -> int:
        """Number of all landmarks."""
        ...

    @property
    def counts(self) -> Mapping[int, int]:
        """How many landmarks each scene has; only scenes that have some."""
        ...

    def of_scene(self, scene_id: int) -> Landmarks:
        """The landmarks of one of these scenes."""
        ...

    def all(self) -> Landmarks:
        """All landmarks."""
        ...


class ResidentBlocks:
    """Implements `LandmarkBlocks` for landmarks that are in memory."""

    def __init__(self, landmarks: Landmarks) -> None:
        self._landmarks = landmarks
        ids, counts = np.unique(landmarks.scene_ids, return_counts=True)
        self._counts = dict(zip(ids.tolist(), counts.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self._landmarks)

    @property
    def counts(self) -> Mapping[int, int]:
        """How many landmarks each scene has; only scenes that have some."""
        return self._counts

    def of_scene(self, scene_id: int) -> Landmarks:
        """The landmarks of one of these scenes."""
        return take_landmarks(self._landmarks, np.flatnonzero(self._landmarks.scene_ids == scene_id))

    def all(self) -> Landmarks:
        """All landmarks."""
        return self._landmarks
