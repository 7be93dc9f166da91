# SPDX-License-Identifier: Apache-2.0
"""What a map file keeps of its scenes, in transactions: `MapStorage.scenes`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import MapFormatError
from xover_core.landmark_map.map_connection import map_errors
from xover_core.landmark_map.scene_data import TOLD_MODALITIES, SceneEmbedding, SceneSource, SceneUpdate
from xover_core.landmark_map.scene_tables import SceneTables
from xover_core.types import ModelInfo


class Changes(Protocol):
    """One write transaction of the map."""

    def __call__(self, action: str, *, is_mapping: bool = True) -> AbstractContextManager[None]:
        """Begin it; `is_mapping` = only the last mapper may."""
        ...


class SceneStorage:
    """Descriptions of views, embeddings of scenes, and sources, of one open map."""

    def __init__(self, sqlite: sqlite3.Connection, path: Path, changes: Changes) -> None:
        self._sqlite = sqlite
        self._path = path
        self._changes = changes
        self._tables = SceneTables(sqlite)

    @property
    def model(self) -> ModelInfo | None:
        """The model of views and embeddings; None while there are none."""
        with map_errors(self._path, "be read"):
            return self._tables.read_model()

    def read_views(self) -> dict[int, NDArray[np.float16]]:
        """(E,) description of each keyframe that has one, by its id."""
        with map_errors(self._path, "be read"):
            return self._tables.read_views()

    def read_embeddings(self) -> tuple[SceneEmbedding, ...]:
        """All embeddings, by scene."""
        with map_errors(self._path, "be read"):
            return self._tables.read_embeddings()

    def read_sources(self) -> tuple[SceneSource, ...]:
        """All texts and drawings, by scene and in the order in which they were added."""
        with map_errors(self._path, "be read"):
            return self._tables.read_sources()

    def begin_model(self, model: ModelInfo) -> None:
        """Say that views and embeddings are of this model from now on.

        Raises:
            MapFormatError: those in the file are of another model.
        """
        if self.model == model:
            return
        with self._changes("take a scene model", is_mapping=False):
            known = self._tables.read_model()
            if known is not None and known != model:
                raise MapFormatError(
                    f"map {self._path}: its scenes were described by {known.name} (checksum {known.checksum[:12]}), not"
                    f" by {model.name} ({model.checksum[:12]}); describe them anew with `xover scene refresh`."
                )
            self._tables.write_model(model)

    def put_embeddings(self, embeddings: Sequence[SceneEmbedding]) -> None:
        """Replace the embeddings of some scenes; for the mapper."""
        with self._changes("store embeddings of scenes"):
            self._tables.write_update(SceneUpdate(embeddings=tuple(embeddings)))

    def describe(
        self, scene_id: int, sources: Sequence[SceneSource], embeddings: Sequence[SceneEmbedding], *, replace: bool
    ) -> None:
        """Add what a user tells of a scene; allowed while another process maps.

        Without a new embedding, the scene has none in this modality until somebody with a model makes it.

        Args:
            scene_id: the scene.
            sources: texts, which are added, and a drawing, which replaces the one before.
            embeddings: of all the scene's sources of the same modalities as they are then; none without a model.
            replace: remove what was told before.

        Raises:
            MapFormatError: no such scene.
        """
        with self._changes("describe a scene", is_mapping=False):
            self.check_scene(scene_id, "describe")
            if replace:
                self._tables.remove_told(scene_id, TOLD_MODALITIES)
            for source in sources:
                self._tables.add_source(source)
                self._tables.remove_embedding(scene_id, source.modality)
            self._tables.write_update(SceneUpdate(embeddings=tuple(embeddings)))

    def replace_derived(self, model: ModelInfo, update: SceneUpdate) -> None:
        """Replace everything that a model made by what another, or the same one, makes of the sources."""
        with self._changes("take new embeddings of scenes"):
            self._tables.remove_derived()
            self._tables.write_model(model)
            self._tables.write_update(update)

    def check_scene(self, scene_id: int, purpose: str) -> None:
        """Raise MapFormatError when there is no such scene; `purpose` completes "no scene N to"."""
        known = [row[0] for row in self._sqlite.execute("SELECT scene_id FROM scene ORDER BY scene_id")]
        if scene_id not in known:
            there = ", ".join(str(i) for i in known) or "none"
            raise MapFormatError(f"map {self._path}: there is no scene {scene_id} to {purpose}; there are: {there}.")
