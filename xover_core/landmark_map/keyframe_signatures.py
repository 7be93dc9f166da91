# SPDX-License-Identifier: Apache-2.0
"""What keyframes are retrieved by: a VLAD each, and a short projection of it that all of a large map fit into memory.

Derived from the descriptors. Small maps make them when they are loaded, large ones keep them in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.vector_index import IndexFile
from xover_core.landmark_map.vlad import encode_vlad, fit_vocabulary
from xover_core.types import Float32Array

# Maps with fewer keyframes are retrieved from without a file's help.
MIN_SIGNED_KEYFRAMES = 400
# Words of the vocabulary that a map file keeps; that of a small map is as large as the settings say.
VOCABULARY_SIZE = 64
# Length of the projection.
COARSE_DIM = 256
# More descriptors than this do not change the vocabulary, only the time to fit it.
MAX_VOCABULARY_SAMPLES = 20_000
# Keyframes that the vocabulary and the projection are fitted to, spread evenly over the map.
MAX_SAMPLED_KEYFRAMES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What turns the descriptors of an image into a signature.

    Attributes:
        words: (W, D) centres of descriptors.
        projection: (W * D, C) with orthonormal columns, C at most `COARSE_DIM`.
    """

    words: Float32Array
    projection: Float32Array

    def coarse(self, vlads: Float32Array) -> Float32Array:
        """(..., C) projection of (..., W * D) VLADs."""
        return np.asarray(vlads @ self.projection, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeSignature:
    """Of one keyframe.

    Attributes:
        keyframe_id: of the map.
        descriptors_crc32: checksum of the descriptors that it was made of; with others it is of no use.
        coarse: (C,).
        vlad: (W * D,) of norm 1.
    """

    keyframe_id: int
    descriptors_crc32: int
    coarse: NDArray[np.float16]
    vlad: NDArray[np.float16]


class StoredSignatures(Protocol):
    """Signatures of all keyframes of a map, those that the file lacks made when it was opened."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What they were made with."""
        ...

    @property
    def coarse(self) -> Float32Array:
        """(K, C) in the order of the keyframes."""
        ...

    @property
    def index_file(self) -> IndexFile:
        """Where an index of the short vectors may be kept, if making it takes long."""
        ...

    def read_vlads(self, rows: Sequence[int]) -> Float32Array:
        """(R, W * D) VLADs of some keyframes."""
        ...


def signature_bytes(num_keyframes: int, descriptor_dim: int) -> int:
    """Bytes that the signatures of a map will take in its file."""
    if num_keyframes < MIN_SIGNED_KEYFRAMES:
        return 0
    vlad = VOCABULARY_SIZE * descriptor_dim
    return 2 * num_keyframes * (vlad + COARSE_DIM) + vlad * (4 + 2 * COARSE_DIM)


def fit_words(
    descriptors_of: Callable[[int], Float32Array], num_keyframes: int, num_words: int, rng: np.random.Generator
) -> Float32Array:
    """(W, D) vocabulary of a sample of patches drawn evenly from all keyframes, or from many of a large map.

    Args:
        descriptors_of: (N, D) descriptors of the keyframe of a row.
        num_keyframes: K, at least 1.
        num_words: W, less when there are fewer descriptors.
        rng: draws the patches and starts the words.
    """
    rows = sample_rows(num_keyframes)
    per_view = max(1, MAX_VOCABULARY_SAMPLES // len(rows))
    samples = []
    for row in rows:
        descriptors = descriptors_of(row)
        samples.append(descriptors[rng.permutation(len(descriptors))[:per_view]])
    return fit_vocabulary(np.concatenate(samples), num_words, rng)


def make_vocabulary(
    descriptors_of: Callable[[int], Float32Array], num_keyframes: int, num_words: int, rng: np.random.Generator
) -> Vocabulary:
    """Words, and a projection that keeps as much as can be kept of the VLADs of a sample of keyframes."""
    words = fit_words(descriptors_of, num_keyframes, num_words, rng)
    vlads = np.stack([encode_vlad(descriptors_of(row), words) for row in sample_rows(num_keyframes)])
    return Vocabulary(words=words, projection=fit_projection(vlads))


def fit_projection(vlads: Float32Array) -> Float32Array:
    """(V, C) orthonormal columns that keep the most of the products of (n, V) vectors; C is at most n.

    The leading right singular vectors, by way of the (n, n) products, for n is smaller than V.
    """
    values, vectors = np.linalg.eigh((vlads @ vlads.T).astype(np.float64))
    best = np.argsort(-values)[:COARSE_DIM]
    best = best[values[best] > 1e-6 * values.max(initial=0.0)]
    return np.asarray(vlads.T @ (vectors[:, best] / np.sqrt(values[best])), np.float32)


def sample_rows(num_keyframes: int) -> list[int]:
    """At most `MAX_SAMPLED_KEYFRAMES` rows, spread evenly."""
    num = min(num_keyframes, MAX_SAMPLED_KEYFRAMES)
    return [int(row) for row in np.linspace(0, num_keyframes - 1, num).round()]


def sign(keyframe_id: int, descriptors_crc32: int, descriptors: Float32Array, by: Vocabulary) -> KeyframeSignature:
    """Signature of a keyframe with (N, D) finest descriptors."""
    vlad = encode_vlad(descriptors, by.words)
    return KeyframeSignature(
        keyframe_id=keyframe_id,
        descriptors_crc32=descriptors_crc32,
        coarse=by.coarse(vlad).astype(np.float16),
        vlad=vlad.astype(np.float16),
    )
