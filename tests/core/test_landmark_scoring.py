# SPDX-License-Identifier: Apache-2.0
"""Tests of the score of good and bad landmarks, and of what they are ranked against."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.landmark_map.landmark_fusion import FusedLandmarks
from xover_core.landmark_map.landmark_scoring import _sample_patches, score_block
from xover_core.landmark_map.patch_cloud import Block, PatchCloud


@pytest.mark.parametrize("temperature", [0.0, 0.01])
def test_distinct_landmark_scores_higher_than_a_repeated_one(random: np.random.Generator, temperature: float) -> None:
    """Half of the patches of a wall look alike; one spot looks like nothing else."""
    points = np.zeros((400, 3), np.float32)
    points[:, 0] = np.linspace(0, 20, 400)
    axes = np.where(np.arange(400) % 2, 1, 2)
    axes[100:108] = 3
    cloud = PatchCloud(
        points=points,
        origin_map=np.zeros(3),
        descriptors=np.eye(4, dtype=np.float16)[axes],
        keyframe_ids=np.repeat([1, 2], 200),
        patch_indices=np.arange(400),
    )
    landmarks = FusedLandmarks(
        # the first lies in the middle of the eight patches that look like it
        positions=(points[[103, 300]] + points[[104, 300]]) / 2,
        embeddings=np.eye(4, dtype=np.float32)[[3, 1]],
        offsets=np.array([0, 2, 4]),
        members=np.array([103, 104, 299, 300]),
    )
    rows = np.arange(400)
    block = Block(core=rows, surroundings=rows)
    scores = score_block(cloud, block, landmarks, radius=0.18, temperature=temperature, rng=random)
    assert scores[0] > 0.9
    assert 0 < scores[1] < 0.2
    other = np.random.default_rng(1)
    again = score_block(cloud, block, landmarks, radius=0.18, temperature=temperature, rng=other)
    # a sample of everything is everything, whatever the seed
    np.testing.assert_array_equal(scores, again)


def test_sample_holds_near_patches_and_others_of_the_same_keyframes(random: np.random.Generator) -> None:
    ids = np.repeat([3, 5, 8], [3000, 4000, 3000])
    cloud = PatchCloud(
        points=np.zeros((10_000, 3), np.float32),
        origin_map=np.zeros(3),
        descriptors=np.ones((10_000, 2), np.float16),
        keyframe_ids=ids,
        patch_indices=np.arange(10_000),
    )
    near = np.arange(3000, 3010)
    sample = _sample_patches(cloud, Block(core=near[:5], surroundings=near), random)
    assert np.isin(near, sample).all()
    assert set(ids[sample]) == {5}
    assert len(sample) == len(np.unique(sample)) > 1000
