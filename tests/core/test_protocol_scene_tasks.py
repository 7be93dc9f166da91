# SPDX-License-Identifier: Apache-2.0
"""The questions of scene retrieval on embeddings by hand: who asks, who is ranked, who is right."""

from __future__ import annotations

import numpy as np
import pytest
from scene_tables import make_facts, make_scan, make_table

from xover_core.evaluation.protocols.embedding_sets import (
    fuse,
    fused_sets,
    mean_direction,
    modality_sets,
    object_mean_sets,
)
from xover_core.evaluation.protocols.scene_protocol_settings import SceneRetrievalSettings
from xover_core.evaluation.protocols.scene_tasks import SceneTasks
from xover_core.types import SceneModality

IMAGE, CLOUD, CAD = SceneModality.IMAGE, SceneModality.POINT_CLOUD, SceneModality.CAD
TEXT, FLOORPLAN = SceneModality.TEXT, SceneModality.FLOORPLAN
# float32 of norm 1
ROUNDING = 1e-6


def axis(number, dim=8):
    return np.eye(dim)[number]


def tasks_and_sets(table, **settings):
    tasks = SceneTasks(table, SceneRetrievalSettings(**settings))
    return tasks, {item.name: item for item in modality_sets(table.by_encoder[0])}


@pytest.fixture
def three_places():
    """Places a, b (kitchens) and c (office); a and b have rescans; images of a and b are confused, clouds are not."""
    facts = [
        make_facts("a", "kitchen"),
        make_facts("b", "kitchen"),
        make_facts("c", "office"),
        make_facts("a2", "kitchen", place_id="a"),
        make_facts("b2", "kitchen", place_id="b"),
    ]
    # rescans: a2 looks like c, b2 like b
    clouds = [axis(0), axis(1), axis(2), axis(2) + 0.5 * axis(0), axis(1)]
    images = [axis(1), axis(0), axis(2), axis(2), axis(1)]
    return make_table(facts, [make_scan({IMAGE: i, CLOUD: c}) for i, c in zip(images, clouds, strict=True)])


def test_the_same_scan_among_references(three_places):
    tasks, sets = tasks_and_sets(three_places)
    scores = tasks.scores(sets["image"], sets["point_cloud"])
    assert (scores.scene.queries, scores.scene.candidates) == (3, 3)
    assert scores.scene.at["1"] == pytest.approx(1 / 3)
    assert scores.scene.at["5"] == 1.0
    # the pair of one modality would find itself
    assert tasks.scores(sets["image"], sets["image"]).scene is None


def test_rescans_are_candidates_only_when_asked(three_places):
    tasks, sets = tasks_and_sets(three_places, all_scans=True)
    assert tasks.scores(sets["image"], sets["point_cloud"]).scene.queries == 5


def test_from_a_rescan_to_its_reference(three_places):
    tasks, sets = tasks_and_sets(three_places)
    rescan = tasks.scores(sets["point_cloud"], sets["point_cloud"]).rescan
    assert (rescan.queries, rescan.candidates) == (2, 3)
    assert rescan.at == {"1": 0.5, "5": 1.0, "10": 1.0, "20": 1.0}


def test_temporal_leaves_out_the_own_scan_and_places_without_rescan(three_places):
    tasks, sets = tasks_and_sets(three_places)
    temporal = tasks.scores(sets["point_cloud"], sets["point_cloud"]).temporal
    # a and b ask, c has no rescan; each ranks the four other scans; a2 is a little like a
    assert (temporal.queries, temporal.candidates) == (2, 4)
    assert temporal.at["1"] == 1.0


def test_released_temporal_divides_by_all_references(three_places):
    tasks, sets = tasks_and_sets(three_places, released_temporal=True)
    temporal = tasks.scores(sets["point_cloud"], sets["point_cloud"]).temporal
    assert temporal.queries == 3
    # of the four others, in the order of the data set, the first is never a rescan; all four are within ten
    assert temporal.at == {"1": 0.0, "5": pytest.approx(2 / 3), "10": pytest.approx(2 / 3)}


def test_category_leaves_out_the_own_scan(three_places):
    tasks, sets = tasks_and_sets(three_places)
    category = tasks.scores(sets["point_cloud"], sets["point_cloud"]).category
    # a and b ask for one another, c is the only office; without itself, each has two candidates that are equally far
    assert (category.queries, category.candidates) == (2, 2)
    assert category.at == {"1": 0.0, "5": 1.0, "10": 1.0, "20": 1.0}


