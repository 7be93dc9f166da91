# SPDX-License-Identifier: Apache-2.0
"""The search of large maps against that of small ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from xover_core.landmark_map import keyframe_signatures
from xover_core.landmark_map.keyframe_signatures import Vocabulary, make_vocabulary
from xover_core.landmark_map.vector_index import IndexFile
from xover_core.landmark_map.vlad import encode_vlad
from xover_core.localization import signature_search
from xover_core.localization.signature_search import ExactSearch, ShortlistSearch
from xover_core.types import Float32Array

NUM_PLACES, VIEWS, PATCHES, DIM = 60, 5, 80, 16
# Products of up to 256 float32 numbers, summed in another order.
TOLERANCE = 1e-5
# A quarter of the dimensions is left; 0.09 measured.
MAX_LOSS = 0.12


class Signatures:
    """Implements `StoredSignatures` in memory."""

    def __init__(self, vocabulary: Vocabulary, vlads: Float32Array, index_file: IndexFile) -> None:
        self.vocabulary = vocabulary
        self.coarse = vocabulary.coarse(vlads)
        self.index_file = index_file
        self._vlads = vlads
        self.num_read = 0

    def read_vlads(self, rows: Sequence[int]) -> Float32Array:
        self.num_read += len(rows)
        return self._vlads[list(rows)]


def unit(descriptors: np.ndarray) -> Float32Array:
    return (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def images(random) -> Float32Array:
    """(300, N, D) views of places; those of a place share most of their patches."""
    places = random.normal(size=(NUM_PLACES, 1, PATCHES, DIM))
    noisy = places + random.normal(scale=0.4, size=(NUM_PLACES, VIEWS, PATCHES, DIM))
    return np.stack([unit(image) for image in noisy.reshape(-1, PATCHES, DIM)])


@pytest.fixture
def searches(images, monkeypatch, tmp_path) -> tuple[ExactSearch, ShortlistSearch, Signatures]:
    monkeypatch.setattr(keyframe_signatures, "COARSE_DIM", 64)
    monkeypatch.setattr(signature_search, "NUM_SHORTLISTED", 60)
    monkeypatch.setattr(signature_search, "NUM_COMPARED", 20)
    vocabulary = make_vocabulary(lambda row: images[row], len(images), 16, np.random.default_rng(0))
    vlads = np.stack([encode_vlad(image, vocabulary.words) for image in images])
    file = IndexFile(path=tmp_path / "index", map_id="m", revision=1, vectors_crc32=0)
    signatures = Signatures(vocabulary, vlads, file)
    return ExactSearch(vocabulary.words, vlads), ShortlistSearch(signatures), signatures


def new_view(image: Float32Array, random: np.random.Generator) -> Float32Array:
    return unit(image + random.normal(scale=0.1, size=image.shape))


def test_the_best_keyframes_are_found_with_their_exact_similarity(images, searches, random):
    exact, shortlist, _ = searches
    for row in range(0, len(images), 7):
        query = new_view(images[row], random)
        expected, found = exact.similarities(query), shortlist.similarities(query)
        best = np.argsort(-expected)[:VIEWS]
        assert set(best) == set(np.argsort(-found)[:VIEWS])
        np.testing.assert_allclose(found[best], expected[best], atol=TOLERANCE)


def test_what_is_not_shortlisted_is_no_better_than_what_is(images, searches, random):
    exact, shortlist, signatures = searches
    query = new_view(images[3], random)
    found = shortlist.similarities(query)
    assert found.shape == (len(images),)
    assert signatures.num_read == 20
    lowest, count = np.unique(found, return_counts=True)
    assert count[0] >= len(images) - 60, "all the others share the lowest similarity"
    assert lowest[0] <= np.sort(exact.similarities(query))[-60]


def test_the_projection_keeps_products(searches):
    _, _, signatures = searches
    full, short = signatures._vlads @ signatures._vlads.T, signatures.coarse @ signatures.coarse.T
    # what a vector loses is its own, not what it shares with others
    between = ~np.eye(len(full), dtype=bool)
    assert np.abs(full - short)[between].max() < MAX_LOSS
    assert np.corrcoef(full[between], short[between])[0, 1] > 0.95
    projection = signatures.vocabulary.projection
    np.testing.assert_allclose(projection.T @ projection, np.eye(projection.shape[1]), atol=1e-4)


def test_few_keyframes_have_a_shorter_projection(images):
    vocabulary = make_vocabulary(lambda row: images[row], 3, 16, np.random.default_rng(0))
    assert vocabulary.projection.shape == (16 * DIM, 3)


def test_a_blank_query_is_like_nothing(searches):
    found = searches[1].similarities(np.zeros((PATCHES, DIM), np.float32))
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 0.5
