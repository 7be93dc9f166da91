# SPDX-License-Identifier: Apache-2.0
"""From scans to embeddings: what is read, what is missing, and that views are described once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_scene_encoder import FakeSceneEncoder
from made_up_scene_scans import CAMERA, VIEWS_PER_ROOM, MadeUpScans, make_room
from scene_tables import make_facts, make_scan, make_table

from xover_core.evaluation.protocols.embedding_sets import modality_sets, sentence_sets, view_sets
from xover_core.evaluation.protocols.scan_inputs import (
    CROPS_PER_OBJECT,
    choose_views,
    cloud_of,
    object_inputs,
    sentences_of,
)
from xover_core.evaluation.protocols.scene_embeddings import embed_scans, embed_single_views
from xover_core.evaluation.protocols.scene_protocol_settings import SceneProtocolSettings
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder
from xover_core.types import SceneModality

# float32 of norm 1
ROUNDING = 1e-6


class Scans:
    """A `ScanSource` of given scans."""

    def __init__(self, *scans):
        self._scans = scans

    def __len__(self):
        return len(self._scans)

    @property
    def ids(self):
        return tuple(scan.scan_id for scan in self._scans)

    def scan(self, index):
        return self._scans[index]


def embed(*scans, encoder=None, **settings):
    named = NamedSceneEncoder(name="fake", encoder=encoder or FakeSceneEncoder())
    table = embed_scans(Scans(*scans), [named], SceneProtocolSettings(**settings))
    return table, table.by_encoder[0]


def test_all_modalities_of_norm_one():
    _, embedded = embed(make_room(0), make_room(1))
    for scan in embedded.scans:
        assert scan.scenes.keys() == set(SceneModality)
        for vector in scan.scenes.values():
            assert np.linalg.norm(vector) == pytest.approx(1.0, abs=ROUNDING)


def test_a_bare_scan_has_what_it_has():
    bare = dataclasses.replace(make_room(1), scan_id="bare", views=(), floorplan=None, sentences=(), objects=())
    table, embedded = embed(make_room(0), bare)
    assert embedded.scans[1].scenes.keys() == {SceneModality.POINT_CLOUD}
    assert embedded.scans[1].objects == {}
    assert len(embed_single_views(embedded.scans[1], FakeSceneEncoder())) == 0
    present = {item.name: item.present.tolist() for item in modality_sets(embedded)}
    assert present["image"] == [True, False]
    assert present["point_cloud"] == [True, True]
    assert len(table.facts[1].object_ids) == 0


class WatchingEncoder(FakeSceneEncoder):
    """Notes which frames have depth, and which views are pooled with poses."""

    def __init__(self):
        super().__init__()
        self.depths, self.poses = [], []

    def describe_view(self, frame):
        self.depths.append(frame.depth is not None)
        return super().describe_view(frame)

    def embed_views(self, views, T_scene_camera=None):
        self.poses.append(T_scene_camera)
        return super().embed_views(views, T_scene_camera)


def test_views_are_pooled_with_their_poses():
    encoder, room = WatchingEncoder(), make_room(0)
    _, embedded = embed(room, make_room(1), encoder=encoder, views=3)
    chosen = choose_views(room.views, 20, 42)[:3]
    np.testing.assert_array_equal(encoder.poses[0], [view.T_scan_camera for view in chosen])
    encoder.poses.clear()
    view_sets(embedded, standard=3, has_poses=True)
    assert encoder.poses
    assert all(len(poses) in (1, 5) for poses in encoder.poses)
    encoder.poses.clear()
    view_sets(embedded, standard=3, has_poses=False)
    assert set(encoder.poses) == {None}


def test_poses_and_depth_can_be_withheld():
    seeing, blind = WatchingEncoder(), WatchingEncoder()
    embed(make_room(0), make_room(1), encoder=seeing)
    embed(make_room(0), make_room(1), encoder=blind, no_poses=True, no_depth=True)
    assert any(seeing.depths)
    assert not any(blind.depths)
    assert set(blind.poses) == {None}


def test_only_what_the_encoder_knows_is_asked_for():
    encoder = FakeSceneEncoder(frozenset({SceneModality.TEXT}))
    _, embedded = embed(make_room(0), make_room(1), encoder=encoder)
    assert embedded.scans[0].scenes.keys() == {SceneModality.TEXT}
    assert embedded.scans[0].objects.keys() == {SceneModality.TEXT}
    assert encoder.num_views == 0


def test_views_are_described_once_and_recombined():
    encoder = FakeSceneEncoder()
    _, embedded = embed(make_room(0), make_room(1), encoder=encoder, views=3)
    assert encoder.num_views == 2 * VIEWS_PER_ROOM
    sets = {item.name: item for item in view_sets(embedded, standard=3, has_poses=True)}
    assert list(sets) == ["image, 1 view", "image, 5 views"]
    single = embed_single_views(embedded.scans[0], encoder)
    np.testing.assert_allclose(sets["image, 1 view"].vectors[0], single[0], atol=ROUNDING)
    expected = encoder.embed_views(embedded.scans[0].views[:5])
    np.testing.assert_allclose(sets["image, 5 views"].vectors[0], expected, atol=ROUNDING)
    assert encoder.num_views == 2 * VIEWS_PER_ROOM


def test_fewer_sentences_are_the_first_ones():
    _, embedded = embed(make_room(0), make_room(1), sentences=4)
    said = sentences_of(make_room(0), seed=42)
    encoder = FakeSceneEncoder()
    assert [item.name for item in sentence_sets(embedded, standard=4)] == ["text, 1 sentence"]
    np.testing.assert_array_equal(embedded.scans[0].texts[1], encoder.embed_text(said[0]))
    np.testing.assert_array_equal(embedded.scans[0].scenes[SceneModality.TEXT], encoder.embed_text(" ".join(said[:4])))


def test_sentences_do_not_depend_on_other_scans():
    room = make_room(3)
    assert sentences_of(room, 1) == sentences_of(room, 1)
    assert sentences_of(room, 1) != sentences_of(room, 2)
    assert sorted(sentences_of(room, 1)) == sorted(set(room.sentences))
    # what is said of the objects counts too, each sentence once
    quiet = dataclasses.replace(room, sentences=("it is a room",))
    assert set(sentences_of(quiet, 1)) == {"it is a room", *room.sentences}


def test_chosen_views_are_far_from_each_other_and_nested():
    views = make_room(0).views
    three, five = choose_views(views, 3, seed=0), choose_views(views, 5, seed=0)
    assert len(three) == 3
    assert all(a is b for a, b in zip(three, five, strict=False))
    assert choose_views((), 3, seed=0) == []
    # neighbours of the six cameras on a circle of radius 1 are 1 m apart, and the second one is no neighbour
    distance = np.linalg.norm(three[0].T_scan_camera[:3, 3] - three[1].T_scan_camera[:3, 3])
    assert distance > 1.5


def test_objects_with_crops_clouds_and_words():
    room = make_room(0)
    objects = object_inputs(room, room.views)
    assert [len(item.images) for item in objects] == [CROPS_PER_OBJECT] * 3 + [0]
    height, width, _ = objects[0].images[0].shape
    assert height == CAMERA.height
    assert 0 < width < CAMERA.width
    for item, scanned in zip(objects, room.objects, strict=True):
        assert (item.cloud.colors == item.cloud.colors[0]).all()
        assert item.sentences == scanned.sentences
    # with few points an object has no cloud, without instances no picture
    thin = dataclasses.replace(room, instance=np.where(np.arange(len(room.instance)) < 10, 1, 0).astype(np.int32))
    assert object_inputs(thin, [])[0].cloud is None
    blind = [dataclasses.replace(view, instance=None) for view in room.views]
    assert object_inputs(room, blind)[0].images == ()


def test_an_empty_cloud_is_missing():
    nothing = np.zeros((0, 3))
    empty = dataclasses.replace(
        make_room(0), points=nothing.astype(np.float32), colors=nothing.astype(np.uint8), instance=np.zeros(0, np.int32)
    )
    assert cloud_of(empty) is None


def test_references_are_the_scans_that_name_their_place():
    facts = [make_facts("a2", place_id="a"), make_facts("a"), make_facts("b1", place_id="b"), make_facts("b2", "", "b")]
    table = make_table(facts, [make_scan()] * 4)
    assert table.is_reference.tolist() == [False, True, True, False]
    assert table.places.tolist() == [0, 0, 1, 1]


def test_the_first_places_with_all_their_scans():
    named = NamedSceneEncoder(name="fake", encoder=FakeSceneEncoder())
    seen = []
    table = embed_scans(
        MadeUpScans(5, 3), [named], SceneProtocolSettings(num_scenes=2), progress=lambda *counts: seen.append(counts)
    )
    assert [fact.scan_id for fact in table.facts] == ["room-0", "room-1", "room-0-rescan", "room-1-rescan"]
    assert seen[-1] == (8, 8)
    assert table.facts[2].is_moved.tolist() == [True, False, False, False]


def test_times_are_told():
    table, _ = embed(make_room(0), make_room(1))
    assert {"ms_view", "ms_text", "ms_point_cloud", "ms_floorplan", "ms_pooling"} <= table.times_ms().keys()
    assert "fake, median ms: view" in table.time_notes()[0]