def test_within_a_category(three_places):
    tasks, sets = tasks_and_sets(three_places)
    within = tasks.scores(sets["image"], sets["point_cloud"]).within_category
    assert within.queries == 2
    assert within.at == {"1": 0.0}


def test_scans_without_a_modality_neither_ask_nor_are_ranked(three_places):
    scans = list(three_places.by_encoder[0].scans)
    scans[2] = make_scan({IMAGE: axis(2)})
    tasks, sets = tasks_and_sets(make_table(three_places.facts, scans))
    scores = tasks.scores(sets["image"], sets["point_cloud"])
    assert (scores.scene.queries, scores.scene.candidates) == (2, 2)
    assert scores.rescan.candidates == 2


def test_chance_of_every_question(three_places):
    chance = tasks_and_sets(three_places)[0].chance()
    assert chance.scene.at["1"] == pytest.approx(1 / 3)
    assert chance.rescan.at["1"] == pytest.approx(1 / 3)
    assert chance.temporal.at["1"] == pytest.approx(1 / 4)
    assert chance.category.at["1"] == pytest.approx(1 / 2)
    assert chance.within_category.at == {"1": pytest.approx(1 / 2)}


def test_nothing_is_said_of_what_is_not_there():
    table = make_table([make_facts("a"), make_facts("b")], [make_scan({IMAGE: axis(0)}), make_scan({CLOUD: axis(1)})])
    tasks, sets = tasks_and_sets(table)
    scores = tasks.scores(sets["image"], sets["point_cloud"])
    assert (scores.scene, scores.rescan, scores.temporal, scores.category, scores.within_category) == (None,) * 5
    assert tasks.chance().rescan is None


def test_equal_embeddings_find_nothing():
    num = 30
    table = make_table(
        [make_facts(f"p{n}", "room") for n in range(num)], [make_scan({IMAGE: axis(0), CLOUD: axis(0)})] * num
    )
    tasks, sets = tasks_and_sets(table)
    scores = tasks.scores(sets["image"], sets["point_cloud"])
    assert set(scores.scene.at.values()) == {0.0}
    assert set(scores.within_category.at.values()) == {0.0}


def test_fusion_is_the_direction_of_what_is_there():
    scan = make_scan({IMAGE: axis(0), CLOUD: axis(1), TEXT: axis(2)})
    np.testing.assert_allclose(
        fuse(scan, frozenset({IMAGE, CLOUD, CAD})), (axis(0) + axis(1)) / np.sqrt(2), atol=ROUNDING
    )
    np.testing.assert_allclose(fuse(scan, frozenset({TEXT})), axis(2), atol=ROUNDING)
    assert fuse(scan, frozenset({CAD, FLOORPLAN})) is None


def test_fusions_with_one_removed_answer_where_the_rest_is():
    scans = [make_scan({IMAGE: axis(0), CLOUD: axis(1)}), make_scan({CLOUD: axis(2)}), make_scan()]
    table = make_table([make_facts(name) for name in "abc"], scans)
    sets = {item.name: item for item in fused_sets(table.by_encoder[0])}
    assert list(sets) == ["all", "all but image", "all but point_cloud"]
    assert sets["all"].present.tolist() == [True, True, False]
    assert sets["all but point_cloud"].present.tolist() == [True, False, False]
    np.testing.assert_allclose(sets["all but image"].vectors[0], axis(1), atol=ROUNDING)
    # the fusion of one scan and the modality that went into it say nothing about each other
    tasks, modalities = tasks_and_sets(table)
    assert tasks.scores(modalities["image"], sets["all"]).scene is None
    assert tasks.scores(modalities["image"], sets["all but image"]).scene.queries == 1


def test_a_single_modality_is_no_fusion():
    table = make_table([make_facts("a")], [make_scan({IMAGE: axis(0)})])
    assert fused_sets(table.by_encoder[0]) == []


def test_mean_of_objects_leaves_out_missing_ones():
    rows = [axis(0), np.zeros(8), axis(1)]
    np.testing.assert_allclose(mean_direction(np.array(rows)), (axis(0) + axis(1)) / np.sqrt(2), atol=ROUNDING)
    assert mean_direction(np.zeros((2, 8), np.float32)) is None
    assert mean_direction(np.zeros((0, 8), np.float32)) is None
    table = make_table(
        [make_facts("a"), make_facts("b")],
        [make_scan(objects={CAD: rows}), make_scan(objects={CAD: np.zeros((2, 8)), TEXT: [axis(3)]})],
    )
    means = {item.name: item for item in object_mean_sets(table.by_encoder[0])}
    assert means["cad"].present.tolist() == [True, False]
    assert means["text"].present.tolist() == [False, True]
