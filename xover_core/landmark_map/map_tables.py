# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the tables of a map file; transactions are the caller's."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

import xover_core
from xover_core.landmark_map import map_rows
from xover_core.landmark_map.landmark_arrays import concatenate_landmarks, empty_landmarks
from xover_core.landmark_map.landmark_blocks import ResidentBlocks
from xover_core.landmark_map.landmark_map import LandmarkMap, MapHeader
from xover_core.landmark_map.map_schema import (
    APPLICATION_ID,
    CREATE_STATEMENTS,
    PATCH_MODEL_ROLE,
    SCENE_SCHEMA_VERSION,
    SCHEMA_VERSION,
    SIGNATURE_SCHEMA_VERSION,
)
from xover_core.landmark_map.scene_tables import SceneTables
from xover_core.landmark_map.signature_tables import SignatureTables
from xover_core.types import Keyframe, Landmarks, ModelInfo, Scene

_KEYFRAME_COLUMNS = "scene_id, camera_id, stamp_ns, crc32, point_step, T_map_camera, points, thumbnail_jpeg"
_CAMERA_COLUMNS = "fx, fy, cx, cy, width, height, grid_rows, grid_cols, keypoints_px"
_LANDMARK_BLOBS = "landmark_ids, positions_map, embeddings, scores, observation_offsets, observations"


