# SPDX-License-Identifier: Apache-2.0
"""Which scene it is, over time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from box_room import look_at
from fake_scene_encoder import FakeSceneEncoder
from test_scene_finder import CALIBRATION, COLORS, embeddings, scenes

from xover_core.config import SceneBeliefSettings, XoverSettings
from xover_core.localization.keyframe_retrieval import SceneLikeness
from xover_core.localization.scene_belief import SceneBelief
from xover_core.localization.scene_finder import SceneFinder, frame_of_picture
from xover_core.localization.scene_index import SceneIndex
from xover_core.types import LocalizationState, RgbdFrame, SceneMatch

NOTHING_ALIKE = SceneLikeness(scene_ids=np.zeros(0, np.int64), similarities=np.zeros(0))


def view(color: str, x: float | None) -> RgbdFrame:
    """A picture of mostly gray, with some of a colour, taken at a place; None: no odometry."""
    rgb = np.full((20, 30, 3), 100, np.uint8)
    rgb[:8] = COLORS[color]
    pose = None if x is None else look_at((x, 0.0, 0.0), 0.0)
    return dataclasses.replace(frame_of_picture(rgb), T_odom_camera=pose)


@pytest.fixture
def encoder() -> FakeSceneEncoder:
    return FakeSceneEncoder()


def new_belief(encoder: FakeSceneEncoder, **changes: float | bool) -> SceneBelief:
    settings = SceneBeliefSettings(**{"likeness_weight": 0.0, **changes})
    finder = SceneFinder(SceneIndex(scenes(), embeddings(FakeSceneEncoder())), encoder, CALIBRATION, settings)
    return SceneBelief(finder, XoverSettings(scene_belief=settings))


def probability(matches: list[SceneMatch], name: str) -> float:
    return next(match.probability for match in matches if match.name == name)


def test_views_of_one_scene_add_up(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder, leak=0.0)
    alone = belief.judge(view("red", 0.0), NOTHING_ALIKE)
    answers = [belief.update(view("red", float(x)), NOTHING_ALIKE) for x in range(4)]
    shares = [probability(answer, "lounge") / probability(answer, "kitchen") for answer in answers]
    assert shares[0] == pytest.approx(probability(alone, "lounge") / probability(alone, "kitchen"))
    assert shares[0] > 1
    # independent views multiply the odds between two scenes
    np.testing.assert_allclose(shares, [shares[0] ** n for n in (1, 2, 3, 4)], rtol=1e-6)


def test_a_frame_in_between_takes_the_place_of_the_view_before(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    first = belief.update(view("red", 0.0), NOTHING_ALIKE)
    for _ in range(5):
        again = belief.update(view("red", 0.01), NOTHING_ALIKE)
    assert [m.probability for m in again] == pytest.approx([m.probability for m in first])
    other = belief.update(view("green", 0.02), NOTHING_ALIKE)
    assert probability(other, "kitchen") > probability(other, "lounge")


def test_once_localized_only_new_places_are_looked_at(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    before = belief.update(view("red", 0.0), NOTHING_ALIKE)
    belief.note_state(LocalizationState.LOCALIZED)
    num = encoder.num_views
    assert belief.update(view("green", 0.1), NOTHING_ALIKE) == before
    assert encoder.num_views == num
    belief.update(view("green", 0.31), NOTHING_ALIKE)
    assert encoder.num_views == num + 1
    belief.note_state(LocalizationState.HYPOTHESES)
    belief.update(view("green", 0.32), NOTHING_ALIKE)
    assert encoder.num_views == num + 2


def test_frames_in_between_can_be_left_out(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder, use_every_frame_until_localized=False)
    before = belief.update(view("red", 0.0), NOTHING_ALIKE)
    assert belief.update(view("green", 0.1), NOTHING_ALIKE) == before
    assert encoder.num_views == 1


def test_turning_counts_as_moving(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder, use_every_frame_until_localized=False)
    belief.update(view("red", 0.0), NOTHING_ALIKE)
    turned = dataclasses.replace(view("red", 0.0), T_odom_camera=look_at((0.0, 0.0, 0.0), 16.0))
    belief.update(turned, NOTHING_ALIKE)
    assert encoder.num_views == 2


def test_a_robot_that_is_carried_away_is_found_again(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    for x in range(30):
        belief.update(view("red", float(x)), NOTHING_ALIKE)
    names = [belief.update(view("green", 100.0 + x), NOTHING_ALIKE)[0].name for x in range(8)]
    assert names[-1] == "kitchen"
    stubborn = new_belief(encoder, leak=0.0)
    for x in range(30):
        stubborn.update(view("red", float(x)), NOTHING_ALIKE)
    assert [stubborn.update(view("green", 100.0 + x), NOTHING_ALIKE)[0].name for x in range(8)][-1] == "lounge"


def test_nothing_is_ever_excluded(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    for x in range(50):
        answer = belief.update(view("red", float(x)), NOTHING_ALIKE)
    assert min(match.probability for match in answer) > 0
    assert sum(match.probability for match in answer) < 1


def test_a_frame_without_odometry_is_judged_alone_and_changes_nothing(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    for x in range(3):
        before = belief.update(view("red", float(x)), NOTHING_ALIKE)
    assert belief.update(view("green", None), NOTHING_ALIKE) == belief.judge(view("green", None), NOTHING_ALIKE)
    belief.note_state(LocalizationState.LOCALIZED)
    assert belief.update(view("green", 2.0), NOTHING_ALIKE) == before


def test_reset_and_being_lost_start_from_nothing(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    fresh = belief.update(view("red", 0.0), NOTHING_ALIKE)
    for x in range(5):
        belief.update(view("red", float(x)), NOTHING_ALIKE)
    belief.reset()
    assert belief.update(view("red", 0.0), NOTHING_ALIKE) == fresh
    belief.update(view("red", 1.0), NOTHING_ALIKE)
    belief.note_state(LocalizationState.LOST)
    assert belief.update(view("red", 0.0), NOTHING_ALIKE) == fresh
    second = belief.update(view("red", 1.0), NOTHING_ALIKE)
    belief.note_state(LocalizationState.LOST)
    assert belief.update(view("red", 1.01), NOTHING_ALIKE) == second, "still lost: what was seen since is kept"


def test_likeness_of_keyframes_counts_beside_embeddings(encoder: FakeSceneEncoder) -> None:
    alike = SceneLikeness(scene_ids=np.array([2]), similarities=np.array([0.9]))
    without = new_belief(encoder).judge(view("red", 0.0), alike)
    belief = new_belief(encoder, likeness_weight=1.0)
    assert probability(belief.judge(view("red", 0.0), alike), "kitchen") > probability(without, "kitchen")


def test_who_looked_already_need_not_look_again(encoder: FakeSceneEncoder) -> None:
    belief, same = new_belief(encoder), new_belief(encoder)
    for x in (0.0, 0.1, 0.5):
        frame = view("red", x)
        seen = belief.look(frame)
        assert belief.judge(frame, NOTHING_ALIKE, seen) == same.judge(frame, NOTHING_ALIKE)
        assert belief.update(frame, NOTHING_ALIKE, seen) == same.update(frame, NOTHING_ALIKE)


def test_it_says_beforehand_whether_it_will_look(encoder: FakeSceneEncoder) -> None:
    belief = new_belief(encoder)
    assert belief.will_look(view("red", None))
    assert belief.will_look(view("red", 0.0))
    belief.update(view("red", 0.0), NOTHING_ALIKE)
    assert belief.will_look(view("red", 0.1))
    belief.note_state(LocalizationState.LOCALIZED)
    assert not belief.will_look(view("red", 0.1))
    assert belief.will_look(view("red", 0.31))
