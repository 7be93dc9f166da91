# SPDX-License-Identifier: Apache-2.0
"""VLAD and its vocabulary against loops and known answers."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.landmark_map.vlad import assign_words, encode_vlad, fit_vocabulary

# float32 sums of some hundred values
TOLERANCE = 1e-5


@pytest.fixture
def blobs(random):
    """(300, 6) points in three well-separated clusters, and their centres."""
    centers = 10 * np.eye(3, 6)
    points = np.repeat(centers, 100, axis=0) + random.normal(scale=0.1, size=(300, 6))
    return points.astype(np.float32), centers


def test_the_vocabulary_finds_separate_clusters(blobs):
    points, centers = blobs
    words = fit_vocabulary(points, 3, np.random.default_rng(1))
    assert words.dtype == np.float32
    np.testing.assert_allclose(words[np.argsort(-words[:, 0] + words[:, 2])], centers, atol=0.05)


def test_words_are_the_means_of_what_is_nearest_to_them(random):
    points = random.normal(size=(500, 4)).astype(np.float32)
    words = fit_vocabulary(points, 8, np.random.default_rng(0))
    nearest = assign_words(points, words)
    assert len(np.unique(nearest)) == 8
    means = np.stack([points[nearest == i].mean(axis=0) for i in range(8)])
    # a fixed number of iterations need not have converged
    assert np.abs(means - words).max() < 0.15


def test_each_descriptor_belongs_to_the_nearest_word(random):
    points, words = random.normal(size=(50, 4)), random.normal(size=(7, 4))
    distances = np.linalg.norm(points[:, None] - words[None], axis=2)
    np.testing.assert_array_equal(
        assign_words(points.astype(np.float32), words.astype(np.float32)), distances.argmin(1)
    )


@pytest.mark.parametrize("count", [1, 2])
def test_there_are_no_more_words_than_descriptors(count, random):
    points = random.normal(size=(count, 4)).astype(np.float32)
    assert fit_vocabulary(points, 64, np.random.default_rng(0)).shape == (count, 4)


def test_identical_descriptors_have_a_vocabulary():
    words = fit_vocabulary(np.ones((20, 4), np.float32), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(words, 1)


def test_vlad_agrees_with_loops(random):
    descriptors, words = random.normal(size=(40, 4)).astype(np.float32), random.normal(size=(5, 4)).astype(np.float32)
    sums = np.zeros((5, 4))
    for descriptor in descriptors:
        word = int(np.argmin(np.linalg.norm(words - descriptor, axis=1)))
        sums[word] += descriptor - words[word]
    sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    expected = (np.sign(sums) * np.sqrt(np.abs(sums))).ravel()
    np.testing.assert_allclose(encode_vlad(descriptors, words), expected / np.linalg.norm(expected), atol=TOLERANCE)


def test_vlad_does_not_depend_on_order_and_has_unit_norm(random):
    descriptors, words = random.normal(size=(40, 4)).astype(np.float32), random.normal(size=(5, 4)).astype(np.float32)
    vector = encode_vlad(descriptors, words)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=TOLERANCE)
    np.testing.assert_allclose(encode_vlad(descriptors[::-1], words), vector, atol=TOLERANCE)


def test_no_descriptors_have_a_vector_of_zeros(random):
    words = random.normal(size=(5, 4)).astype(np.float32)
    vector = encode_vlad(np.zeros((0, 4), np.float32), words)
    assert vector.shape == (20,)
    assert not vector.any()
