# SPDX-License-Identifier: Apache-2.0
"""The signatures of a large map, from its file as far as they are there and still right, else made anew."""

from __future__ import annotations

import dataclasses
import logging
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.bounded_cache import BoundedCache
from xover_core.landmark_map.keyframe_signatures import MIN_SIGNED_KEYFRAMES, Vocabulary, make_vocabulary
from xover_core.landmark_map.lazy_keyframes import LazyKeyframes
from xover_core.landmark_map.vector_index import IndexFile
from xover_core.landmark_map.vlad import encode_vlad
from xover_core.types import Float32Array

_LOGGER = logging.getLogger(__name__)
# VLADs of the keyframes that looked alike lately.
_MAX_VLAD_BYTES = 32e6
_SEED = 0


class VladRows(Protocol):
    """Reads stored VLADs; see `map_reader.MapReader`."""

    def read_vlad(self, row: int) -> NDArray[np.float16] | None:
        """The VLAD of a keyframe; None when the file has none."""
        ...


class FileSignatures:
    """Implements `StoredSignatures`. For one thread."""

    def __init__(
        self,
        rows: VladRows,
        keyframes: LazyKeyframes,
        vocabulary: Vocabulary | None,
        stored: Sequence[tuple[int, int, NDArray[np.float16]]],
        descriptor_checksums: NDArray[np.int64],
        *,
        vocabulary_size: int,
        index_file: IndexFile,
    ) -> None:
        """Take what is stored; what is missing or was made of other descriptors is made when it is asked for.

        Args:
            rows: reads VLADs.
            keyframes: of the map.
            vocabulary: of the file; None: nothing is stored.
            stored: keyframe id, checksum of the descriptors and (C,) short vector of the keyframes that have one.
            descriptor_checksums: (K,) of the keyframes' descriptors as they are now.
            vocabulary_size: words, where the file has no vocabulary.
            index_file: for the index of the short vectors, yet without their checksum.
        """
        self._rows = rows
        self._keyframes = keyframes
        self._index_file = index_file
        self._stored_vocabulary = vocabulary
        self._vocabulary_size = vocabulary_size
        self._stored = {keyframe_id: (crc, vector) for keyframe_id, crc, vector in stored} if vocabulary else {}
        ids = keyframes.table.keyframe_ids.tolist()
        of_now = zip(ids, descriptor_checksums.tolist(), strict=True)
        self._is_stored = [i in self._stored and self._stored[i][0] == crc for i, crc in of_now]
        self._vlads: BoundedCache[int, Float32Array] = BoundedCache(
            self._read_vlad, lambda vlad: vlad.nbytes, _MAX_VLAD_BYTES
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What they were made with."""
        if self._stored_vocabulary is not None:
            return self._stored_vocabulary
        num, rng = len(self._keyframes), np.random.default_rng(_SEED)
        return make_vocabulary(self._descriptors, num, self._vocabulary_size, rng)

    @cached_property
    def coarse(self) -> Float32Array:
        """(K, C) in the order of the keyframes."""
        self._warn_of_missing()
        vectors = np.zeros((len(self._keyframes), self.vocabulary.projection.shape[1]), np.float32)
        for row, keyframe_id in enumerate(self._keyframes.table.keyframe_ids.tolist()):
            is_stored = self._is_stored[row]
            vectors[row] = self._stored[keyframe_id][1] if is_stored else self.vocabulary.coarse(self._encode(row))
        return vectors

    @property
    def index_file(self) -> IndexFile:
        """Beside the map file."""
        return dataclasses.replace(self._index_file, vectors_crc32=zlib.crc32(self.coarse.tobytes()))

    def read_vlads(self, rows: Sequence[int]) -> Float32Array:
        """(R, W * D) VLADs of some keyframes."""
        return np.stack([self._vlads[row] for row in rows])

    def _read_vlad(self, row: int) -> Float32Array:
        stored = self._rows.read_vlad(row) if self._is_stored[row] else None
        return self._encode(row) if stored is None else stored.astype(np.float32)

    def _encode(self, row: int) -> Float32Array:
        return encode_vlad(self._descriptors(row), self.vocabulary.words)

    def _descriptors(self, row: int) -> Float32Array:
        return self._keyframes[row].descriptors[0].astype(np.float32)

    def _warn_of_missing(self) -> None:
        missing = len(self._is_stored) - sum(self._is_stored)
        if missing and len(self._keyframes) >= MIN_SIGNED_KEYFRAMES:
            _LOGGER.warning(
                "%d of %d keyframes have no signature in the map file; they are made now, which takes some milliseconds"
                " each. `xover map --append` stores them when it finishes the map.",
                missing,
                len(self._keyframes),
            )
