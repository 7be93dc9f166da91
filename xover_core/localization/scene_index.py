# SPDX-License-Identifier: Apache-2.0
"""All embeddings of a map's scenes as one matrix for each modality, and what a query's embeddings say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.localization.scene_calibration import SceneCalibration
from xover_core.localization.scene_means import BestViewMeans
from xover_core.types import Float32Array, Float64Array, Scene, SceneMatch, SceneModality

# Scenes that an answer tells of.
MAX_MATCHES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEvidence:
    """What a query says of S scenes.

    Attributes:
        log_odds: (S,) that the query is of the scene rather than of none; 0 = nothing said.
        similarities: (S,) cosine similarity with the embedding that speaks loudest for the scene; 0 without any.
        modalities: (S,) which embedding that is, as a row of `SceneModality`.
    """

    log_odds: Float64Array
    similarities: Float32Array
    modalities: NDArray[np.int64]


class SceneIndex:
    """Scenes of a map with their embeddings, made ready for search."""

    def __init__(
        self,
        scenes: Sequence[Scene],
        embeddings: Sequence[SceneEmbedding],
        views: Sequence[tuple[int, Float32Array]] = (),
    ) -> None:
        """Make it.

        Args:
            scenes: that are ranked.
            embeddings: of them, in whatever modalities they have.
            views: scene id and (768,) embedding of single views; a picture is compared with these instead of with the
                embedding of all views together, where there are any.
        """
        self.scenes = tuple(scenes)
        rows = {scene.scene_id: row for row, scene in enumerate(self.scenes)}
        self._matrices: dict[SceneModality, tuple[NDArray[np.int64], Float32Array]] = {}
        for modality in SceneModality:
            own = [e for e in embeddings if e.modality is modality and e.scene_id in rows]
            if own:
                vectors = np.stack([e.vector for e in own]).astype(np.float32)
                self._matrices[modality] = np.array([rows[e.scene_id] for e in own], np.int64), vectors

        known = [(rows[scene_id], vector) for scene_id, vector in views if scene_id in rows]
        view_rows = np.array([row for row, _ in known], np.int64)
        self._view_means = BestViewMeans(view_rows, len(self.scenes))
        self._views = np.stack([vector for _, vector in known]) if known else np.zeros((0, 0), np.float32)

    @property
    def modalities(self) -> frozenset[SceneModality]:
        """Modalities that at least one scene has."""
        return frozenset(self._matrices)

    def similarities(self, embedding: Float32Array, modality: SceneModality) -> Float32Array:
        """(S,) cosine of a (768,) embedding with those of the scenes in one modality; NaN where there is none."""
        values = np.full(len(self.scenes), np.nan, np.float32)
        if modality in self._matrices:
            rows, vectors = self._matrices[modality]
            # a text has nothing in the last dimensions: what is not read costs no time
            length = int(np.flatnonzero(embedding).max(initial=-1)) + 1
            values[rows] = vectors[:, :length] @ embedding[:length]
        return values

    def view_similarities(self, embedding: Float32Array) -> Float32Array:
        """(S,) mean cosine of a picture's (768,) embedding with the most similar views of each scene.

        Where no view of a scene is known, that with its views together; NaN where there is none of these either.
        """
        values = self.similarities(embedding, SceneModality.IMAGE)
        if len(self._views):
            means = self._view_means(self._views @ embedding)
            has_views = np.isfinite(means)
            values[has_views] = means[has_views]
        return values

    def weigh(self, query: Mapping[SceneModality, Float32Array], calibration: SceneCalibration) -> SceneEvidence:
        """What the embeddings of a query, by modality, say of each scene."""
        total = np.zeros(len(self.scenes))
        loudest = np.full(len(self.scenes), -np.inf)
        similarities, modalities = np.zeros(len(self.scenes), np.float32), np.zeros(len(self.scenes), np.int64)
        order = list(SceneModality)
        for asked, embedding in query.items():
            for stored in self._matrices:
                are_pictures = asked is stored is SceneModality.IMAGE
                values = self.view_similarities(embedding) if are_pictures else self.similarities(embedding, stored)
                odds = calibration.of(asked, stored).log_odds(values)
                total += odds
                speaks = np.isfinite(values) & (odds > loudest)
                loudest = np.where(speaks, odds, loudest)
                similarities = np.where(speaks, values, similarities)
                modalities = np.where(speaks, order.index(stored), modalities)
        return SceneEvidence(log_odds=total, similarities=similarities, modalities=modalities)

    def matches(
        self, probabilities: Float64Array, evidence: SceneEvidence, max_matches: int | None = MAX_MATCHES
    ) -> list[SceneMatch]:
        """Scenes, the most probable first.

        Args:
            probabilities: (S,) at least.
            evidence: of the same query.
            max_matches: the best so many; None = all.
        """
        names = list(SceneModality)
        order = _best(probabilities[: len(self.scenes)], max_matches)
        return [
            SceneMatch(
                scene_id=self.scenes[i].scene_id,
                name=self.scenes[i].name,
                probability=float(probabilities[i]),
                similarity=float(evidence.similarities[i]),
                modality=names[evidence.modalities[i]].value,
            )
            for i in order
        ]


def _best(values: Float64Array, count: int | None) -> NDArray[np.intp]:
    """Rows of the largest values, these first; of equal ones the earlier. All are sorted only where all are wanted."""
    rows = np.arange(len(values))
    if count is not None and 0 < count < len(values):
        rows = np.flatnonzero(values >= np.partition(values, -count)[-count])
    return rows[np.argsort(-values[rows], kind="stable")][:count]
