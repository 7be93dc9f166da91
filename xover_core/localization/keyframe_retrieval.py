# SPDX-License-Identifier: Apache-2.0
"""Which scenes look like the query, by the similarity of their keyframes, and which keyframes to favour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import RetrievalSettings
from xover_core.localization.scene_means import BestViewMeans
from xover_core.localization.signature_search import SignatureSearch
from xover_core.types import Float32Array, Float64Array, Scene, SceneMatch

# No scene is held to be less probable than this share of an even chance, so that every keyframe can still be found.
MIN_SHARE_OF_CHANCE = 1e-3
# Scenes that an answer tells of; nobody reads more, and thousands would take longer to list than to rank.
MAX_RANKED_SCENES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLikeness:
    """How alike the keyframes of each scene are to a query.

    Attributes:
        scene_ids: (S,) of the scenes that have keyframes, ascending.
        similarities: (S,).
    """

    scene_ids: NDArray[np.int64]
    similarities: Float64Array


class KeyframeRetriever:
    """Ranks a fixed set of keyframes and their scenes."""

    def __init__(
        self,
        search: SignatureSearch,
        scene_ids: NDArray[np.int64],
        scenes: Sequence[Scene],
        settings: RetrievalSettings,
    ) -> None:
        """Make it.

        Args:
            search: compares a query with the keyframes.
            scene_ids: (K,) of the keyframes.
            scenes: of the map, at least those of its keyframes.
            settings: of scenes' probabilities.
        """
        self._search = search
        self._settings = settings
        self._scene_ids, self._scene_rows = np.unique(scene_ids, return_inverse=True)
        self._means = BestViewMeans(self._scene_rows, len(self._scene_ids))
        names = {scene.scene_id: scene.name for scene in scenes}
        self._names = [names[scene_id] for scene_id in self._scene_ids.tolist()]

    def similarities(self, descriptors: Float32Array) -> Float32Array:
        """(K,) cosine similarity of each keyframe to an image with (N, D) patch descriptors."""
        return self._search.similarities(descriptors)

    def scene_likeness(self, similarities: Float32Array) -> SceneLikeness:
        """Scenes by the (K,) similarities of their keyframes."""
        return SceneLikeness(scene_ids=self._scene_ids, similarities=self._means(similarities))

    def rank_scenes(self, similarities: Float32Array) -> list[SceneMatch]:
        """The most alike scenes, best first; probabilities leave room for "none of these"."""
        values = self._means(similarities)
        logits = (values - self._settings.unknown_similarity) / self._settings.temperature
        # "none of these" has logit 0; the largest is taken off so that no exponential overflows
        largest = max(float(logits.max(initial=0.0)), 0.0)
        weights = np.exp(logits - largest)
        probabilities = weights / (np.exp(-largest) + weights.sum())
        return [
            SceneMatch(
                scene_id=int(self._scene_ids[row]),
                name=self._names[row],
                probability=float(probabilities[row]),
                similarity=float(values[row]),
            )
            for row in np.argsort(-probabilities, kind="stable")[:MAX_RANKED_SCENES]
        ]

    def favor_scenes(self, similarities: Float32Array, scenes: Sequence[SceneMatch], weight: float) -> Float32Array:
        """Similarities of the keyframes, raised where their scene is probable; none is excluded.

        Args:
            similarities: (K,) of the keyframes.
            scenes: the most probable ones.
            weight: similarity that a keyframe gains when its scene is more probable by a factor e.
        """
        smallest = MIN_SHARE_OF_CHANCE / len(self._scene_ids)
        probabilities = np.full(len(self._scene_ids), smallest)
        ranked = np.array([scene.scene_id for scene in scenes], np.int64)
        values = np.array([scene.probability for scene in scenes])
        has_keyframes = np.isin(ranked, self._scene_ids)
        rows = np.searchsorted(self._scene_ids, ranked[has_keyframes])
        probabilities[rows] = np.maximum(values[has_keyframes], smallest)
        return np.asarray(similarities + weight * np.log(probabilities)[self._scene_rows], np.float32)


def best_rows(values: Float32Array, count: int) -> list[int]:
    """Rows of the largest of (K,) values, the largest first; earlier ones first among equals."""
    if count < len(values):
        smallest = np.partition(values, len(values) - count)[len(values) - count]
        rows = np.flatnonzero(values >= smallest)
    else:
        rows = np.arange(len(values))
    return [int(row) for row in rows[np.argsort(-values[rows], kind="stable")][:count]]
