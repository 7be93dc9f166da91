# SPDX-License-Identifier: Apache-2.0
"""Instance matching: on made-up scans, and who is matched with whom on embeddings by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_scene_encoder import FakeSceneEncoder
from made_up_scene_scans import OBJECTS_PER_ROOM, MadeUpScans
from scene_tables import make_facts, make_scan, make_table

from xover_core.errors import DatasetError
from xover_core.evaluation.protocols import instance_retrieval
from xover_core.evaluation.protocols.instance_retrieval import measure_instance_retrieval
from xover_core.evaluation.protocols.scene_protocol_settings import InstanceRetrievalSettings
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder
from xover_core.types import SceneModality

IMAGE, CLOUD = SceneModality.IMAGE, SceneModality.POINT_CLOUD
AXES = np.eye(4, dtype=np.float32)
LABELS = {1: "coffee table", 2: "trash can", 3: "lamp"}


def measure(monkeypatch, facts, scans, **settings):
    """Rows by (feature, query, reference) of a table by hand."""
    monkeypatch.setattr(instance_retrieval, "embed_scans", lambda *_, **__: make_table(facts, scans))
    done = measure_instance_retrieval(None, [], InstanceRetrievalSettings(**settings), name="hand")
    return {(row.feature, row.query, row.reference): row for row in done.report.rows}, done.found


@pytest.fixture
def rearranged():
    """A place whose objects 1 and 2 moved, the latter now looks like 3; and a place without objects."""
    facts = [
        make_facts("a", objects=LABELS),
        make_facts("a2", place_id="a", objects=LABELS, moved=(1, 2)),
        make_facts("b"),
    ]
    first = make_scan(objects={CLOUD: AXES[:3], IMAGE: AXES[[0, 2, 2]]})
    again = make_scan(objects={CLOUD: AXES[[0, 2, 2]]})
    return facts, [first, again, make_scan()]


def test_the_same_scan(monkeypatch, rearranged):
    rows, _ = measure(monkeypatch, *rearranged)
    same = rows["hand", "image", "point_cloud"].same_scan
    assert (same.scenes, same.objects) == (1, 3)
    assert same.at == {"1": pytest.approx(2 / 3)}
    assert same.scenes_at == {"25": 1.0, "50": 1.0, "75": 0.0}
    # objects 2 and 3 are equal as pictures: neither is found by its cloud
    assert rows["hand", "point_cloud", "image"].same_scan.at["1"] == pytest.approx(1 / 3)
    assert rows["hand", "image", "image"].same_scan is None


def test_a_rescan(monkeypatch, rearranged):
    rows, found = measure(monkeypatch, *rearranged)
    row = rows["hand", "point_cloud", "point_cloud"]
    assert row.rescan.at["1"] == pytest.approx(2 / 3)
    assert (row.moved.scenes, row.moved.objects, row.moved.at["1"]) == (1, 2, 0.5)
    assert row.moved.scenes_at == {"25": 1.0, "50": 1.0, "75": 0.0}
    assert found["hand", "point_cloud", "point_cloud"].tolist() == [0.5]


def test_objects_that_one_scan_lacks_are_not_asked_for(monkeypatch, rearranged):
    facts, scans = rearranged
    scans[0] = make_scan(objects={CLOUD: AXES[:3] * np.array([[1], [0], [1]])})
    rows, _ = measure(monkeypatch, facts, scans)
    assert rows["hand", "point_cloud", "point_cloud"].rescan.objects == 2


def test_only_what_moves_in_3rscan(monkeypatch, rearranged):
    rows, _ = measure(monkeypatch, *rearranged, rio_categories=True)
    row = rows["hand", "point_cloud", "point_cloud"]
    # without the lamp, the trash can's likeness is gone
    assert row.rescan.objects == 2
    assert row.rescan.at["1"] == pytest.approx(0.5)
    assert rows["hand", "image", "point_cloud"].same_scan.objects == 3


def test_chance_is_of_all_objects(monkeypatch, rearranged):
    rows, _ = measure(monkeypatch, *rearranged)
    chance = rows["chance", "any", "any"]
    assert chance.same_scan.at == {"1": pytest.approx(1 / 3)}
    assert chance.moved.objects == 2


def test_made_up_scans():
    named = NamedSceneEncoder(name="fake", encoder=FakeSceneEncoder())
    done = measure_instance_retrieval(MadeUpScans(6, 4), [named], InstanceRetrievalSettings(), name="made up")
    rows = {(row.query, row.reference): row for row in done.report.rows}
    assert rows["image", "point_cloud"].same_scan.at["1"] > rows["any", "any"].same_scan.at["1"]
    # the last object is in no picture
    assert rows["point_cloud", "image"].same_scan.objects == 6 * (OBJECTS_PER_ROOM - 1)
    assert rows["cad", "cad"].moved.objects == 4
    # views are not described for objects
    assert named.encoder.num_views == 0


def test_one_place_is_too_few():
    named = NamedSceneEncoder(name="fake", encoder=FakeSceneEncoder())
    with pytest.raises(DatasetError, match="at least two places"):
        measure_instance_retrieval(MadeUpScans(1, 1), [named], InstanceRetrievalSettings(), name="one")
