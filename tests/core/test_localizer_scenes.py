# SPDX-License-Identifier: Apache-2.0
"""The localizer in a map whose scenes have embeddings: two rooms, mapped by one drive, queried by another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from fake_scene_encoder import FakeSceneEncoder

from xover_core.config import (
    DecisionSettings,
    EncoderSettings,
    SceneBeliefSettings,
    SceneEncoderSettings,
    XoverSettings,
)
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders import scene_factory
from xover_core.errors import ModelError
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.landmark_map.map_storage import MapStorage
from xover_core.localization import scene_finder
from xover_core.localization.localizer import Localizer, load_localizer
from xover_core.localization.scene_calibration import PairCalibration, SceneCalibration
from xover_core.localization.scene_finder import SceneQuery
from xover_core.types import LocalizationState, SceneModality

torch = pytest.importorskip("torch")
# Similarities of the fake encoder's colour histograms are high everywhere.
CALIBRATION = SceneCalibration(pairs={}, fallback=PairCalibration(temperature=0.05, unknown_similarity=0.8))
SETTINGS = XoverSettings(
    encoder=EncoderSettings(model="rootsift-pca64"),
    scene_encoder=SceneEncoderSettings(model="fake-scenes"),
)
PLAIN = dataclasses.replace(SETTINGS, scene_encoder=SceneEncoderSettings(model=""))
NUM_FRAMES = 12


@pytest.fixture(scope="module", autouse=True)
def fakes():
    """The encoder of these tests, whatever the manifest says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_factory, "make_scene_encoder", lambda s, *_: FakeSceneEncoder() if s.model else None)
        patch.setattr(scene_finder, "load_scene_calibration", lambda *_: CALIBRATION)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drive() -> list[SequenceItem]:
    return list(ApartmentWalk(make_apartment(3), seed=1, num_frames=NUM_FRAMES))


@pytest.fixture(scope="module")
def map_path(drive: list[SequenceItem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "rooms.xover"
    builder = open_map_builder(path, SETTINGS)
    for item in drive:
        builder.add(item.frame, item.T_world_camera)
    builder.finish()
    builder.storage.close()
    return path


@pytest.fixture(scope="module")
def loaded(map_path: Path) -> Localizer:
    return load_localizer(map_path, SETTINGS)


@pytest.fixture
def localizer(loaded: Localizer) -> Localizer:
    """One that knows nothing."""
    loaded.reset()
    return loaded


@pytest.fixture(scope="module")
def plain(map_path: Path) -> Localizer:
    """The same map without a scene encoder."""
    return load_localizer(map_path, PLAIN)


def test_a_map_has_an_embedding_of_each_scene_as_images_and_as_cloud(localizer: Localizer) -> None:
    content = localizer.landmark_map
    assert content.header.scene_model == FakeSceneEncoder().model
    expected = {(s.scene_id, m) for s in content.scenes for m in (SceneModality.IMAGE, SceneModality.POINT_CLOUD)}
    assert {(e.scene_id, e.modality) for e in content.scene_embeddings} == expected


def test_scenes_are_ranked_over_time_with_the_modality_that_spoke(
    localizer: Localizer, drive: list[SequenceItem]
) -> None:
    answers = [localizer.process(item.frame) for item in drive[:8]]
    for answer in answers:
        assert {scene.modality for scene in answer.scenes} <= {"image", "point_cloud"}
        assert {s.scene_id for s in answer.scenes} == {s.scene_id for s in localizer.landmark_map.scenes}
        assert sum(scene.probability for scene in answer.scenes) <= 1
    assert answers[-1].state is LocalizationState.LOCALIZED


def test_one_image_changes_nothing(localizer: Localizer, drive: list[SequenceItem]) -> None:
    undisturbed = [localizer.process(item.frame).scenes for item in drive[:4]]
    localizer.reset()
    disturbed = []
    for item in drive[:4]:
        localizer.localize_image(drive[9].frame)
        disturbed.append(localizer.process(item.frame).scenes)
    assert disturbed == undisturbed


def test_a_frame_without_odometry_is_answered_like_an_image(localizer: Localizer, drive: list[SequenceItem]) -> None:
    for item in drive[:3]:
        localizer.process(item.frame)
    alone = dataclasses.replace(drive[5].frame, T_odom_camera=None)
    assert localizer.process(alone).scenes == localizer.localize_image(alone).scenes


def test_without_a_scene_encoder_answers_are_as_before(plain: Localizer, drive: list[SequenceItem]) -> None:
    answer = plain.localize_image(drive[5].frame)
    assert {scene.modality for scene in answer.scenes} == {"image"}
    with pytest.raises(ModelError, match="no embeddings by model"):
        plain.find_scenes(SceneQuery(text="a sofa"))


def test_the_posterior_alone_gives_scene_only(map_path: Path, drive: list[SequenceItem]) -> None:
    """A picture of another place in the colours of a room: no pose fits, the scene is told all the same."""
    settings = dataclasses.replace(
        SETTINGS,
        scene_belief=SceneBeliefSettings(likeness_weight=0.0, unknown_prior=0.01),
        decision=DecisionSettings(min_scene_probability=0.4),
    )
    localizer = load_localizer(map_path, settings)
    item = drive[0]
    # pixels in any order have the same colours, and no patch in common
    pixels = np.random.default_rng(0).permutation(item.frame.rgb.reshape(-1, 3))
    frame = dataclasses.replace(item.frame, rgb=pixels.reshape(item.frame.rgb.shape), depth=None)
    answer = localizer.process(frame)
    assert (answer.state, answer.hypotheses) == (LocalizationState.SCENE_ONLY, ())
    assert answer.scenes[0].name in answer.reason


def test_the_scene_is_favoured_when_keyframes_are_chosen(localizer: Localizer) -> None:
    retriever = localizer._retriever
    views = localizer.landmark_map.keyframes
    scene_ids = np.array([keyframe.scene_id for keyframe in views])
    likely = localizer.landmark_map.scenes[0].scene_id
    scenes = [
        dataclasses.replace(match, probability=0.9 if match.scene_id == likely else 0.0)
        for match in retriever.rank_scenes(np.full(len(views), 0.5, np.float32))
    ]
    favored = retriever.favor_scenes(np.full(len(views), 0.5, np.float32), scenes, 0.02)
    assert np.isfinite(favored).all()
    if (scene_ids != likely).any():
        assert favored[scene_ids == likely].min() > favored[scene_ids != likely].max()
    np.testing.assert_array_equal(retriever.favor_scenes(favored, scenes, 0.0), favored)


def test_scenes_are_found_by_words_once_somebody_has_told_them(map_path: Path, tmp_path: Path) -> None:
    from xover_core.landmark_map.scene_data import text_source
    from xover_core.landmark_map.scene_embedding import embed_told

    path = tmp_path / "told.xover"
    path.write_bytes(map_path.read_bytes())
    with MapStorage.open(path, read_only=False) as storage:
        scene_id = storage.load().scenes[-1].scene_id
        told = [text_source(scene_id, "a purple piano")]
        storage.scenes.describe(scene_id, told, embed_told(FakeSceneEncoder(), told), replace=False)
    best = load_localizer(path, SETTINGS).find_scenes(SceneQuery(text="the piano room"))[0]
    assert (best.scene_id, best.modality) == (scene_id, "text")
