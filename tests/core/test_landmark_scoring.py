# SPDX-License-Identifier: Apache-2.0
"""Tests of average precision against its definition, and of the score of good and bad landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.landmark_map.landmark_fusion import FusedLandmarks
from xover_core.landmark_map.landmark_scoring import _sample_patches, average_precision, score_block
from xover_core.landmark_map.patch_cloud import Block, PatchCloud

# Sums of some hundred float32 shares.
TOLERANCE = 1e-5


@pytest.mark.parametrize(
    ("similarities", "labels", "expected"),
    [
        ([0.9, 0.8, 0.1], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.1], [0, 0, 1], 1 / 3),
        ([0.9, 0.8, 0.1], [1, 0, 1], (1 + 2 / 3) / 2),
        ([0.1, 0.9, 0.8], [1, 1, 0], (1 + 2 / 3) / 2),
        ([0.5, 0.4], [0, 0], 0.0),
        ([0.3], [1], 1.0),
    ],
)
def test_known_rankings(similarities: list[float], labels: list[int], expected: float) -> None:
    ap = average_precision(np.array([similarities], np.float32), np.array([labels], bool))
    assert ap == pytest.approx([expected], abs=TOLERANCE)


def test_rows_against_the_definition(random: np.random.Generator) -> None:
    similarities = random.normal(size=(20, 300)).astype(np.float32)
    labels = random.random((20, 300)) < 0.1
    expected = []
    for values, is_positive in zip(similarities, labels, strict=True):
        shares = [is_positive[values >= value].mean() for value in values[is_positive]]
        expected.append(np.mean(shares))
    np.testing.assert_allclose(average_precision(similarities, labels), expected, atol=TOLERANCE)


def test_nothing_to_rank() -> None:
    assert average_precision(np.zeros((2, 0), np.float32), np.zeros((2, 0), bool)).tolist() == [0, 0]
    assert average_precision(np.zeros((0, 4), np.float32), np.zeros((0, 4), bool)).shape == (0,)


def test_distinct_landmark_scores_higher_than_a_repeated_one(random: np.random.Generator) -> None:
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
    scores = score_block(cloud, block, landmarks, radius=0.18, rng=random)
    assert scores[0] > 0.9
    assert 0 < scores[1] < 0.2
    again = score_block(cloud, block, landmarks, radius=0.18, rng=np.random.default_rng(1))
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
