# SPDX-License-Identifier: Apache-2.0
"""Which place a frame shows: rankings by hand, beliefs, places in parts, and the whole table on made-up recordings."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from fake_scene_encoder import COLOR_BINS, FakeSceneEncoder
from made_up_places import made_up_place, write_place

from xover_core.cli.main import main
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols import place_encoders, scene_encoder_choice
from xover_core.evaluation.protocols.place_encoders import NamedViewEncoder, classical_view_encoders
from xover_core.evaluation.protocols.place_ranking import (
    BOTH,
    POOLED,
    VIEWS,
    EmbeddedPlace,
    margins,
    score_places,
    share_first,
    track_places,
)
from xover_core.evaluation.protocols.place_recordings import map_place, split_by_position
from xover_core.evaluation.protocols.scene_protocol_settings import WhichPlaceSettings
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder
from xover_core.evaluation.protocols.which_place import measure_which_place

RED, GREEN, BLUE = (200, 40, 40), (40, 180, 40), (40, 40, 200)
# float64 rounding of a few products
ROUNDING = 1e-12
# A probability that leaves no doubt.
SURE = 0.95
# A picture with content has grey values that differ by more than this.
MIN_CONTRAST = 10


class DepthOnlyEncoder(FakeSceneEncoder):
    """Sees nothing where there is no depth."""

    def describe_view(self, frame):
        return np.ones(COLOR_BINS, np.float32) if frame.depth is None else super().describe_view(frame)


@pytest.fixture
def small_vocabulary(monkeypatch):
    """What the classical descriptors are worth does not matter here; words take their time."""
    monkeypatch.setattr(place_encoders, "MAX_VOCABULARY_SAMPLES", 200)


def fake_encoders(_frames):
    return [NamedViewEncoder(name="fake", encoder=FakeSceneEncoder(), reads_depth=False)]


def by_way(done):
    return {(r.feature, r.input, r.compares, r.frames): r for r in done.report.rows}


def test_scores_by_hand():
    axis = np.eye(3, dtype=np.float32)
    diagonal = ((axis[0] + axis[1]) / np.sqrt(2)).astype(np.float32)
    first = EmbeddedPlace(scenes=diagonal[None], views=axis[:2])
    second = EmbeddedPlace(scenes=axis[2:], views=axis[2:])
    scores = score_places(axis[[0, 2]], [first, second])
    np.testing.assert_allclose(scores[POOLED], [[np.sqrt(0.5), 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(scores[VIEWS], [[1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(scores[BOTH], scores[POOLED] + scores[VIEWS], atol=ROUNDING)


def test_a_place_is_as_similar_as_its_best_scene():
    axis = np.eye(3, dtype=np.float32)
    place = EmbeddedPlace(scenes=axis[[1, 0]], views=axis[:2])
    assert score_places(axis[:2], [place])[POOLED].ravel().tolist() == [1.0, 1.0]


def test_margins_and_ties():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.6, 0.1], [0.3, 0.3, 0.1]])
    np.testing.assert_allclose(margins(scores, 0), [0.4, -0.4, 0.0], atol=ROUNDING)
    assert share_first(margins(scores, 0)) == pytest.approx(1 / 3)


def test_belief_is_bayes_rule():
    scores = np.log([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    beliefs = track_places(scores, temperature=1.0, leak=1e-12)
    np.testing.assert_allclose(beliefs[:, 0], [0.8, 0.8, 0.08 / (0.08 + 0.18)], atol=1e-9)


def test_belief_leaks_towards_all_alike():
    sure, silent = [5.0, 0.0], [0.0, 0.0]
    beliefs = track_places(np.array([sure, silent]), temperature=1.0, leak=0.5)[:, 0]
    assert beliefs[1] == pytest.approx((beliefs[0] + 0.5) / 2, abs=ROUNDING)


def test_a_window_forgets_what_was_before():
    scores = np.array([[9.0, 0.0], [0.0, 0.1], [0.0, 0.1]])
    options = {"temperature": 1.0, "leak": 0.01}
    in_window, from_all = track_places(scores, window=2, **options), track_places(scores, **options)
    np.testing.assert_allclose(in_window[:2], from_all[:2], atol=ROUNDING)
    np.testing.assert_allclose(in_window[2], track_places(scores[1:], **options)[-1], atol=ROUNDING)
    assert in_window[2].argmax() == 1
    assert from_all[2].argmax() == 0


def test_many_frames_never_overflow():
    scores = np.tile([1.0, -1.0], (2000, 1))
    beliefs = track_places(scores, temperature=0.001, leak=0.05)
    assert np.isfinite(beliefs).all()
    np.testing.assert_allclose(beliefs.sum(axis=1), 1.0, atol=1e-9)


def test_parts_of_a_place_are_small_and_none_is_empty():
    positions = np.random.default_rng(0).uniform(-10, 10, (60, 3))
    for radius in (2.0, 6.0):
        groups = split_by_position(positions, radius)
        assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
        for group in range(groups.max() + 1):
            own = positions[groups == group]
            distances = np.linalg.norm(own[:, None] - own[None], axis=2)
            assert distances.max(axis=1).min() <= radius
    assert split_by_position(positions, 100.0).tolist() == [0] * 60
    assert split_by_position(np.zeros((1, 3)), 1.0).tolist() == [0]


def test_a_place_is_described_by_few_frames_of_each_part():
    place = made_up_place("hall", [RED] * 12, [RED])
    mapped = map_place(place, WhichPlaceSettings(views=3, scene_radius=5.5))
    assert [len(scene) for scene in mapped.scenes] == [3, 3]
    stamps = [{frame.stamp_ns for frame in scene} for scene in mapped.scenes]
    # frames stand on a line, 1 m apart: parts are its halves, with their ends
    assert max(stamps[0]) < min(stamps[1])
    assert {0, 11} <= stamps[0] | stamps[1]


def test_the_right_place_is_found_by_its_colours():
    places = [
        made_up_place("red", [RED] * 6, [RED] * 4),
        made_up_place("mixed", [GREEN] * 5 + [BLUE] * 5, [GREEN, BLUE, RED]),
    ]
    done = measure_which_place(places, fake_encoders, WhichPlaceSettings(window=2, scene_radius=2.0))
    rows = by_way(done)
    alone = rows["fake", "colour", VIEWS, "1"]
    assert alone.places["red"].first == 1.0
    # the last frame shows the colour of the other place
    assert alone.places["mixed"].first == pytest.approx(2 / 3)
    assert alone.all.first == pytest.approx(6 / 7)
    assert alone.all.queries == 7
    # scores differ by less, but together they leave no doubt
    assert rows["fake", "colour", VIEWS, "all"].places["red"].margin > SURE > alone.places["red"].margin
    assert rows["chance", "any", "any", "any"].all.first == 0.5
    assert len(done.margins) == len(rows) - 1


def test_depth_is_withheld_unless_named():
    encoders = [NamedViewEncoder(name="depth", encoder=DepthOnlyEncoder(), reads_depth=True)]
    places = [made_up_place("red", [RED] * 3, [RED] * 2), made_up_place("blue", [BLUE] * 3, [BLUE] * 2)]
    rows = by_way(measure_which_place(places, lambda _: encoders, WhichPlaceSettings()))
    # without depth all embeddings are equal, and equal scores find nothing
    assert rows["depth", "colour", POOLED, "1"].all.first == 0.0
    assert rows["depth", "colour, map with depth", POOLED, "1"].all.first == 0.5
    assert rows["depth", "colour and depth", POOLED, "1"].all.first == 1.0


def test_recordings_without_depth_are_asked_by_colour_only():
    encoders = [NamedViewEncoder(name="fake", encoder=FakeSceneEncoder(), reads_depth=True)]
    places = [made_up_place(name, [color] * 3, [color], has_depth=False) for name, color in (("a", RED), ("b", BLUE))]
    rows = by_way(measure_which_place(places, lambda _: encoders, WhichPlaceSettings()))
    assert {row_input for _, row_input, _, _ in rows} == {"any", "colour"}


def test_classical_descriptors_find_coloured_places(small_vocabulary):
    places = [made_up_place("red", [RED] * 3, [RED]), made_up_place("blue", [BLUE] * 3, [BLUE])]
    settings = WhichPlaceSettings()
    done = measure_which_place(places, lambda frames: classical_view_encoders(frames, settings.seed), settings)
    rows = by_way(done)
    assert rows["colours", "colour", POOLED, "1"].all.first == 1.0
    assert {feature for feature, *_ in rows} == {"chance", "colours", "RootSIFT VLAD"}


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([made_up_place("a", [RED], [RED])], "at least two"),
        ([made_up_place("a", [RED], [RED])] * 2, "different names"),
        ([made_up_place("a", [RED], [RED]), made_up_place("b", [RED], [])], "none can ask"),
        ([made_up_place("a", [RED], [RED]), made_up_place("b", [RED], [RED], has_poses=False)], "camera pose"),
    ],
)
def test_what_is_wrong_with_places_is_said(places, message):
    with pytest.raises(DatasetError, match=message):
        measure_which_place(places, fake_encoders, WhichPlaceSettings())


@pytest.fixture
def fake_model(monkeypatch):
    named = NamedSceneEncoder(name="fake", encoder=FakeSceneEncoder())
    monkeypatch.setattr(scene_encoder_choice, "model_encoder", lambda _name: named)


def test_on_the_command_line(tmp_path, capsys, fake_model, small_vocabulary):
    folders = [write_place(tmp_path / name, [c] * 4, [c] * 3) for name, c in (("attic", RED), ("barn", BLUE))]
    json_path, figure_path = tmp_path / "new" / "out.json", tmp_path / "new" / "out.png"
    outputs = ["--json", str(json_path), "--figure", str(figure_path)]
    assert main(["protocol", "which-place", *map(str, folders), "--window", "2", *outputs]) == 0
    printed = capsys.readouterr().out
    assert "which of 2 places, 6 frames" in printed
    assert "attic: 4 views in 1 scenes, 3 frames ask" in printed
    assert cv2.imread(str(figure_path)).std() > MIN_CONTRAST
    written = json.loads(json_path.read_text())
    rows = {(r["feature"], r["input"], r["compares"], r["frames"]): r for r in written["rows"]}
    every = rows["fake", "colour and depth", POOLED, "2"]["all"]
    assert (every["queries"], every["first"]) == (6, 1.0)
    assert every["margin"] > SURE
    assert rows["chance", "any", "any", "any"]["places"]["barn"]["first"] == 0.5
    assert {key[0] for key in rows} == {"chance", "fake", "colours", "RootSIFT VLAD"}


def test_a_place_without_queries_is_said(tmp_path, capsys, fake_model):
    folder = write_place(tmp_path / "attic", [RED], [RED])
    assert main(["protocol", "which-place", str(folder), str(tmp_path / "nothing"), "--no-classical"]) == 2
    assert "no recording there" in capsys.readouterr().err
