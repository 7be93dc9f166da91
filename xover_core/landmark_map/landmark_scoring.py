# SPDX-License-Identifier: Apache-2.0
"""How well a landmark's embedding finds its own patches again: its own smooth AP over the keyframes that see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.landmark_fusion import FusedLandmarks, squared_distances
from xover_core.landmark_map.patch_cloud import Block, PatchCloud
from xover_core.landmark_map.row_precision import precision_measure
from xover_core.types import Float32Array

# Patches that a block's landmarks are ranked against: at most so many near them, which hold all positives and the
# negatives that are easiest to reach by mistake, and so many from anywhere in the same keyframes.
_MAX_NEAR = 2048
_MAX_FAR = 2048


def score_block(
    cloud: PatchCloud,
    block: Block,
    landmarks: FusedLandmarks,
    *,
    radius: float,
    temperature: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Smooth average precision of each landmark of a block (LoCUS, eq. 3), (M,) in [0, 1].

    Args:
        cloud: all patches.
        block: which part of them.
        landmarks: whose seeds lie in the block.
        radius: m; patches within it of a landmark are its positives. Negatives are all other patches of a bounded
            random sample of the keyframes that see the block.
        temperature: of the smooth ranking, in units of similarity; 0 = exact average precision.
        rng: draws the sample.
    """
    if not len(landmarks):
        return np.zeros(0, np.float32)
    sample = _sample_patches(cloud, block, rng)
    similarities = landmarks.embeddings @ cloud.descriptors[sample].astype(np.float32).T
    is_positive = squared_distances(landmarks.positions, cloud.points[sample]) <= radius**2
    return precision_measure(temperature)(similarities, is_positive)


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
