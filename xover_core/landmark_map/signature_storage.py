# SPDX-License-Identifier: Apache-2.0
"""What a map file keeps to retrieve its keyframes by, in transactions: `MapStorage.signatures`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from xover_core.landmark_map import map_rows
from xover_core.landmark_map.keyframe_signatures import (
    MIN_SIGNED_KEYFRAMES,
    VOCABULARY_SIZE,
    KeyframeSignature,
    Vocabulary,
    make_vocabulary,
    sign,
)
from xover_core.landmark_map.map_connection import map_errors
from xover_core.landmark_map.signature_tables import SignatureTables
from xover_core.types import Float32Array

# Keyframes that are signed in one transaction: some MB.
_BATCH = 256
_SEED = 0


class SignatureStorage:
    """Signatures of one open map."""

    def __init__(
        self, sqlite: sqlite3.Connection, path: Path, changes: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        """Take what `MapStorage` works with; `changes` is its write transaction."""
        self._sqlite = sqlite
        self._path = path
        self._changes = changes
        self._tables = SignatureTables(sqlite)

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What signatures are made with; None while the map has none."""
        with map_errors(self._path, "be read"):
            return self._tables.read_vocabulary()

    @property
    def signed_ids(self) -> list[int]:
        """Ids of the keyframes that have a signature."""
        with map_errors(self._path, "be read"):
            return [keyframe_id for keyframe_id, _, _ in self._tables.read_coarse()]

    def put(self, signatures: Sequence[KeyframeSignature]) -> None:
        """Add or replace signatures."""
        with self._changes("store signatures"):
            for signature in signatures:
                self._tables.write(signature)

    def sign_keyframe(self, keyframe_id: int, vocabulary: Vocabulary) -> None:
        """Add the signature of a keyframe that has been stored."""
        self.put([self._sign(keyframe_id, vocabulary)])

    def sign_all(self) -> None:
        """Make the signatures of a large map anew; a small one needs none, and loses those that it has."""
        with map_errors(self._path, "be read"):
            ids = [row[0] for row in self._sqlite.execute("SELECT keyframe_id FROM keyframe ORDER BY keyframe_id")]
        if len(ids) < MIN_SIGNED_KEYFRAMES:
            if self.vocabulary is not None:
                self._replace(None)
            return
        rng = np.random.default_rng(_SEED)
        vocabulary = make_vocabulary(lambda row: self._descriptors(ids[row])[0], len(ids), VOCABULARY_SIZE, rng)
        self._replace(vocabulary)
        for start in range(0, len(ids), _BATCH):
            self.put([self._sign(keyframe_id, vocabulary) for keyframe_id in ids[start : start + _BATCH]])

    def _replace(self, vocabulary: Vocabulary | None) -> None:
        with self._changes("take another vocabulary"):
            self._tables.replace_vocabulary(vocabulary)

    def _sign(self, keyframe_id: int, vocabulary: Vocabulary) -> KeyframeSignature:
        descriptors, crc = self._descriptors(keyframe_id)
        return sign(keyframe_id, crc, descriptors, vocabulary)

    def _descriptors(self, keyframe_id: int) -> tuple[Float32Array, int]:
        """(N, D) finest descriptors of a keyframe, and their checksum."""
        query = (
            "SELECT d.keyframe_id, d.scale, d.crc32, d.float16, m.descriptor_dim FROM descriptors d, model m"
            " WHERE d.keyframe_id = ? AND d.scale = 0 AND m.role = 'patch'"
        )
        with map_errors(self._path, "be read"):
            *row, dim = self._sqlite.execute(query, (keyframe_id,)).fetchone()
            return map_rows.read_descriptors(tuple(row), dim).astype(np.float32), row[2]