class MapTables:
    """The tables of one open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection
        self._scenes = SceneTables(connection)
        self._signatures = SignatureTables(connection)

    def create(self, header: MapHeader) -> None:
        """Make all tables and write the header."""
        for statement in CREATE_STATEMENTS:
            self._sqlite.execute(statement)
        self._scenes.create()
        self._signatures.create()
        self._sqlite.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._sqlite.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        now = time.time_ns()
        row = (header.map_id, header.revision, header.frame_id, now, now, xover_core.__version__, "")
        self._sqlite.execute("INSERT INTO header VALUES (1, ?, ?, ?, ?, ?, ?, ?)", row)
        self.write_model(header.model, header.site_weights)

    def read_version(self) -> int:
        """The schema version of the file as it is now."""
        return int(self._sqlite.execute("PRAGMA user_version").fetchone()[0])

    def upgrade(self) -> None:
        """Complete the tables of an older schema version."""
        version = self.read_version()
        if version < SCENE_SCHEMA_VERSION:
            self._scenes.create()
        if version < SIGNATURE_SCHEMA_VERSION:
            self._signatures.create()
        self._sqlite.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def read_header(self) -> MapHeader | None:
        """The header; None when there is none."""
        columns = "map_id, revision, frame_id, name, checksum, descriptor_dim, radii, site_weights"
        query = f"SELECT {columns} FROM header, model WHERE role = ?"
        row = self._sqlite.execute(query, (PATCH_MODEL_ROLE,)).fetchone()
        if row is None:
            return None
        map_id, revision, frame_id, name, checksum, dim, radii_blob, site_weights = row
        radii = tuple(map_rows.from_blob(radii_blob, "<f8", -1).tolist())
        return MapHeader(
            schema_version=self.read_version(),
            map_id=map_id,
            revision=revision,
            model=ModelInfo(name=name, checksum=checksum, descriptor_dim=dim, radii=radii),
            site_weights=site_weights,
            frame_id=frame_id,
            scene_model=self._scenes.read_model(),
        )

    def read_map(self, header: MapHeader, size_bytes: int) -> LandmarkMap:
        """Everything; needs a transaction around it, since it goes through several tables."""
        dim, radius = header.model.descriptor_dim, header.model.radii[0]
        blocks = list(self.read_landmark_blocks(dim))
        return LandmarkMap(
            header=header,
            scenes=self.read_scenes(),
            keyframes=tuple(self.read_keyframes(dim)),
            blocks=ResidentBlocks(concatenate_landmarks(blocks) if blocks else empty_landmarks(dim, radius)),
            size_bytes=size_bytes,
            scene_embeddings=self._scenes.read_embeddings(),
            scene_views=self._scenes.read_views(),
        )

    def read_scenes(self) -> tuple[Scene, ...]:
        """All scenes by id."""
        rows = self._sqlite.execute("SELECT * FROM scene ORDER BY scene_id")
        return tuple(map_rows.read_scene(row) for row in rows)

    def landmark_bytes(self) -> int:
        """Bytes of all landmarks."""
        lengths = " + ".join(f"length({name})" for name in _LANDMARK_BLOBS.split(", "))
        return int(self._sqlite.execute(f"SELECT coalesce(sum({lengths}), 0) FROM landmark_block").fetchone()[0])

    def write_model(self, model: ModelInfo, site_weights: bytes) -> None:
        """Replace the model of the patch descriptors."""
        radii = map_rows.to_blob(np.array(model.radii), "<f8")
        row = (PATCH_MODEL_ROLE, model.name, model.checksum, model.descriptor_dim, radii, site_weights)
        self._sqlite.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?, ?)", row)

    def write_scene(self, scene: Scene) -> None:
        """Add a scene, or move the centre of the one with this id."""
        row = (scene.scene_id, *scene.center_map.tolist(), scene.building, scene.floor, scene.room)
        self._sqlite.execute(
            "INSERT INTO scene VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scene_id) DO UPDATE SET"
            " center_x = excluded.center_x, center_y = excluded.center_y, center_z = excluded.center_z",
            row,
        )

    def remove_empty_scenes(self) -> None:
        """Remove the scenes that have neither a keyframe nor a name nor anything that a user told of them."""
        self._sqlite.execute(
            "DELETE FROM scene WHERE building || floor || room = '' AND scene_id NOT IN"
            " (SELECT scene_id FROM keyframe UNION SELECT scene_id FROM scene_source)"
        )

    def write_keyframe(self, keyframe: Keyframe) -> int:
        """Add a keyframe with its descriptors; returns its id."""
        values = map_rows.keyframe_row(keyframe, self._camera_id(keyframe))
        statement = f"INSERT INTO keyframe ({_KEYFRAME_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        keyframe_id = self._sqlite.execute(statement, values).lastrowid or 0
        self.write_descriptors(keyframe_id, keyframe.descriptors)
        return keyframe_id

    def write_descriptors(self, keyframe_id: int, descriptors: Sequence[NDArray[np.float16]]) -> None:
        """Replace the descriptors of a keyframe, all scales."""
        for scale, array in enumerate(descriptors):
            blob = map_rows.to_blob(array, "<f2")
            row = (keyframe_id, scale, map_rows.checksum(blob), blob)
            self._sqlite.execute("INSERT OR REPLACE INTO descriptors VALUES (?, ?, ?, ?)", row)

    def write_landmarks(self, landmarks: Landmarks, scene_id: int) -> None:
        """Replace the landmarks of a scene."""
        row = map_rows.landmark_row(landmarks, scene_id)
        self._sqlite.execute("INSERT OR REPLACE INTO landmark_block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def read_landmark_blocks(self, descriptor_dim: int, scene_id: int | None = None) -> Iterator[Landmarks]:
        """The landmarks of one scene after the other, or those of one scene, if it has any."""
        chosen, values = _condition(scene_id=scene_id)
        for row in self._sqlite.execute(f"SELECT * FROM landmark_block {chosen} ORDER BY scene_id", values).fetchall():
            yield map_rows.read_landmarks(row, descriptor_dim)

    def read_keyframes(
        self, descriptor_dim: int, *, scene_id: int | None = None, keyframe_id: int | None = None
    ) -> Iterator[Keyframe]:
        """Keyframes by id: all, or those of one scene, or a single one, if it is there."""
        chosen, values = _condition(scene_id=scene_id, keyframe_id=keyframe_id)
        rows = self._sqlite.execute(f"SELECT camera_id, {_CAMERA_COLUMNS} FROM camera")
        cameras = {row[0]: map_rows.read_camera(row[1:]) for row in rows}
        scales: dict[int, list[NDArray[np.float16]]] = {}
        ids = f"SELECT keyframe_id FROM keyframe {chosen}"
        query = f"SELECT * FROM descriptors WHERE keyframe_id IN ({ids}) ORDER BY keyframe_id, scale"
        for row in self._sqlite.execute(query, values):
            scales.setdefault(row[0], []).append(map_rows.read_descriptors(row, descriptor_dim))
        query = f"SELECT keyframe_id, {_KEYFRAME_COLUMNS} FROM keyframe {chosen} ORDER BY keyframe_id"
        for row in self._sqlite.execute(query, values):
            yield map_rows.read_keyframe(row, cameras[row[2]], tuple(scales.get(row[0], ())))

    def _camera_id(self, keyframe: Keyframe) -> int:
        """Id of the keyframe's camera and grid, stored once for all keyframes that share them."""
        row = map_rows.camera_row(keyframe)
        condition = " AND ".join(f"{name} = ?" for name in _CAMERA_COLUMNS.split(", "))
        known = self._sqlite.execute(f"SELECT camera_id FROM camera WHERE {condition}", row).fetchone()
        if known is not None:
            return int(known[0])
        statement = f"INSERT INTO camera ({_CAMERA_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        return self._sqlite.execute(statement, row).lastrowid or 0


def _condition(**columns: int | None) -> tuple[str, tuple[int, ...]]:
    """WHERE clause with its values for the columns that are given."""
    given = {name: value for name, value in columns.items() if value is not None}
    clause = " AND ".join(f"{name} = ?" for name in given)
    return (f"WHERE {clause}" if given else ""), tuple(given.values())
