# SPDX-License-Identifier: Apache-2.0
"""How similar each keyframe is to a query: by all VLADs at once, or by short vectors first and the best few exactly."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xover_core.landmark_map.keyframe_signatures import StoredSignatures, fit_words
from xover_core.landmark_map.vector_index import index_of
from xover_core.landmark_map.vlad import encode_vlad
from xover_core.localization.keyframe_store import StoredView
from xover_core.types import Float32Array

# Up to so many keyframes, one product with all VLADs takes a few milliseconds.
MAX_EXACT_KEYFRAMES = 1000
# Keyframes of a larger map that the short vectors tell apart from the rest, and the best of those, compared by VLAD.
NUM_SHORTLISTED = 500
NUM_COMPARED = 64


class Views(Protocol):
    """Keyframes by row; see `keyframe_store.ViewStore`."""

    def __len__(self) -> int:
        """Number of keyframes."""
        ...

    def __getitem__(self, row: int) -> StoredView:
        """One of them."""
        ...


class SignatureSearch(Protocol):
    """Compares an image with all keyframes of a map."""

    def similarities(self, descriptors: Float32Array) -> Float32Array:
        """(K,) cosine similarity of each keyframe to an image with (N, D) patch descriptors."""
        ...


class ExactSearch:
    """One product with the VLADs of all keyframes."""

    def __init__(self, words: Float32Array, vlads: Float32Array) -> None:
        """Take (W, D) words and (K, W * D) VLADs made with them."""
        self._words = words
        self._vlads = vlads

    def similarities(self, descriptors: Float32Array) -> Float32Array:
        """(K,) cosine similarity of each keyframe."""
        return self._vlads @ encode_vlad(descriptors, self._words)


class ShortlistSearch:
    """For large maps: exact for the keyframes that matter.

    The others get the similarity of the short vectors, which is a little too low, and those that are not even
    shortlisted the lowest of these.
    """

    def __init__(self, signatures: StoredSignatures) -> None:
        self._signatures = signatures
        self._num_keyframes = len(signatures.coarse)
        self._index = index_of(signatures.coarse, signatures.index_file)

    def similarities(self, descriptors: Float32Array) -> Float32Array:
        """(K,) similarity of each keyframe."""
        vocabulary = self._signatures.vocabulary
        vlad = encode_vlad(descriptors, vocabulary.words)
        coarse, rows = self._index.search(vocabulary.coarse(vlad)[None], NUM_SHORTLISTED)
        found = rows[0] >= 0
        coarse, rows = coarse[0, found], rows[0, found]
        values = np.full(self._num_keyframes, coarse[-1], np.float32)
        values[rows] = coarse
        best = rows[:NUM_COMPARED]
        values[best] = self._signatures.read_vlads(best.tolist()) @ vlad
        return values


def make_search(
    views: Views, signatures: StoredSignatures | None, vocabulary_size: int, rng: np.random.Generator
) -> SignatureSearch:
    """The search that fits the size of a map.

    Args:
        views: of all keyframes.
        signatures: of a map that keeps them.
        vocabulary_size: words, where they are fitted now.
        rng: draws the patches that they are fitted to.
    """
    if signatures is None:
        words = fit_words(lambda row: views[row].descriptors, len(views), vocabulary_size, rng)
        vlads = np.stack([encode_vlad(views[row].descriptors, words) for row in range(len(views))])
        return ExactSearch(words, vlads)
    if len(views) > MAX_EXACT_KEYFRAMES:
        return ShortlistSearch(signatures)
    return ExactSearch(signatures.vocabulary.words, signatures.read_vlads(range(len(views))))
