# SPDX-License-Identifier: Apache-2.0
"""Ranking of keyframes and scenes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import look_at
from localization_cases import room_view

from xover_core.config import RetrievalSettings
from xover_core.localization.keyframe_retrieval import KeyframeRetriever
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.signature_search import make_search
from xover_core.types import Scene

SETTINGS = RetrievalSettings(vocabulary_size=16)
NUM_PATCHES, DIM = 120, 16
SCENES = (Scene(scene_id=1, center_map=np.zeros(3), room="kitchen"), Scene(scene_id=2, center_map=np.ones(3)))


def unit(descriptors: np.ndarray) -> np.ndarray:
    return (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def views(random) -> list[StoredView]:
    """Three keyframes in each of two scenes; those of a scene share most of their patches."""
    found = []
    empty = room_view(look_at((0.0, 0.0, 0.0), 0.0))
    for scene_id in (1, 2):
        patches = random.normal(size=(NUM_PATCHES, DIM))
        for i in range(3):
            keyframe = dataclasses.replace(empty.keyframe, keyframe_id=3 * scene_id + i, scene_id=scene_id)
            descriptors = unit(patches + random.normal(scale=0.2, size=patches.shape))
            found.append(dataclasses.replace(empty, keyframe=keyframe, descriptors=descriptors))
    return found


def make_retriever(views, settings=SETTINGS, scenes=SCENES) -> KeyframeRetriever:
    search = make_search(views, None, settings.vocabulary_size, np.random.default_rng(0))
    return KeyframeRetriever(search, np.array([v.keyframe.scene_id for v in views]), scenes, settings)


def test_each_keyframe_is_most_similar_to_itself(views):
    retriever = make_retriever(views)
    for i, view in enumerate(views):
        similarities = retriever.similarities(view.descriptors)
        assert similarities.shape == (6,)
        assert similarities.argmax() == i
        assert similarities[i] == pytest.approx(1, abs=1e-5)


def test_a_new_view_finds_its_scene(views, random):
    retriever = make_retriever(views)
    query = unit(views[4].descriptors + random.normal(scale=0.05, size=(NUM_PATCHES, DIM)))
    similarities = retriever.similarities(query)
    assert similarities[3:].min() > similarities[:3].max()
    ranked = retriever.rank_scenes(similarities)
    assert [match.scene_id for match in ranked] == [2, 1]
    assert [match.name for match in ranked] == ["scene 2", "kitchen"]
    assert ranked[0].similarity == pytest.approx(similarities[3:].mean(), abs=1e-5)


def test_probabilities_leave_room_for_none_of_these(views):
    retriever = make_retriever(views)
    at_threshold = np.full(6, SETTINGS.unknown_similarity, np.float32)
    # two scenes and "none" are equally probable
    assert [m.probability for m in retriever.rank_scenes(at_threshold)] == pytest.approx([1 / 3, 1 / 3], abs=1e-4)
    assert sum(m.probability for m in retriever.rank_scenes(np.full(6, -1.0, np.float32))) < 1e-6
    sure = np.array([1, 1, 1, 0, 0, 0], np.float32)
    assert retriever.rank_scenes(sure)[0].probability > 0.99


def test_a_difference_of_a_temperature_is_a_factor_e(views):
    first, second = make_retriever(views).rank_scenes(np.array([0.3, 0.3, 0.3, 0.25, 0.25, 0.25], np.float32))
    assert first.probability / second.probability == pytest.approx(np.e, rel=1e-3)


def test_extreme_settings_do_not_overflow(views):
    settings = RetrievalSettings(temperature=0.001, unknown_similarity=-1.0)
    ranked = make_retriever(views, settings).rank_scenes(np.ones(6, np.float32))
    assert sum(match.probability for match in ranked) == pytest.approx(1)


def test_a_scene_is_judged_by_its_three_best_keyframes(views):
    extra = dataclasses.replace(views[0], keyframe=dataclasses.replace(views[0].keyframe, keyframe_id=99))
    retriever = make_retriever([*views, extra])
    similarities = np.array([0.5, 0.6, 0.7, 0, 0, 0, -1.0], np.float32)
    assert retriever.rank_scenes(similarities)[0].similarity == pytest.approx(0.6)


def test_scenes_without_keyframes_are_not_ranked(views):
    lonely = Scene(scene_id=9, center_map=np.zeros(3))
    retriever = make_retriever(views, scenes=(*SCENES, lonely))
    assert {match.scene_id for match in retriever.rank_scenes(np.zeros(6, np.float32))} == {1, 2}


def test_a_map_with_one_keyframe_can_be_searched(views):
    retriever = make_retriever(views[:1])
    similarities = retriever.similarities(views[0].descriptors)
    assert similarities == pytest.approx(1, abs=1e-5)
    assert len(retriever.rank_scenes(similarities)) == 1


def test_the_same_seed_gives_the_same_similarities(views):
    first, second = (make_retriever(views).similarities(views[3].descriptors) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_blank_query_is_like_nothing(views):
    similarities = make_retriever(views).similarities(np.zeros((NUM_PATCHES, DIM), np.float32))
    assert np.isfinite(similarities).all()
    assert np.abs(similarities).max() < 0.5
