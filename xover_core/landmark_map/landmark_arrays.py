# SPDX-License-Identifier: Apache-2.0
"""Taking landmarks apart and putting them together: they are parallel arrays with observations of varying number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Landmarks


def empty_landmarks(descriptor_dim: int, radius: float) -> Landmarks:
    """Landmarks with M = 0."""
    return Landmarks(
        landmark_ids=np.zeros(0, np.int64),
        scene_ids=np.zeros(0, np.int64),
        positions_map=np.zeros((0, 3)),
        radius=radius,
        embeddings=np.zeros((0, descriptor_dim), np.float16),
        scores=np.zeros(0, np.float32),
        observation_offsets=np.zeros(1, np.int64),
        observations=np.zeros((0, 2), np.int64),
    )


def take_landmarks(landmarks: Landmarks, rows: NDArray[np.int64]) -> Landmarks:
    """The landmarks at the given rows, in that order, with their observations."""
    counts = np.diff(landmarks.observation_offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    starts = np.repeat(landmarks.observation_offsets[:-1][rows] - offsets[:-1], counts)
    return Landmarks(
        landmark_ids=landmarks.landmark_ids[rows],
        scene_ids=landmarks.scene_ids[rows],
        positions_map=landmarks.positions_map[rows],
        radius=landmarks.radius,
        embeddings=landmarks.embeddings[rows],
        scores=landmarks.scores[rows],
        observation_offsets=offsets,
        observations=landmarks.observations[np.arange(offsets[-1]) + starts],
    )


def concatenate_landmarks(parts: Sequence[Landmarks]) -> Landmarks:
    """Join landmarks of the same radius; at least one part."""
    sizes = np.cumsum([0] + [len(part.observations) for part in parts])
    offsets = [part.observation_offsets[1:] + start for part, start in zip(parts, sizes, strict=False)]
    return Landmarks(
        landmark_ids=np.concatenate([part.landmark_ids for part in parts]),
        scene_ids=np.concatenate([part.scene_ids for part in parts]),
        positions_map=np.concatenate([part.positions_map for part in parts]),
        radius=parts[0].radius,
        embeddings=np.concatenate([part.embeddings for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        observation_offsets=np.concatenate([np.zeros(1, np.int64), *offsets]),
        observations=np.concatenate([part.observations for part in parts]),
    )
