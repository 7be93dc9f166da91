# SPDX-License-Identifier: Apache-2.0
"""Ranking the scenes of a map."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.localization.scene_calibration import PairCalibration, SceneCalibration
from xover_core.localization.scene_index import SceneEvidence, SceneIndex
from xover_core.types import Scene, SceneModality

NUM_SCENES, DIM = 40, 8
CALIBRATION = SceneCalibration(pairs={}, fallback=PairCalibration(temperature=0.1, unknown_similarity=0.5))
SILENT = SceneEvidence(
    log_odds=np.zeros(NUM_SCENES),
    similarities=np.zeros(NUM_SCENES, np.float32),
    modalities=np.zeros(NUM_SCENES, np.int64),
)


def index_of(*embeddings: SceneEmbedding) -> SceneIndex:
    return SceneIndex([Scene(scene_id=i, center_map=np.zeros(3)) for i in range(NUM_SCENES)], embeddings)


@pytest.mark.parametrize("count", [0, 1, 7, NUM_SCENES - 1, NUM_SCENES, NUM_SCENES + 1, None])
def test_the_best_scenes_are_those_of_a_full_sort_also_among_equals(count: int | None) -> None:
    # few different values, so that the border runs through equal ones
    probabilities = np.random.default_rng(0).integers(4, size=NUM_SCENES) / 10
    expected = sorted(range(NUM_SCENES), key=lambda i: (-probabilities[i], i))[:count]
    assert [match.scene_id for match in index_of().matches(probabilities, SILENT, count)] == expected


def test_the_modality_that_speaks_loudest_is_told_with_its_similarity() -> None:
    query = np.eye(DIM, dtype=np.float32)[0]

    def embedding(scene_id: int, modality: SceneModality, cosine: float) -> SceneEmbedding:
        vector = np.zeros(DIM, np.float32)
        vector[:2] = cosine, np.sqrt(1 - cosine**2)
        return SceneEmbedding(scene_id=scene_id, modality=modality, num_sources=1, vector=vector)

    index = index_of(
        embedding(3, SceneModality.IMAGE, 0.6),
        embedding(3, SceneModality.TEXT, 0.9),
        embedding(5, SceneModality.IMAGE, 0.8),
    )
    evidence = index.weigh({SceneModality.TEXT: query}, CALIBRATION)
    names = list(SceneModality)
    assert names[evidence.modalities[3]] is SceneModality.TEXT
    assert names[evidence.modalities[5]] is SceneModality.IMAGE
    assert evidence.similarities[[3, 5]] == pytest.approx([0.9, 0.8])
    # (0.6 - 0.5) / 0.1 + (0.9 - 0.5) / 0.1, and (0.8 - 0.5) / 0.1
    assert evidence.log_odds[[3, 5, 0]] == pytest.approx([5.0, 3.0, 0.0], abs=1e-5)
