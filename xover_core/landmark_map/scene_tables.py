# SPDX-License-Identifier: Apache-2.0
"""Rows of what a map file keeps of its scenes: views, embeddings, sources; transactions are the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.scene_encoder import EMBEDDING_DIM
from xover_core.landmark_map import map_rows
from xover_core.landmark_map.map_rows import DamagedRowError
from xover_core.landmark_map.map_schema import SCENE_MODEL_ROLE, SCENE_SCHEMA_VERSION, SCENE_STATEMENTS
from xover_core.landmark_map.scene_data import KEYFRAME_MODALITIES, SceneEmbedding, SceneSource, SceneUpdate
from xover_core.types import ModelInfo, SceneModality

_KEYFRAME_MODALITIES = ", ".join(f"'{modality.value}'" for modality in KEYFRAME_MODALITIES)


class SceneTables:
    """The tables of one open file that describe scenes. A map of schema version 1 has none, so nothing is read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection

    def create(self) -> None:
        """Make the tables."""
        for statement in SCENE_STATEMENTS:
            self._sqlite.execute(statement)

    def read_model(self) -> ModelInfo | None:
        """The model of views and embeddings; None while there are none."""
        query = "SELECT name, checksum, descriptor_dim FROM model WHERE role = ?"
        row = self._sqlite.execute(query, (SCENE_MODEL_ROLE,)).fetchone()
        return None if row is None else ModelInfo(name=row[0], checksum=row[1], descriptor_dim=row[2], radii=())

    def write_model(self, model: ModelInfo) -> None:
        """Say which model views and embeddings are of."""
        row = (SCENE_MODEL_ROLE, model.name, model.checksum, model.descriptor_dim, b"", b"")
        self._sqlite.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?, ?)", row)

    def read_views(self) -> dict[int, NDArray[np.float16]]:
        """(E,) description of each keyframe that has one, by its id."""
        rows = self._rows("SELECT keyframe_id, crc32, float16 FROM view_description ORDER BY keyframe_id")
        return {row[0]: _numbers(row[1], row[2], f"the view of keyframe {row[0]}") for row in rows}

    def write_view(self, keyframe_id: int, view: NDArray[np.float16]) -> None:
        """Replace the description of a keyframe."""
        blob = map_rows.to_blob(view, "<f2")
        row = (keyframe_id, map_rows.checksum(blob), blob)
        self._sqlite.execute("INSERT OR REPLACE INTO view_description VALUES (?, ?, ?)", row)

    def read_embeddings(self) -> tuple[SceneEmbedding, ...]:
        """All embeddings, by scene."""
        columns = "scene_id, modality, num_sources, crc32, float16"
        rows = self._rows(f"SELECT {columns} FROM scene_embedding ORDER BY scene_id, modality")
        return tuple(_read_embedding(row) for row in rows)

    def write_embedding(self, embedding: SceneEmbedding) -> None:
        """Replace the embedding of a scene in one modality."""
        blob = map_rows.to_blob(embedding.vector, "<f2")
        scene_id, modality, num = embedding.scene_id, embedding.modality.value, embedding.num_sources
        row = (scene_id, modality, num, map_rows.checksum(blob), blob)
        self._sqlite.execute("INSERT OR REPLACE INTO scene_embedding VALUES (?, ?, ?, ?, ?)", row)

    def remove_embedding(self, scene_id: int, modality: SceneModality) -> None:
        """Remove the embedding of a scene in one modality, if it has one."""
        key = (scene_id, modality.value)
        self._sqlite.execute("DELETE FROM scene_embedding WHERE scene_id = ? AND modality = ?", key)

    def write_update(self, update: SceneUpdate) -> None:
        """Write descriptions and embeddings."""
        for keyframe_id, view in update.views.items():
            self.write_view(keyframe_id, view)
        for embedding in update.embeddings:
            self.write_embedding(embedding)

    def read_sources(self) -> tuple[SceneSource, ...]:
        """All texts and drawings, by scene and in the order in which they were added."""
        columns = "source_id, scene_id, modality, pixels_per_m, crc32, content"
        rows = self._rows(f"SELECT {columns} FROM scene_source ORDER BY scene_id, source_id")
        return tuple(_read_source(row) for row in rows)

    def add_source(self, source: SceneSource) -> None:
        """Add a text, or replace the drawing of the scene."""
        if source.modality is SceneModality.FLOORPLAN:
            self.remove_told(source.scene_id, [SceneModality.FLOORPLAN])
        row = (source.scene_id, source.modality.value, source.pixels_per_m, map_rows.checksum(source.content))
        columns = "scene_id, modality, pixels_per_m, crc32, content"
        self._sqlite.execute(f"INSERT INTO scene_source ({columns}) VALUES (?, ?, ?, ?, ?)", (*row, source.content))

    def remove_told(self, scene_id: int, modalities: Iterable[SceneModality]) -> None:
        """Remove sources of a scene with their embeddings."""
        keys = [(scene_id, modality.value) for modality in modalities]
        for table in ("scene_source", "scene_embedding"):
            self._sqlite.executemany(f"DELETE FROM {table} WHERE scene_id = ? AND modality = ?", keys)

    def remove_derived(self) -> None:
        """Remove all that a model made; the sources stay."""
        self._sqlite.execute("DELETE FROM view_description")
        self._sqlite.execute("DELETE FROM scene_embedding")

    def remove_unseen(self) -> None:
        """Remove what is known from keyframes of scenes that have none any more."""
        self._sqlite.execute(
            f"DELETE FROM scene_embedding WHERE modality IN ({_KEYFRAME_MODALITIES})"
            " AND scene_id NOT IN (SELECT scene_id FROM keyframe)"
        )

    def _rows(self, query: str) -> Iterable[map_rows.Row]:
        version = self._sqlite.execute("PRAGMA user_version").fetchone()[0]
        return self._sqlite.execute(query) if version >= SCENE_SCHEMA_VERSION else ()


def _numbers(crc: int, blob: bytes, what: str) -> NDArray[np.float16]:
    """The float16 of a blob; DamagedRowError when they are not those that were written."""
    if map_rows.checksum(blob) != crc:
        raise DamagedRowError(f"{what} does not fit its checksum")
    return map_rows.from_blob(blob, "<f2", -1)


def _read_embedding(row: map_rows.Row) -> SceneEmbedding:
    """Embedding of a row, of norm 1 again after the rounding; DamagedRowError when it is not what was written."""
    scene_id, modality, num_sources, crc, blob = row
    vector = _numbers(crc, blob, f"the {modality} embedding of scene {scene_id}").astype(np.float32)
    if modality not in [m.value for m in SceneModality] or vector.shape != (EMBEDDING_DIM,):
        raise DamagedRowError(
            f"scene {scene_id}: expected {EMBEDDING_DIM} numbers of a known modality, got {len(vector)} of {modality!r}"
        )
    return SceneEmbedding(
        scene_id=scene_id,
        modality=SceneModality(modality),
        num_sources=num_sources,
        vector=vector / max(float(np.linalg.norm(vector)), 1e-9),
    )


def _read_source(row: map_rows.Row) -> SceneSource:
    """Source of a row; DamagedRowError when it is not what was written."""
    source_id, scene_id, modality, pixels_per_m, crc, content = row
    if map_rows.checksum(content) != crc:
        raise DamagedRowError(f"source {source_id} of scene {scene_id} does not fit its checksum")
    return SceneSource(scene_id=scene_id, modality=SceneModality(modality), content=content, pixels_per_m=pixels_per_m)
