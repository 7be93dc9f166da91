# SPDX-License-Identifier: Apache-2.0
"""Which keyframes, and so which scenes, look like the query: VLAD over patch descriptors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xover_core.config import RetrievalSettings
from xover_core.localization.keyframe_store import StoredView
from xover_core.landmark_map.vlad import encode_vlad, fit_vocabulary
from xover_core.types import Float32Array, Scene, SceneMatch

# More descriptors than this do not change the vocabulary, only the time to fit it.
MAX_VOCABULARY_SAMPLES = 20_000
# No scene is held to be less probable than this, so that every keyframe can still be found.
MIN_SCENE_PROBABILITY = 1e-3
# A scene is as similar as the mean of its best keyframes; one alone would let a chance likeness win.
KEYFRAMES_PER_SCENE = 3


class KeyframeRetriever:
    """Ranks a fixed set of keyframes; the vocabulary is fitted to their own patches."""

    def __init__(
        self,
        views: Sequence[StoredView],
        scenes: Sequence[Scene],
        settings: RetrievalSettings,
        rng: np.random.Generator,
    ) -> None:
        """Fit the vocabulary and encode all views."""
        self._scenes = scenes
        self._settings = settings
        self._scene_ids = np.array([view.keyframe.scene_id for view in views], dtype=np.int64)
        self._words = _fit_words(views, settings.vocabulary_size, rng)
        self._vectors = np.stack([encode_vlad(view.descriptors, self._words) for view in views])

    def similarities(self, descriptors: Float32Array) -> Float32Array:
        """(K,) cosine similarity of each keyframe to an image with (N, D) patch descriptors."""
        return self._vectors @ encode_vlad(descriptors, self._words)

    def rank_scenes(self, similarities: Float32Array) -> list[SceneMatch]:
        """Scenes by likeness, best first; probabilities leave room for "none of these"."""
        present = [scene for scene in self._scenes if (self._scene_ids == scene.scene_id).any()]
        values = np.array([self._scene_similarity(scene.scene_id, similarities) for scene in present])
        logits = (values - self._settings.unknown_similarity) / self._settings.temperature
        # "none of these" has logit 0; the largest is taken off so that no exponential overflows
        largest = max(float(logits.max(initial=0.0)), 0.0)
        weights = np.exp(logits - largest)
        probabilities = weights / (np.exp(-largest) + weights.sum())
        matches = [
            SceneMatch(scene_id=s.scene_id, name=s.name, probability=float(p), similarity=float(v))
            for s, p, v in zip(present, probabilities, values, strict=True)
        ]
        return sorted(matches, key=lambda match: -match.probability)

    def favor_scenes(self, similarities: Float32Array, scenes: Sequence[SceneMatch], weight: float) -> Float32Array:
        """Similarities of the keyframes, raised where their scene is probable; none is excluded.

        Args:
            similarities: (K,) of the keyframes.
            scenes: all of the map, with their probabilities.
            weight: similarity that a keyframe gains when its scene is more probable by a factor e.
        """
        bonus = {s.scene_id: weight * np.log(max(s.probability, MIN_SCENE_PROBABILITY)) for s in scenes}
        return np.asarray(similarities + np.array([bonus[int(i)] for i in self._scene_ids]), np.float32)

    def _scene_similarity(self, scene_id: int, similarities: Float32Array) -> float:
        """Mean similarity of the best keyframes of a scene."""
        own = np.sort(similarities[self._scene_ids == scene_id])
        return float(own[-KEYFRAMES_PER_SCENE:].mean())


def _fit_words(views: Sequence[StoredView], num_words: int, rng: np.random.Generator) -> Float32Array:
    """Vocabulary of a sample of patches drawn evenly from all views."""
    per_view = max(1, MAX_VOCABULARY_SAMPLES // len(views))
    samples = [view.descriptors[rng.permutation(len(view.descriptors))[:per_view]] for view in views]
    return fit_vocabulary(np.concatenate(samples), num_words, rng)
