# SPDX-License-Identifier: Apache-2.0
"""Keeping a map within its size: the least useful keyframes and the landmarks of the lowest score go first.

Keyframes may use nine tenths of the budget and landmarks what is left, so that a map that grows to its limit keeps
both. A keyframe's usefulness is how much only it knows (`CovisibilityGraph.usefulness`).
"""

from __future__ import annotations

import numpy as np

from xover_core.landmark_map.covisibility import CovisibilityGraph
from xover_core.landmark_map.landmark_arrays import take_landmarks
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.types import Landmarks

_KEYFRAME_SHARE = 0.9
_BYTES_PER_MB = 1_000_000
# SQLite's pages and the partly filled last page of each block, measured at 1-2 % of the landmarks.
_PAGE_OVERHEAD = 1.03


def trim_keyframes(storage: MapStorage, graph: CovisibilityGraph, budget_mb: float) -> list[int]:
    """Remove keyframes until the rest fits; at least one stays.

    Args:
        storage: open for writing.
        graph: holds the same keyframes; kept in step.
        budget_mb: MB; 0 = no limit.

    Returns:
        Ids of those that were removed.
    """
    removed = []
    allowed = _KEYFRAME_SHARE * budget_mb * _BYTES_PER_MB if budget_mb > 0 else np.inf
    while storage.used_bytes - storage.landmark_bytes > allowed and len(graph) > 1:
        keyframe_id = graph.least_useful()
        storage.remove_keyframes([keyframe_id])
        graph.remove(keyframe_id)
        removed.append(keyframe_id)
    return removed


def trim_landmarks(landmarks: Landmarks, storage: MapStorage, budget_mb: float, *, reserved: int = 0) -> Landmarks:
    """The landmarks of the best score that fit beside the stored keyframes, in the order in which they were.

    Args:
        landmarks: to choose from.
        storage: that they will be stored in.
        budget_mb: MB; 0 = no limit.
        reserved: bytes of what else will be stored.
    """
    if budget_mb == 0 or not len(landmarks):
        return landmarks
    taken = storage.used_bytes - storage.landmark_bytes + reserved * _PAGE_OVERHEAD
    available = budget_mb * _BYTES_PER_MB - taken
    num_observations = np.diff(landmarks.observation_offsets)
    # ids, positions, scores, offsets, embeddings, observations: see map_rows.landmark_row
    sizes = (8 + 24 + 4 + 8 + 2 * landmarks.embeddings.shape[1] + 8 * num_observations) * _PAGE_OVERHEAD
    best_first = np.argsort(-landmarks.scores, kind="stable")
    fits = np.cumsum(sizes[best_first]) <= available
    return take_landmarks(landmarks, np.sort(best_first[fits]))
