# SPDX-License-Identifier: Apache-2.0
"""Opening a map for localization: small maps are read as a whole, of large ones only what a query needs, when it does.

A large map stays open. Each row is compared with the checksum that it had when the map was opened, so an answer is
never made of two states of a map; what has changed since is refused by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.config import RetrievalSettings
from xover_core.errors import MapChangedError, MapFormatError
from xover_core.landmark_map.file_signatures import FileSignatures
from xover_core.landmark_map.landmark_arrays import concatenate_landmarks, empty_landmarks
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.lazy_keyframes import LazyBlocks, LazyKeyframes
from xover_core.landmark_map.map_connection import MapConnection, map_errors, open_file
from xover_core.landmark_map.map_index import MapIndex, read_block_checksum, read_checksums, read_index
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.landmark_map.map_tables import MapTables
from xover_core.landmark_map.scene_tables import SceneTables
from xover_core.landmark_map.signature_tables import SignatureTables
from xover_core.landmark_map.vector_index import IndexFile
from xover_core.types import Keyframe, Landmarks

# A keyframe made ready takes three times the bytes that it has in the file.
RESIDENT_FACTOR = 3.0
_BYTES_PER_MB = 1e6


def open_map(path: Path, settings: RetrievalSettings) -> LandmarkMap:
    """Open a map file to search in it.

    Args:
        path: of the file.
        settings: how much memory its keyframes may take; a map that needs more is read piece by piece, and its file
            stays open as long as the map is used.

    Raises:
        MapFormatError: missing, not a map, of a schema version that cannot be read, or damaged.
    """
    if path.is_file() and path.stat().st_size * RESIDENT_FACTOR > settings.cache_mb * _BYTES_PER_MB:
        return MapReader(open_file(path, read_only=True)).open_map(settings)
    with MapStorage.open(path) as storage:
        return storage.load()


class MapReader:
    """An open map file of which single rows are read as they were when it was opened. Any thread may read."""

    def __init__(self, connection: MapConnection) -> None:
        """Note what is there now; the file is closed when nobody uses the reader any more.

        Raises:
            MapFormatError: no header.
        """
        self._path = connection.path
        self._sqlite = connection.sqlite
        self._tables = MapTables(connection.sqlite)
        self._signatures = SignatureTables(connection.sqlite)
        self._lock = threading.RLock()
        weakref.finalize(self, connection.close)
        with self._snapshot():
            header = self._tables.read_header()
            self._index: MapIndex = read_index(connection.sqlite)
        if header is None:
            raise MapFormatError(f"map {self._path}: it has no header; use a copy or build the map again.")
        self._header = header
        self._dim = header.model.descriptor_dim

    def open_map(self, settings: RetrievalSettings) -> LandmarkMap:
        """The map, of which keyframes and landmarks are read when they are asked for."""
        keyframes = LazyKeyframes(self, self._index.table)
        with self._snapshot():
            scenes, scene_tables = self._tables.read_scenes(), SceneTables(self._sqlite)
            embeddings, views = scene_tables.read_embeddings(), scene_tables.read_views()
            vocabulary, coarse = self._signatures.read_vocabulary(), list(self._signatures.read_coarse())
        signatures = FileSignatures(
            self,
            keyframes,
            vocabulary,
            coarse,
            self._index.checksums[:, 1],
            vocabulary_size=settings.vocabulary_size,
            index_file=IndexFile(
                path=self._path.with_name(self._path.name + ".index"),
                map_id=self._header.map_id,
                revision=self._header.revision,
                vectors_crc32=0,
            ),
        )
        return LandmarkMap(
            header=self._header,
            scenes=scenes,
            keyframes=keyframes,
            blocks=LazyBlocks(self, self._index.landmark_counts),
            size_bytes=self._path.stat().st_size,
            scene_embeddings=embeddings,
            scene_views=views,
            signatures=signatures,
        )

    def read_keyframe(self, row: int) -> Keyframe:
        """The keyframe of a row of the table.

        Raises:
            MapChangedError: it is not what it was when the map was opened.
        """
        keyframe_id = int(self._index.table.keyframe_ids[row])
        with self._snapshot():
            self._check_keyframe(row, keyframe_id)
            (keyframe,) = self._tables.read_keyframes(self._dim, keyframe_id=keyframe_id)
        return dataclasses.replace(keyframe, scene_id=int(self._index.table.scene_ids[row]))

    def read_vlad(self, row: int) -> NDArray[np.float16] | None:
        """The stored VLAD of a keyframe; None when the file has none.

        Raises:
            MapChangedError: the keyframe is not what it was when the map was opened.
        """
        keyframe_id = int(self._index.table.keyframe_ids[row])
        with self._snapshot():
            self._check_keyframe(row, keyframe_id)
            return self._signatures.read_vlad(keyframe_id)

    def read_block(self, scene_id: int) -> Landmarks:
        """The landmarks of a scene.

        Raises:
            MapChangedError: they are not what they were when the map was opened.
        """
        with self._snapshot():
            if read_block_checksum(self._sqlite, scene_id) != self._index.block_checksums[scene_id]:
                raise self._changed(f"the landmarks of scene {scene_id}")
            (landmarks,) = self._tables.read_landmark_blocks(self._dim, scene_id)
        return landmarks

    def read_landmarks(self) -> Landmarks:
        """All landmarks."""
        if not self._index.landmark_counts:
            return empty_landmarks(self._dim, self._header.model.radii[0])
        return concatenate_landmarks([self.read_block(scene_id) for scene_id in self._index.landmark_counts])

    def _check_keyframe(self, row: int, keyframe_id: int) -> None:
        """Raise MapChangedError unless a keyframe is what it was."""
        if read_checksums(self._sqlite, keyframe_id) != tuple(self._index.checksums[row].tolist()):
            raise self._changed(f"keyframe {keyframe_id}")

    def _changed(self, what: str) -> MapChangedError:
        return MapChangedError(f"map {self._path}: {what} has been changed since the map was loaded; load it again.")

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """One state of the file; others wait."""
        with self._lock, map_errors(self._path, "be read"):
            self._sqlite.execute("BEGIN")
            try:
                yield
            finally:
                self._sqlite.execute("ROLLBACK")
