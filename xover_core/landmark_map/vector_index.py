# SPDX-License-Identifier: Apache-2.0
"""Nearest vectors by inner product: FAISS where it is installed, else NumPy with the same answers.

Derived from the map file, never stored. Exact up to MAX_FLAT_VECTORS, where a query of 64 values still takes
milliseconds; above that an HNSW graph, which is approximate.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.types import Float32Array

MAX_FLAT_VECTORS = 100_000
NO_MATCH = -1
# HNSW (Malkov and Yashunin 2018): neighbours in the graph, and candidates kept while building and while searching.
_HNSW_NEIGHBORS = 32
_HNSW_BUILD_CANDIDATES = 128
_HNSW_SEARCH_CANDIDATES = 128


class _Backend(Protocol):
    """Stores vectors in order and finds the rows of the most similar ones."""

    def add(self, vectors: Float32Array) -> None:
        """Append (N, D)."""
        ...

    def search(self, queries: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """(Q, k) similarities, best first, and rows; k is at most the number of vectors; row -1 = none."""
        ...


class VectorIndex:
    """Vectors with ids, searched by inner product (cosine similarity for L2-normalised vectors)."""

    def __init__(self, dim: int, *, max_flat: int = MAX_FLAT_VECTORS) -> None:
        """Make an empty index.

        Args:
            dim: D, length of a vector.
            max_flat: the largest number of vectors that are searched exactly, where FAISS is there.
        """
        self._dim = dim
        self._max_flat = max_flat
        self._ids = np.zeros(0, np.int64)
        self._backend: _Backend = make_backend(dim)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, vectors: NDArray[np.floating], ids: NDArray[np.integer]) -> None:
        """Add (N, D) vectors with (N,) ids; can be called again and again.

        Raises:
            GeometryError: wrong shape.
        """
        vectors = self._checked(vectors)
        if np.shape(ids) != (len(vectors),):
            raise GeometryError(f"vector index: expected {len(vectors)} ids, one for each vector, got {np.shape(ids)}.")
        self._backend.add(vectors)
        self._ids = np.concatenate([self._ids, np.asarray(ids, np.int64)])
        if len(self) > self._max_flat and isinstance(self._backend, _FaissFlat):
            self._backend = _FaissGraph(self._backend.vectors())

    def search(self, queries: NDArray[np.floating], k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """Find the k most similar vectors of each query.

        Args:
            queries: (Q, D).
            k: at least 1; may be larger than the index.

        Returns:
            (Q, k) similarities, best first, and (Q, k) ids. Where there are fewer than k vectors: -inf and -1.

        Raises:
            GeometryError: wrong shape.
        """
        queries = self._checked(queries)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        ids = np.full((len(queries), k), NO_MATCH, np.int64)
        num = min(k, len(self))
        if num and len(queries):
            similarities[:, :num], rows = self._backend.search(queries, num)
            # the graph may find fewer than there are
            ids[:, :num] = np.where(rows >= 0, self._ids[rows], NO_MATCH)
            similarities[ids == NO_MATCH] = -np.inf
        return similarities, ids

    def _checked(self, vectors: NDArray[np.floating]) -> Float32Array:
        """(N, D) as contiguous float32."""
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise GeometryError(f"vector index: expected vectors (N, {self._dim}), got {vectors.shape}.")
        return np.ascontiguousarray(vectors, np.float32)


def make_backend(dim: int) -> _Backend:
    """FAISS when it is installed, else NumPy."""
    return _FaissFlat(dim) if importlib.util.find_spec("faiss") else NumpyBackend(dim)


class NumpyBackend:
    """Exact search by one matrix product."""

    def __init__(self, dim: int) -> None:
        self._vectors = np.zeros((0, dim), np.float32)

    def add(self, vectors: Float32Array) -> None:
        """Append (N, D)."""
        self._vectors = np.concatenate([self._vectors, vectors])

    def search(self, queries: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """(Q, k) similarities and rows."""
        similarities = queries @ self._vectors.T
        nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(similarities, nearest, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(values, order, axis=1), np.take_along_axis(nearest, order, axis=1)


class _FaissFlat:
    """Exact search by FAISS."""

    def __init__(self, dim: int) -> None:
        import faiss

        self._index: Any = faiss.IndexFlatIP(dim)

    def add(self, vectors: Float32Array) -> None:
        """Append (N, D)."""
        self._index.add(vectors)

    def search(self, queries: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """(Q, k) similarities and rows."""
        similarities, rows = self._index.search(queries, k)
        return similarities, rows

    def vectors(self) -> Float32Array:
        """All (N, D) vectors in order."""
        return np.asarray(self._index.reconstruct_n(0, self._index.ntotal), np.float32)


class _FaissGraph(_FaissFlat):
    """Approximate search by FAISS's HNSW graph."""

    def __init__(self, vectors: Float32Array) -> None:
        import faiss

        self._index = faiss.IndexHNSWFlat(vectors.shape[1], _HNSW_NEIGHBORS, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = _HNSW_BUILD_CANDIDATES
        self._index.hnsw.efSearch = _HNSW_SEARCH_CANDIDATES
        self._index.add(vectors)
