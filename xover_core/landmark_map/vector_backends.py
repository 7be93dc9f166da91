# SPDX-License-Identifier: Apache-2.0
"""What searches vectors: FAISS flat, as a graph or in inverted lists, on the processor or the GPU; or NumPy.

Flat is exact. An HNSW graph (Malkov and Yashunin 2018) finds nearly all of the nearest vectors, at one and a half times
the memory; inverted lists (IVF) need hardly more than the vectors, are made in less time, and miss some more. On a GPU
flat search is fast enough for ten times as many vectors, and there are no graphs.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array

_LOGGER = logging.getLogger(__name__)

MAX_FLAT_VECTORS = 100_000
# A graph of more vectors takes minutes to make.
MAX_GRAPH_VECTORS = 1_000_000
MAX_FLAT_ON_GPU = 1_000_000
# Neighbours in the graph, and candidates kept while building and while searching.
_HNSW_NEIGHBORS = 32
_HNSW_BUILD_CANDIDATES = 128
_HNSW_SEARCH_CANDIDATES = 256
# Bytes of a vector's links: on the lowest level twice the neighbours, and a tenth for the levels above.
_HNSW_LINK_BYTES = int(2.1 * _HNSW_NEIGHBORS * 4)
# Vectors of a list that is searched: this many lists for each root of the number of vectors, and this share of them.
_LISTS_PER_ROOT = 4
_SEARCHED_SHARE = 1 / 24
_MIN_SEARCHED_LISTS = 8


class IndexKind(str, Enum):
    """How vectors are searched; the values are written to files."""

    NUMPY = "numpy"
    FLAT = "flat"
    GRAPH = "hnsw"
    LISTS = "ivf"


class Backend(Protocol):
    """Stores vectors in order and finds the rows of the most similar ones."""

    @property
    def kind(self) -> IndexKind:
        """How it searches."""
        ...

    def add(self, vectors: Float32Array) -> None:
        """Append (N, D)."""
        ...

    def search(self, queries: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """(Q, k) similarities, best first, and rows; k is at most the number of vectors; row -1 = none."""
        ...

    def vectors(self) -> Float32Array:
        """All (N, D) vectors in order."""
        ...

    def write(self, path: Path) -> None:
        """Write a file that `read_backend` takes.

        Raises:
            OSError: it cannot be written.
        """
        ...


def choose_kind(num_vectors: int, dim: int, *, max_flat: int, max_memory_mb: float) -> IndexKind:
    """How so many vectors are best searched with what is installed here.

    Args:
        num_vectors: N.
        dim: D.
        max_flat: the largest number that is searched exactly on a processor.
        max_memory_mb: that a graph may take.
    """
    if not has_faiss():
        return IndexKind.NUMPY
    if num_vectors <= (max(max_flat, MAX_FLAT_ON_GPU) if has_gpu() else max_flat):
        return IndexKind.FLAT
    graph_mb = num_vectors * (4 * dim + _HNSW_LINK_BYTES) / 1e6
    if has_gpu() or num_vectors > MAX_GRAPH_VECTORS or graph_mb > max_memory_mb:
        return IndexKind.LISTS
    return IndexKind.GRAPH


def make_backend(kind: IndexKind, vectors: Float32Array) -> Backend:
    """The search of a kind over (N, D) vectors; inverted lists need some thousand vectors to be fitted to."""
    if kind is IndexKind.NUMPY:
        return NumpyBackend(vectors)
    index = _MAKERS[kind](vectors)
    backend = FaissBackend(kind, _to_gpu(index) if has_gpu() else index)
    backend.add(vectors)
    return backend


def read_backend(kind: IndexKind, path: Path) -> Backend:
    """What `Backend.write` wrote, mapped into memory where that can be done: to be searched, not to be added to."""
    if kind is IndexKind.NUMPY:
        return NumpyBackend(np.load(path, mmap_mode="r", allow_pickle=False))
    import faiss

    # inverted lists and all others are mapped by different code of FAISS
    flag = faiss.IO_FLAG_MMAP if kind is IndexKind.LISTS else faiss.IO_FLAG_MMAP_IFC
    index = faiss.read_index(str(path), flag)
    return FaissBackend(kind, _to_gpu(index) if has_gpu() else index)


class NumpyBackend:
    """Exact search by one matrix product."""

    kind = IndexKind.NUMPY

    def __init__(self, vectors: Float32Array) -> None:
        self._vectors = vectors

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

    def vectors(self) -> Float32Array:
        """All (N, D) vectors in order."""
        return self._vectors

    def write(self, path: Path) -> None:
        """Write the array."""
        with path.open("wb") as file:
            np.save(file, self._vectors, allow_pickle=False)


class FaissBackend:
    """Search by a FAISS index."""

    def __init__(self, kind: IndexKind, index: Any) -> None:
        self._kind = kind
        self._index = index
        if kind is IndexKind.LISTS:
            index.nprobe = max(_MIN_SEARCHED_LISTS, round(index.nlist * _SEARCHED_SHARE))

    @property
    def kind(self) -> IndexKind:
        """How it searches."""
        return self._kind

    def add(self, vectors: Float32Array) -> None:
        """Append (N, D)."""
        self._index.add(vectors)

    def search(self, queries: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """(Q, k) similarities and rows."""
        similarities, rows = self._index.search(queries, k)
        return similarities, rows

    def vectors(self) -> Float32Array:
        """All (N, D) vectors in order."""
        index = _to_processor(self._index)
        if self._kind is IndexKind.LISTS:
            index.make_direct_map()
        return np.asarray(index.reconstruct_n(0, index.ntotal), np.float32)

    def write(self, path: Path) -> None:
        """Write a FAISS file."""
        import faiss

        try:
            faiss.write_index(_to_processor(self._index), str(path))
        except RuntimeError as error:
            raise OSError(f"cannot be written: {path}") from error


@functools.lru_cache(maxsize=1)
def has_faiss() -> bool:
    """Whether FAISS is installed; says once when it is not."""
    is_there = importlib.util.find_spec("faiss") is not None
    if not is_there:
        _LOGGER.warning("faiss is not installed: vectors are searched by NumPy, with the same results, but slower.")
    return is_there


@functools.lru_cache(maxsize=1)
def has_gpu() -> bool:
    """Whether the installed FAISS can use a GPU that is there (`faiss-gpu`)."""
    if not has_faiss():
        return False
    import faiss

    return int(faiss.get_num_gpus()) > 0


def _make_flat(vectors: Float32Array) -> Any:
    import faiss

    return faiss.IndexFlatIP(vectors.shape[1])


def _make_graph(vectors: Float32Array) -> Any:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], _HNSW_NEIGHBORS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _HNSW_BUILD_CANDIDATES
    index.hnsw.efSearch = _HNSW_SEARCH_CANDIDATES
    return index


def _make_lists(vectors: Float32Array) -> Any:
    import faiss

    num, dim = vectors.shape
    num_lists = max(1, round(_LISTS_PER_ROOT * num**0.5))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, num_lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    return index


def _to_gpu(index: Any) -> Any:
    import faiss

    return faiss.index_cpu_to_gpu(_gpu_resources(), 0, index)


@functools.lru_cache(maxsize=1)
def _gpu_resources() -> Any:
    """FAISS's memory on the GPU, shared by all indices."""
    import faiss

    return faiss.StandardGpuResources()


def _to_processor(index: Any) -> Any:
    import faiss

    return faiss.index_gpu_to_cpu(index) if has_gpu() else index


_MAKERS = {IndexKind.FLAT: _make_flat, IndexKind.GRAPH: _make_graph, IndexKind.LISTS: _make_lists}
