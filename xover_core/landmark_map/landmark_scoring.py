# SPDX-License-Identifier: Apache-2.0
"""How well a landmark's embedding finds its own patches again: average precision over the keyframes that see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.landmark_fusion import FusedLandmarks, squared_distances
from xover_core.landmark_map.patch_cloud import Block, PatchCloud
from xover_core.types import Float32Array

# Patches that a block's landmarks are ranked against: at most so many near them, which hold all positives and the
# negatives that are easiest to reach by mistake, and so many from anywhere in the same keyframes.
_MAX_NEAR = 2048
_MAX_FAR = 2048


def score_block(
    cloud: PatchCloud, block: Block, landmarks: FusedLandmarks, *, radius: float, rng: np.random.Generator
) -> Float32Array:
    """Average precision of each landmark of a block, (M,) in [0, 1].

    Positives are the patches within `radius` (m) of the landmark, negatives all other patches of a bounded random
    sample of the keyframes that see the block.
    """
    if not len(landmarks):
        return np.zeros(0, np.float32)
    sample = _sample_patches(cloud, block, rng)
    similarities = landmarks.embeddings @ cloud.descriptors[sample].astype(np.float32).T
    is_positive = squared_distances(landmarks.positions, cloud.points[sample]) <= radius**2
    return average_precision(similarities, is_positive)


def average_precision(similarities: Float32Array, is_positive: NDArray[np.bool_]) -> Float32Array:
    """Exact average precision of each row of (M, N) similarities; 0 for a row without positives.

    The mean over the positives of the share of positives among everything ranked up to and including them.
    """
    order = np.argsort(-similarities, axis=1)
    hits = np.take_along_axis(is_positive, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    totals = np.maximum(hits.sum(axis=1), 1)
    return np.asarray((precision * hits).sum(axis=1) / totals, np.float32)


def _sample_patches(cloud: PatchCloud, block: Block, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the cloud near a block and elsewhere in the keyframes that see it, without repetition."""
    near = block.surroundings
    if len(near) > _MAX_NEAR:
        near = rng.choice(near, _MAX_NEAR, replace=False)
    ids = np.unique(cloud.keyframe_ids[block.core])
    starts = np.searchsorted(cloud.keyframe_ids, ids)
    lengths = np.searchsorted(cloud.keyframe_ids, ids, side="right") - starts
    draws = rng.integers(lengths.sum(), size=_MAX_FAR)
    which = np.searchsorted(np.cumsum(lengths), draws, side="right")
    far = starts[which] + draws - (np.cumsum(lengths) - lengths)[which]
    return np.union1d(near, far)
