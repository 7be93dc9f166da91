# SPDX-License-Identifier: Apache-2.0
"""A place from one image: who the candidates are, and known answers on embeddings by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_scene_encoder import FakeSceneEncoder
from made_up_scene_scans import VIEWS_PER_ROOM, MadeUpScans

from xover_core.evaluation.protocols.candidate_draws import draw_for_each_image, draw_static, draw_temporal
from xover_core.evaluation.protocols.scene_graph_loc import measure_scene_graph_loc
from xover_core.evaluation.protocols.scene_protocol_settings import SceneGraphLocSettings
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder

# 20 places, each scanned three times
PLACES = np.repeat(np.arange(20), 3)
EVERYWHERE = np.ones(len(PLACES), bool)
NUM_CANDIDATES = 10


def test_static_candidates_are_of_other_places():
    draws = draw_static(PLACES, EVERYWHERE, NUM_CANDIDATES, seed=42)
    assert sorted(draws) == list(range(len(PLACES)))
    for index, draw in draws.items():
        assert draw.target == index
        assert len(set(draw.others.tolist())) == NUM_CANDIDATES - 1
        assert not (PLACES[draw.others] == PLACES[index]).any()


def test_temporal_target_is_another_scan_of_the_place():
    static = draw_static(PLACES, EVERYWHERE, NUM_CANDIDATES, seed=42)
    draws = draw_temporal(PLACES, EVERYWHERE, NUM_CANDIDATES, seed=42)
    for index, draw in draws.items():
        assert draw.target != index
        assert PLACES[draw.target] == PLACES[index]
        assert draw.others.tolist() == static[index].others.tolist()
    # either of the two other scans
    assert len({draw.target - 3 * PLACES[index] for index, draw in draws.items()}) == 3


def test_a_place_scanned_once_has_no_temporal_target():
    assert draw_temporal(np.array([0, 1, 1]), np.ones(3, bool), 2, seed=0).keys() == {1, 2}


def test_draws_depend_on_the_seed_only():
    first, again, other = (draw_static(PLACES, EVERYWHERE, NUM_CANDIDATES, seed) for seed in (1, 1, 2))
    same = [first[i].others.tolist() == again[i].others.tolist() for i in first]
    changed = [first[i].others.tolist() != other[i].others.tolist() for i in first]
    assert all(same)
    assert any(changed)


def test_crossover_draws_for_each_image_and_keeps_rescans():
    draws = draw_for_each_image(np.full(len(PLACES), 7), EVERYWHERE, NUM_CANDIDATES, seed=42)
    rescans = 0
    for index, draw in draws.items():
        assert draw.target == index
        assert draw.others.shape == (7, NUM_CANDIDATES - 1)
        assert index not in draw.others
        assert len({tuple(sorted(row)) for row in draw.others.tolist()}) > 1
        rescans += int((PLACES[draw.others] == PLACES[index]).sum())
    assert rescans > 0


def test_what_cannot_be_a_candidate_is_none():
    is_ranked = EVERYWHERE & (PLACES != 3)
    is_ranked[0] = False
    for draws in (
        draw_static(PLACES, is_ranked, NUM_CANDIDATES, 0),
        draw_for_each_image(np.full(len(PLACES), 2), is_ranked, NUM_CANDIDATES, 0),
    ):
        assert draws.keys() == set(np.flatnonzero(is_ranked).tolist())
        assert all(is_ranked[draw.others].all() for draw in draws.values())
    # a scan that is no candidate can still be recognised in a later one
    assert 0 in draw_temporal(PLACES, is_ranked, NUM_CANDIDATES, 0)


def test_few_scans_give_fewer_candidates():
    draws = draw_static(np.arange(4), np.ones(4, bool), NUM_CANDIDATES, seed=0)
    assert sorted(draws[1].others.tolist()) == [0, 2, 3]


@pytest.fixture(scope="module")
def rows():
    """By (variant, number of candidates, feature, reference)."""
    named = NamedSceneEncoder(name="fake", encoder=FakeSceneEncoder())
    settings = SceneGraphLocSettings(views=2, candidates=(3.0, 50.0))
    report = measure_scene_graph_loc(MadeUpScans(9, 4), [named], settings, name="made up")
    return {(r.variant, r.num_candidates, r.feature, r.reference): r.recalls for r in report.rows}


def test_every_view_asks(rows):
    assert rows["NT", 3, "fake", "point_cloud"].queries == 13 * VIEWS_PER_ROOM
    # of the four places with a rescan, both scans ask for the other one
    assert rows["T", 3, "fake", "point_cloud"].queries == 8 * VIEWS_PER_ROOM


def test_views_of_the_reference_do_not_ask_for_it(rows):
    for reference in ("image", "all"):
        assert rows["NT", 3, "fake", reference].queries == 13 * (VIEWS_PER_ROOM - 2)
        assert rows["CrossOver", 3, "fake", reference].queries == 13 * (VIEWS_PER_ROOM - 2)
        assert rows["T", 3, "fake", reference].queries == 8 * VIEWS_PER_ROOM
    assert rows["NT", 3, "fake", "all but image"].queries == 13 * VIEWS_PER_ROOM


def test_the_number_of_candidates_is_the_true_one(rows):
    assert rows["NT", 3, "fake", "text"].candidates == 3
    # all but the other scan of the place, where there is one: 13 for the five places scanned once, else 12
    assert rows["NT", 50, "fake", "text"].candidates == pytest.approx((5 * 13 + 8 * 12) / 13)
    assert rows["CrossOver", 50, "fake", "text"].candidates == 13


def test_chance_and_better(rows):
    assert rows["NT", 3, "chance", "any"].at["1"] == pytest.approx(1 / 3)
    assert rows["NT", 3, "chance", "any"].at["3"] == 1.0
    for reference in ("image", "point_cloud", "floorplan", "all"):
        assert rows["NT", 3, "fake", reference].at["1"] > 0.5
    # a rescan that is a candidate looks as right as the right one
    assert rows["CrossOver", 50, "fake", "point_cloud"].at["1"] < rows["NT", 50, "fake", "point_cloud"].at["1"]
