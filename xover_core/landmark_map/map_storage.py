# SPDX-License-Identifier: Apache-2.0
"""The map file: every public method that changes it is one transaction, so it is valid whenever the process dies."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import MapFormatError
from xover_core.landmark_map.landmark_arrays import take_landmarks
from xover_core.landmark_map.landmark_map import LandmarkMap, MapHeader
from xover_core.landmark_map.map_connection import MapConnection, create_file, map_errors, open_file
from xover_core.landmark_map.map_part import MapPart, write_part
from xover_core.landmark_map.map_schema import SCHEMA_VERSION
from xover_core.landmark_map.map_tables import MapTables
from xover_core.landmark_map.scene_data import SceneUpdate
from xover_core.landmark_map.scene_storage import SceneStorage
from xover_core.landmark_map.scene_tables import SceneTables
from xover_core.landmark_map.signature_storage import SignatureStorage
from xover_core.types import Keyframe, Landmarks, ModelInfo, Scene

# A landmark that fewer keyframes see is not confirmed.
_MIN_VIEWS = 2


def new_header(model: ModelInfo, site_weights: bytes = b"", frame_id: str = "map") -> MapHeader:
    """Header of a new map with an id of its own."""
    return MapHeader(
        schema_version=SCHEMA_VERSION,
        map_id=str(uuid.uuid4()),
        revision=0,
        model=model,
        site_weights=site_weights,
        frame_id=frame_id,
    )


class MapStorage:
    """An open map file. One thread at a time may use it; other processes may read while it is written."""

    def __init__(self, connection: MapConnection) -> None:
        self._connection = connection
        self._sqlite = connection.sqlite
        self._tables = MapTables(connection.sqlite)
        self._scene_tables = SceneTables(connection.sqlite)
        self._scenes = SceneStorage(connection.sqlite, connection.path, self._changes)
        self._signatures = SignatureStorage(connection.sqlite, connection.path, self._changes)
        self._session = ""

    @classmethod
    def create(cls, path: Path, header: MapHeader) -> MapStorage:
        """Make a new map file.

        Raises:
            MapFormatError: the file exists already or cannot be written.
        """
        storage = cls(create_file(path))
        try:
            with storage._changes("be created", is_mapping=False):
                storage._tables.create(header)
        except BaseException:
            storage.close()
            raise
        return storage

    @classmethod
    def open(cls, path: Path, read_only: bool = True) -> MapStorage:
        """Open a map file; for writing, one of an older schema version is brought to the present one.

        Raises:
            MapFormatError: missing, not a map, of a schema version that cannot be read, or damaged.
        """
        storage = cls(open_file(path, read_only=read_only))
        try:
            storage._session = storage._stored_session()
            if not read_only and storage._number("PRAGMA user_version") < SCHEMA_VERSION:
                with storage._changes("take the present schema", is_mapping=False):
                    storage._tables.upgrade()
        except BaseException:
            storage.close()
            raise
        return storage

    def __enter__(self) -> MapStorage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Everything is on disk already."""
        self._connection.close()

    @property
    def path(self) -> Path:
        """The map file."""
        return self._connection.path

    @property
    def header(self) -> MapHeader:
        """The header as it is in the file now."""
        with map_errors(self.path, "be read"):
            header = self._tables.read_header()
        if header is None:
            raise MapFormatError(f"map {self.path}: it has no header; use a copy or build the map again.")
        return header

    @property
    def scenes(self) -> SceneStorage:
        """What the file keeps of its scenes beside their keyframes."""
        return self._scenes

    @property
    def signatures(self) -> SignatureStorage:
        """What the file keeps to retrieve its keyframes by."""
        return self._signatures

    @property
    def num_keyframes(self) -> int:
        """Number of stored keyframes."""
        return self._number("SELECT count(*) FROM keyframe")

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold data; what was removed is free for the next keyframes until `compact`."""
        num_pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return num_pages * self._number("PRAGMA page_size")

    @property
    def landmark_bytes(self) -> int:
        """Bytes of all landmarks."""
        with map_errors(self.path, "be read"):
            return self._tables.landmark_bytes()

    def begin_mapping(self) -> None:
        """Become the only mapper of this file: whoever mapped before gets an error at its next change.

        Two mappers would mix descriptors of differently fitted encoders in one map.
        """
        session = str(uuid.uuid4())
        with self._changes("be opened for mapping", is_mapping=False):
            self._sqlite.execute("UPDATE header SET mapping_session = ?", (session,))
        self._session = session

    def put_scene(self, scene: Scene) -> None:
        """Add a scene, or move the centre of the one with this id; the names of an existing one stay."""
        with self._changes("store a scene"):
            self._tables.write_scene(scene)

    def set_scene_name(self, scene_id: int, building: str = "", floor: str = "", room: str = "") -> None:
        """Name a scene; allowed while another process maps.

        Raises:
            MapFormatError: no such scene.
        """
        with self._changes("name a scene", is_mapping=False):
            self._scenes.check_scene(scene_id, "name")
            names = (building, floor, room, scene_id)
            self._sqlite.execute("UPDATE scene SET building = ?, floor = ?, room = ? WHERE scene_id = ?", names)

    def add_keyframe(
        self, keyframe: Keyframe, scene: Scene | None = None, view: NDArray[np.float16] | None = None
    ) -> Keyframe:
        """Store a keyframe with all that belongs to it.

        Args:
            keyframe: its id is ignored.
            scene: written in the same transaction; needed when the keyframe's scene is new or its centre moved.
            view: (E,) its description by the map's scene model, if there is one.

        Returns:
            The keyframe with its id.

        Raises:
            MapFormatError: unknown scene, descriptors of another shape, a full disk, another mapper took over.
        """
        with self._changes("store a keyframe"):
            self._check_descriptors(keyframe)
            if scene is not None:
                self._tables.write_scene(scene)
            keyframe_id = self._tables.write_keyframe(keyframe)
            if view is not None:
                self._scene_tables.write_view(keyframe_id, view)
        return dataclasses.replace(keyframe, keyframe_id=keyframe_id)

    def add_part(self, part: MapPart) -> None:
        """Store scenes with their keyframes and landmarks, all at once."""
        with self._changes("take a part of another map"):
            for keyframe in part.keyframes:
                self._check_descriptors(keyframe)
            write_part(part, self._tables, self._scene_tables)

    def remove_keyframes(self, keyframe_ids: Sequence[int]) -> None:
        """Remove keyframes with their observations; landmarks that fewer than two keyframes still see go too."""
        with self._changes("remove keyframes"):
            self._sqlite.executemany("DELETE FROM keyframe WHERE keyframe_id = ?", [(i,) for i in keyframe_ids])
            removed = np.asarray(keyframe_ids, np.int64)
            for landmarks in self._tables.read_landmark_blocks(self.header.model.descriptor_dim):
                kept = _without_keyframes(landmarks, removed)
                if len(kept.observations) < len(landmarks.observations):
                    self._tables.write_landmarks(kept, int(landmarks.scene_ids[0]))

    def replace_contents(
        self,
        *,
        model: ModelInfo,
        site_weights: bytes,
        keyframes: Sequence[Keyframe],
        has_new_descriptors: bool,
        scenes: Sequence[Scene],
        landmarks: Landmarks,
        scene_update: SceneUpdate | None = None,
    ) -> None:
        """Replace everything that is derived from the keyframes, in one transaction.

        Args:
            model: of the descriptors from now on.
            site_weights: that belong to it.
            keyframes: all stored keyframes in their scenes.
            has_new_descriptors: whether their descriptors differ from the stored ones.
            scenes: all scenes; others are removed unless they have a name or a user described them. What users told
                of scenes stays.
            landmarks: all landmarks.
            scene_update: by the map's scene model; embeddings that it does not hold stay.
        """
        with self._changes("take the finished map"):
            self._tables.write_model(model, site_weights)
            for scene in scenes:
                self._tables.write_scene(scene)
            for keyframe in keyframes:
                ids = (keyframe.scene_id, keyframe.keyframe_id)
                self._sqlite.execute("UPDATE keyframe SET scene_id = ? WHERE keyframe_id = ?", ids)
                if has_new_descriptors:
                    self._tables.write_descriptors(keyframe.keyframe_id, keyframe.descriptors)
            self._sqlite.execute("DELETE FROM landmark_block")
            for scene_id in np.unique(landmarks.scene_ids).tolist():
                rows = np.flatnonzero(landmarks.scene_ids == scene_id)
                self._tables.write_landmarks(take_landmarks(landmarks, rows), scene_id)
            self._tables.remove_empty_scenes()
            self._scene_tables.remove_unseen()
            self._scene_tables.write_update(scene_update or SceneUpdate())

    def compact(self) -> None:
        """Give the space of removed data back to the file system; needs as much again on disk while it runs."""
        with map_errors(self.path, "be compacted"):
            if self._number("PRAGMA freelist_count") > 0:
                self._sqlite.execute("VACUUM")

    def load(self) -> LandmarkMap:
        """Read one consistent state of the whole map; writers may prepare, but not commit, while it is read.

        Raises:
            MapFormatError: damaged data.
        """
        with map_errors(self.path, "be read"):
            self._sqlite.execute("BEGIN")
            try:
                return self._tables.read_map(self.header, self.path.stat().st_size)
            finally:
                self._sqlite.execute("ROLLBACK")

    def load_scenes(self) -> tuple[Scene, ...]:
        """All scenes, by id."""
        with map_errors(self.path, "be read"):
            return self._tables.read_scenes()

    def load_keyframes(self, scene_id: int) -> tuple[Keyframe, ...]:
        """The keyframes of one scene, by id.

        Raises:
            MapFormatError: damaged data.
        """
        with map_errors(self.path, "be read"):
            return tuple(self._tables.read_keyframes(self.header.model.descriptor_dim, scene_id=scene_id))

    @contextlib.contextmanager
    def _changes(self, action: str, *, is_mapping: bool = True) -> Iterator[None]:
        """One write transaction that raises the revision; undone as a whole when anything fails."""
        with map_errors(self.path, action):
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                if is_mapping and self._stored_session() != self._session:
                    raise MapFormatError(
                        f"map {self.path}: another mapper has opened it since; stop one, or give each its own file."
                    )
                yield
                self._sqlite.execute("UPDATE header SET revision = revision + 1, updated_ns = ?", (time.time_ns(),))
                self._sqlite.execute("COMMIT")
            except BaseException:
                # a full disk makes SQLite roll back by itself
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
                raise

    def _stored_session(self) -> str:
        """Who mapped last, as it is in the file now."""
        with map_errors(self.path, "be read"):
            row = self._sqlite.execute("SELECT mapping_session FROM header").fetchone()
        return str(row[0]) if row else ""

    def _number(self, query: str) -> int:
        """The single number that a query gives."""
        with map_errors(self.path, "be read"):
            return int(self._sqlite.execute(query).fetchone()[0])

    def _check_descriptors(self, keyframe: Keyframe) -> None:
        """Raise MapFormatError unless the descriptors are those of the map's model."""
        model = self.header.model
        expected = [(len(keyframe.points_camera), model.descriptor_dim)] * len(model.radii)
        got = [scale.shape for scale in keyframe.descriptors]
        if got != expected:
            raise MapFormatError(
                f"map {self.path}: expected descriptors of shapes {expected} as {model.name} makes them, got {got};"
                " encode the keyframe with the map's model."
            )


def _without_keyframes(landmarks: Landmarks, removed: NDArray[np.int64]) -> Landmarks:
    """Drop the observations by some keyframes and then the landmarks with too few keyframes left."""
    rows = np.repeat(np.arange(len(landmarks)), np.diff(landmarks.observation_offsets))
    stays = ~np.isin(landmarks.observations[:, 0], removed)
    counts = np.bincount(rows[stays], minlength=len(landmarks))
    kept = dataclasses.replace(
        landmarks,
        observations=landmarks.observations[stays],
        observation_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
    return take_landmarks(kept, np.flatnonzero(counts >= _MIN_VIEWS))
