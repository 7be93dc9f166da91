# SPDX-License-Identifier: Apache-2.0
"""Asking a map for a scene by text, picture, floorplan or point cloud."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from fake_scene_encoder import FakeSceneEncoder

from xover_core.config import SceneBeliefSettings, SceneEncoderSettings, XoverSettings
from xover_core.encoders import scene_factory
from xover_core.encoders.scene_encoder import ColoredPoints
from xover_core.errors import ModelError, SensorDataError
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.landmark_map.scene_data import SceneEmbedding
from xover_core.localization import scene_finder
from xover_core.localization.scene_calibration import PairCalibration, SceneCalibration
from xover_core.localization.scene_finder import (
    SceneFinder,
    SceneQuery,
    find_scene_finder,
    frame_of_picture,
    make_scene_finder,
)
from xover_core.localization.scene_index import SceneIndex
from xover_core.types import Scene, SceneModality

SETTINGS = SceneBeliefSettings()
COLORS = {"red": (200, 30, 30), "green": (30, 160, 30), "blue": (30, 30, 200)}
IMAGE, CLOUD, TEXT, PLAN = (
    SceneModality.IMAGE,
    SceneModality.POINT_CLOUD,
    SceneModality.TEXT,
    SceneModality.FLOORPLAN,
)
CALIBRATION = SceneCalibration(pairs={}, fallback=PairCalibration(temperature=0.1, unknown_similarity=0.5))


def picture(color: str) -> np.ndarray:
    return np.full((20, 30, 3), COLORS[color], np.uint8)


def cloud(color: str) -> ColoredPoints:
    return ColoredPoints(points=np.zeros((50, 3), np.float32), colors=np.full((50, 3), COLORS[color], np.uint8))


def embeddings(encoder: FakeSceneEncoder) -> list[SceneEmbedding]:
    """Scene 1 is red in all modalities, 2 green as image and cloud, 3 blue by its text alone."""

    def of(scene_id: int, modality: SceneModality, vector: np.ndarray) -> SceneEmbedding:
        return SceneEmbedding(scene_id=scene_id, modality=modality, num_sources=1, vector=vector)

    seen = [
        e
        for i, color in ((1, "red"), (2, "green"))
        for e in (
            of(i, IMAGE, encoder.embed_views(encoder.describe_view(frame_of_picture(picture(color)))[None])),
            of(i, CLOUD, encoder.embed_point_cloud(cloud(color))),
        )
    ]
    told = [
        of(1, PLAN, encoder.embed_floorplan(picture("red"))),
        of(1, TEXT, encoder.embed_text("a red sofa")),
        of(3, TEXT, encoder.embed_text("a blue bed")),
    ]
    return seen + told


def scenes() -> list[Scene]:
    names = {1: "lounge", 2: "kitchen", 3: "bedroom", 4: "cellar"}
    return [Scene(scene_id=i, center_map=np.zeros(3), room=name) for i, name in names.items()]


@pytest.fixture
def finder() -> SceneFinder:
    encoder = FakeSceneEncoder()
    return SceneFinder(SceneIndex(scenes(), embeddings(encoder)), encoder, CALIBRATION, SETTINGS)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (SceneQuery(text="the room with the red sofa"), "lounge"),
        (SceneQuery(text="something blue"), "bedroom"),
        (SceneQuery(frame=frame_of_picture(picture("green"))), "kitchen"),
        (SceneQuery(floorplan=picture("green"), pixels_per_m=50.0), "kitchen"),
        (SceneQuery(cloud=cloud("red")), "lounge"),
        (SceneQuery(text="a bed", frame=frame_of_picture(picture("blue"))), "bedroom"),
    ],
)
def test_the_right_scene_is_first_whatever_is_asked(finder: SceneFinder, query: SceneQuery, name: str) -> None:
    matches = finder.find(query)
    assert matches[0].name == name
    assert len(matches) == 4
    probabilities = [match.probability for match in matches]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1
    assert [m.scene_id for m in finder.find(query, 2)] == [m.scene_id for m in matches[:2]]


def test_the_loudest_modality_is_named(finder: SceneFinder) -> None:
    matches = {match.name: match for match in finder.find(SceneQuery(text="a red sofa"))}
    assert matches["lounge"].modality == "text"
    assert matches["lounge"].similarity == pytest.approx(1.0, abs=1e-5)
    assert matches["kitchen"].modality in ("image", "point_cloud")
    assert (matches["cellar"].similarity, matches["bedroom"].modality) == (0.0, "text")


def test_a_scene_without_embeddings_keeps_what_the_unknown_keeps(finder: SceneFinder) -> None:
    matches = {match.name: match for match in finder.find(SceneQuery(frame=frame_of_picture(picture("red"))))}
    unknown = 1 - sum(match.probability for match in matches.values())
    assert matches["cellar"].probability / unknown == pytest.approx(0.25 * (1 - SETTINGS.unknown_prior) / 0.2)


def test_two_modalities_say_more_than_one(finder: SceneFinder) -> None:
    picture_only = finder.find(SceneQuery(frame=frame_of_picture(picture("red"))))[0]
    both = finder.find(SceneQuery(frame=frame_of_picture(picture("red")), text="a red sofa"))[0]
    assert picture_only.name == both.name == "lounge"
    assert both.probability > picture_only.probability


def test_nothing_asked_is_refused(finder: SceneFinder) -> None:
    with pytest.raises(SensorDataError, match="got none of them"):
        finder.find(SceneQuery(text="  "))
    with pytest.raises(SensorDataError, match="expected words"):
        finder.find(SceneQuery(text="?!"))


def test_a_modality_that_the_model_does_not_know_is_named() -> None:
    encoder = FakeSceneEncoder(frozenset({IMAGE, TEXT}))
    finder = SceneFinder(SceneIndex(scenes(), []), encoder, CALIBRATION, SETTINGS)
    with pytest.raises(ModelError, match="fake-scenes knows image, text, not floorplan"):
        finder.find(SceneQuery(floorplan=picture("red")))
    blind = SceneFinder(SceneIndex(scenes(), []), FakeSceneEncoder(frozenset({TEXT})), CALIBRATION, SETTINGS)
    assert not blind.look(frame_of_picture(picture("red"))).log_odds.any()


def test_similarities_are_cosines_and_nan_where_nothing_is_stored() -> None:
    encoder = FakeSceneEncoder()
    index = SceneIndex(scenes(), embeddings(encoder))
    assert index.modalities == {IMAGE, CLOUD, TEXT, PLAN}
    asked = encoder.embed_text("a red sofa")
    values = index.similarities(asked, TEXT)
    assert np.isnan(values).tolist() == [False, True, False, True]
    assert values[0] == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(index.similarities(asked, SceneModality.CAD)).all()


def test_removing_a_modality_from_the_map_never_breaks_an_answer() -> None:
    encoder = FakeSceneEncoder()
    for left_out in (IMAGE, CLOUD, TEXT, PLAN):
        kept = [e for e in embeddings(encoder) if e.modality is not left_out]
        finder = SceneFinder(SceneIndex(scenes(), kept), encoder, CALIBRATION, SETTINGS)
        assert finder.find(SceneQuery(frame=frame_of_picture(picture("red"))))[0].name == "lounge"


# From a map and settings.


@pytest.fixture
def described_map(small_map: LandmarkMap) -> LandmarkMap:
    header = dataclasses.replace(small_map.header, scene_model=FakeSceneEncoder().model)
    return dataclasses.replace(
        small_map, header=header, scenes=tuple(scenes()), scene_embeddings=tuple(embeddings(FakeSceneEncoder()))
    )


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> XoverSettings:
    """Settings that name the fake encoder."""
    for module in (scene_factory, scene_finder):
        monkeypatch.setattr(module, "make_scene_encoder", lambda s, *_: FakeSceneEncoder() if s.model else None)
    monkeypatch.setattr(scene_finder, "load_scene_calibration", lambda *_: CALIBRATION)
    return XoverSettings(scene_encoder=SceneEncoderSettings(model="fake-scenes"))


def test_a_finder_of_a_map(described_map: LandmarkMap, settings: XoverSettings) -> None:
    for finder in (
        make_scene_finder(described_map, settings, "a.xover"),
        find_scene_finder(described_map, settings, ""),
    ):
        assert finder is not None
        matches = finder.find(SceneQuery(text="a red sofa"))
        assert matches[0].name == "lounge"
        assert {match.name for match in matches} == {"lounge", "kitchen", "bedroom"}, "the cellar has only a name"


def test_a_map_without_embeddings_says_what_to_do(small_map: LandmarkMap, settings: XoverSettings) -> None:
    with pytest.raises(ModelError, match=r"no embeddings to search in; make them with `xover scene refresh a\.xover`"):
        make_scene_finder(small_map, settings, "a.xover")
    assert find_scene_finder(small_map, settings, "a.xover") is None


def test_settings_without_a_model(described_map: LandmarkMap, settings: XoverSettings) -> None:
    nothing = XoverSettings(scene_encoder=SceneEncoderSettings(model=""))
    with pytest.raises(ModelError, match=r"scene_encoder\.model is empty"):
        make_scene_finder(described_map, nothing, "a.xover")
    assert find_scene_finder(described_map, nothing, "a.xover") is None


def test_embeddings_of_another_model_are_left_aside_with_a_warning(
    described_map: LandmarkMap, settings: XoverSettings, caplog: pytest.LogCaptureFixture
) -> None:
    model = dataclasses.replace(FakeSceneEncoder().model, checksum="7" * 64)
    other = dataclasses.replace(described_map, header=dataclasses.replace(described_map.header, scene_model=model))
    with caplog.at_level(logging.WARNING):
        assert find_scene_finder(other, settings, "a.xover") is None
    assert "described by fake-scenes (checksum 777777777777)" in caplog.text
    with pytest.raises(ModelError, match="scene refresh"):
        make_scene_finder(other, settings, "a.xover")


def test_pictures_are_compared_with_the_most_similar_views():
    axes = np.eye(8, dtype=np.float32)
    pooled = [
        SceneEmbedding(scene_id=i, modality=IMAGE, num_sources=4, vector=np.pad(axes[i], (0, 760))) for i in (1, 2, 3)
    ]
    # scene 1 has one view like the query and three unlike it, scene 2 three that are half alike, scene 3 none
    views = [
        (1, axes[0]),
        (2, axes[0] / 2),
        (1, axes[1]),
        (2, axes[0] / 2),
        (1, axes[1]),
        (2, axes[0] / 2),
        (1, axes[1]),
    ]
    index = SceneIndex(scenes(), pooled, [(i, np.pad(vector, (0, 760))) for i, vector in views])
    query = np.pad(axes[0] * np.float32(0.9) + axes[3] * np.float32(0.1), (0, 760))
    found = index.view_similarities(query)
    np.testing.assert_allclose(found[:3], [0.3, 0.45, 0.1], atol=1e-6)
    assert np.isnan(found[3])
    np.testing.assert_array_equal(SceneIndex(scenes(), pooled).view_similarities(query)[:2], [0, 0])
