# SPDX-License-Identifier: Apache-2.0
"""Rows of what a map file keeps to retrieve its keyframes by; transactions are the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map import map_rows
from xover_core.landmark_map.keyframe_signatures import KeyframeSignature, Vocabulary
from xover_core.landmark_map.map_rows import DamagedRowError
from xover_core.landmark_map.map_schema import SIGNATURE_SCHEMA_VERSION, SIGNATURE_STATEMENTS


class SignatureTables:
    """The tables of one open file. A map of an older schema version has none, so nothing is read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection

    def create(self) -> None:
        """Make the tables."""
        for statement in SIGNATURE_STATEMENTS:
            self._sqlite.execute(statement)

    def read_vocabulary(self) -> Vocabulary | None:
        """What the signatures were made with; None without any."""
        if not self._has_tables():
            return None
        row = self._sqlite.execute("SELECT num_words, crc32, words, projection FROM vocabulary").fetchone()
        if row is None:
            return None
        num_words, crc, words, projection = row
        if map_rows.checksum(words, projection) != crc:
            raise DamagedRowError("the vocabulary does not fit its checksum")
        centres = map_rows.from_blob(words, "<f4", num_words, -1)
        return Vocabulary(
            words=centres, projection=map_rows.from_blob(projection, "<f2", centres.size, -1).astype(np.float32)
        )

    def replace_vocabulary(self, vocabulary: Vocabulary | None) -> None:
        """Remove all signatures, and say what the next ones are made with, if any."""
        for table in ("vocabulary", "keyframe_signature", "keyframe_vlad"):
            self._sqlite.execute(f"DELETE FROM {table}")
        if vocabulary is not None:
            words = map_rows.to_blob(vocabulary.words, "<f4")
            projection = map_rows.to_blob(vocabulary.projection, "<f2")
            row = (len(vocabulary.words), map_rows.checksum(words, projection), words, projection)
            self._sqlite.execute("INSERT INTO vocabulary VALUES (1, ?, ?, ?, ?)", row)

    def read_coarse(self) -> Iterator[tuple[int, int, NDArray[np.float16]]]:
        """Keyframe id, checksum of its descriptors, and (C,) short vector of each keyframe that has one, by id."""
        query = "SELECT keyframe_id, descriptors_crc32, crc32, float16 FROM keyframe_signature ORDER BY keyframe_id"
        for keyframe_id, descriptors_crc, crc, blob in self._sqlite.execute(query) if self._has_tables() else ():
            yield keyframe_id, descriptors_crc, _numbers(crc, blob, keyframe_id)

    def read_vlad(self, keyframe_id: int) -> NDArray[np.float16] | None:
        """(V,) VLAD of a keyframe; None when the file has none."""
        query = "SELECT crc32, float16 FROM keyframe_vlad WHERE keyframe_id = ?"
        row = self._sqlite.execute(query, (keyframe_id,)).fetchone() if self._has_tables() else None
        return None if row is None else _numbers(row[0], row[1], keyframe_id)

    def write(self, signature: KeyframeSignature) -> None:
        """Replace the signature of a keyframe."""
        key, coarse, vlad = signature.keyframe_id, *(map_rows.to_blob(a, "<f2") for a in _vectors(signature))
        row = (key, signature.descriptors_crc32, map_rows.checksum(coarse), coarse)
        self._sqlite.execute("INSERT OR REPLACE INTO keyframe_signature VALUES (?, ?, ?, ?)", row)
        self._sqlite.execute(
            "INSERT OR REPLACE INTO keyframe_vlad VALUES (?, ?, ?)", (key, map_rows.checksum(vlad), vlad)
        )

    def _has_tables(self) -> bool:
        return int(self._sqlite.execute("PRAGMA user_version").fetchone()[0]) >= SIGNATURE_SCHEMA_VERSION


def _vectors(signature: KeyframeSignature) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    return signature.coarse, signature.vlad


def _numbers(crc: int, blob: bytes, keyframe_id: int) -> NDArray[np.float16]:
    """The numbers of a blob; DamagedRowError when they are not those that were written."""
    if map_rows.checksum(blob) != crc:
        raise DamagedRowError(f"the signature of keyframe {keyframe_id} does not fit its checksum")
    return map_rows.from_blob(blob, "<f2", -1)
