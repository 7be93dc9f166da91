# SPDX-License-Identifier: Apache-2.0
"""Nearest vectors by inner product, exact for as many as that is fast for, approximate above.

Derived from the map. Kept in a file beside it only where making it takes long, and only used from there when it is of
the same vectors.
"""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.landmark_map.vector_backends import (
    MAX_FLAT_VECTORS,
    Backend,
    IndexKind,
    choose_kind,
    make_backend,
    read_backend,
)
from xover_core.types import Float32Array

_LOGGER = logging.getLogger(__name__)
NO_MATCH = -1
MAX_GRAPH_MB = 2000.0
_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """Where an index is kept, and of what it must be.

    Attributes:
        path: of the index; a second file beside it says what it is of.
        map_id: of the map.
        revision: of the map.
        vectors_crc32: of the vectors.
    """

    path: Path
    map_id: str
    revision: int
    vectors_crc32: int

    @property
    def note(self) -> Path:
        """The second file."""
        return self.path.with_name(self.path.name + ".npz")

    @property
    def stamp(self) -> str:
        """What the index must be of, in a word."""
        return f"{self.map_id} {self.revision} {self.vectors_crc32}"


class VectorIndex:
    """Vectors with ids, searched by inner product (cosine similarity for L2-normalised vectors)."""

    def __init__(self, dim: int, *, max_flat: int = MAX_FLAT_VECTORS, max_graph_mb: float = MAX_GRAPH_MB) -> None:
        """Make an empty index.

        Args:
            dim: D, length of a vector.
            max_flat: the largest number of vectors that are searched exactly, where FAISS is there.
            max_graph_mb: memory that a graph may take; with more vectors, inverted lists are searched.
        """
        self._dim = dim
        self._max_flat = max_flat
        self._max_graph_mb = max_graph_mb
        self._is_mapped = False
        self._ids = np.zeros(0, np.int64)
        self._backend: Backend = make_backend(self.kind_for(0), np.zeros((0, dim), np.float32))

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def kind(self) -> IndexKind:
        """How the vectors are searched now."""
        return self._backend.kind

    def add(self, vectors: NDArray[np.floating], ids: NDArray[np.integer]) -> None:
        """Add (N, D) vectors with (N,) ids; can be called again and again.

        Raises:
            GeometryError: wrong shape.
        """
        vectors = self._checked(vectors)
        if np.shape(ids) != (len(vectors),):
            raise GeometryError(f"vector index: expected {len(vectors)} ids, one for each vector, got {np.shape(ids)}.")
        kind = self.kind_for(len(self) + len(vectors))
        if kind is self._backend.kind and not self._is_mapped:
            self._backend.add(vectors)
        else:
            self._backend = make_backend(kind, np.concatenate([self._backend.vectors(), vectors]))
            self._is_mapped = False
        self._ids = np.concatenate([self._ids, np.asarray(ids, np.int64)])

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
            # an approximate search may find fewer than there are
            ids[:, :num] = np.where(rows >= 0, self._ids[rows], NO_MATCH)
            similarities[ids == NO_MATCH] = -np.inf
        return similarities, ids

    def save(self, file: IndexFile) -> None:
        """Write the index; a process that dies meanwhile leaves files that `load` refuses.

        Raises:
            OSError: the folder cannot be written to.
        """
        draft = file.path.with_name(file.path.name + ".new")
        self._backend.write(draft)
        checksum = _file_checksum(draft)
        file.note.unlink(missing_ok=True)
        os.replace(draft, file.path)
        np.savez(file.note, stamp=file.stamp, kind=self.kind.value, dim=self._dim, crc32=checksum, ids=self._ids)

    def load(self, file: IndexFile) -> bool:
        """Take the place of this empty index from a file, if that is whole and of the vectors that it must be of."""
        try:
            with file.note.open("rb") as stream, np.load(stream, allow_pickle=False) as note:
                ids, kind = np.array(note["ids"], np.int64), IndexKind(str(note["kind"]))
                expected = (file.stamp, self._dim, _file_checksum(file.path), self.kind_for(len(ids)))
                if (str(note["stamp"]), int(note["dim"]), int(note["crc32"]), kind) != expected:
                    return False
            self._backend, self._ids, self._is_mapped = read_backend(kind, file.path), ids, True
        except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            _LOGGER.debug("index %s: not used: %s", file.path, error)
            return False
        return True

    def kind_for(self, num_vectors: int) -> IndexKind:
        """How so many vectors would be searched."""
        return choose_kind(num_vectors, self._dim, max_flat=self._max_flat, max_memory_mb=self._max_graph_mb)

    def _checked(self, vectors: NDArray[np.floating]) -> Float32Array:
        """(N, D) as contiguous float32."""
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise GeometryError(f"vector index: expected vectors (N, {self._dim}), got {vectors.shape}.")
        return np.ascontiguousarray(vectors, np.float32)


def index_of(vectors: Float32Array, file: IndexFile | None, *, max_flat: int = MAX_FLAT_VECTORS) -> VectorIndex:
    """The index of (N, D) vectors by row; from a file, and written to it, where making it takes long.

    Args:
        vectors: float32.
        file: None = never.
        max_flat: see `VectorIndex`.
    """
    index = VectorIndex(vectors.shape[1], max_flat=max_flat)
    is_slow = index.kind_for(len(vectors)) in (IndexKind.GRAPH, IndexKind.LISTS)
    if is_slow and file is not None and index.load(file):
        return index
    index.add(vectors, np.arange(len(vectors)))
    if is_slow and file is not None:
        try:
            index.save(file)
        except OSError as error:
            _LOGGER.info("index %s: not kept, it will be made again next time: %s", file.path, error)
    return index


def _file_checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
