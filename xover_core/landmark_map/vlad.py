# SPDX-License-Identifier: Apache-2.0
"""VLAD (Jegou et al., CVPR 2010): one vector for all patches of an image, over a vocabulary of the map's patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

NUM_ITERATIONS = 15


def fit_vocabulary(descriptors: Float32Array, num_words: int, rng: np.random.Generator) -> Float32Array:
    """K-means centres of (N, D) descriptors: (min(num_words, N), D). Empty clusters restart at random descriptors."""
    num_words = min(num_words, len(descriptors))
    words = descriptors[rng.choice(len(descriptors), num_words, replace=False)].copy()
    for _ in range(NUM_ITERATIONS):
        nearest = assign_words(descriptors, words)
        counts = np.bincount(nearest, minlength=num_words)
        words = _sums_of_words(descriptors, nearest, num_words) / np.maximum(counts, 1)[:, None]
        is_empty = counts == 0
        words[is_empty] = descriptors[rng.choice(len(descriptors), int(is_empty.sum()))]
    return np.asarray(words, dtype=np.float32)


def assign_words(descriptors: Float32Array, words: Float32Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(N,) index of the nearest word."""
    return np.asarray((descriptors @ words.T - 0.5 * (words**2).sum(axis=1)).argmax(axis=1))


def encode_vlad(descriptors: Float32Array, words: Float32Array) -> Float32Array:
    """(W * D,) L2-normalised sum of residuals, each word normalised first (Arandjelovic and Zisserman, CVPR 2013).

    Zero for no descriptors.
    """
    nearest = assign_words(descriptors, words)
    residuals = _sums_of_words(descriptors - words[nearest], nearest, len(words))
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    vector = np.sign(residuals) * np.sqrt(np.abs(residuals))
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32).ravel()


def _sums_of_words(vectors: Float32Array, nearest: NDArray[np.intp], num_words: int) -> Float32Array:
    """(W, D) sum of the (N, D) vectors of each word; a product takes a fifth of the time of `np.add.at`."""
    belongs = (nearest == np.arange(num_words)[:, None]).astype(np.float32)
    return np.asarray(belongs @ vectors, np.float32)
