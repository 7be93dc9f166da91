# SPDX-License-Identifier: Apache-2.0
"""Tests of batches of scenes: masks and rows, what changes and what does not, and which places come together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from room_cases import CATEGORIES, make_features, place_features, without

from xover_core.encoders.cloud_voxels import voxelize
from xover_core.encoders.color_histogram import color_histogram
from xover_core.encoders.layout_signature import cloud_layout
from xover_core.encoders.text_tokens import batch_tokens
from xover_core.training.crossover_settings import RoomBatchSettings
from xover_core.training.room_batches import RoomSampler, SceneTensors, make_batch
from xover_core.types import SceneModality

CLOUD, CAD = SceneModality.POINT_CLOUD, SceneModality.CAD
IMAGE, TEXT = SceneModality.IMAGE, SceneModality.TEXT
PLAN = SceneModality.FLOORPLAN
PLAIN = RoomBatchSettings(is_changed=False)
CHANGED = RoomBatchSettings(rescan_share=1.0, missing=0.0)
# float32 after a rotation
TOLERANCE = 1e-5


@pytest.fixture
def places():
    return [tuple(make_features(place, scan) for scan in range(2)) for place in range(4)]


def draw(places, settings, seed=0):
    return make_batch(places, settings, np.random.default_rng(seed))


def tensors_of(scene: SceneTensors) -> dict[str, torch.Tensor]:
    """All tensors of a scene by name."""
    objects = scene.objects
    named = {
        "tokens": scene.tokens,
        "view_scenes": scene.view_scenes,
        "voxels": scene.cloud.coordinates,
        "cloud": scene.cloud.features,
        "cloud colors": scene.cloud_colors,
        "cloud layouts": scene.cloud_layouts,
        "rasters": scene.rasters,
        "raster layouts": scene.raster_layouts,
        "view colors": scene.view_colors,
        "words": scene.words,
        "points": objects.points,
        "cad": objects.cad_points,
        "crops": objects.crops,
        "object words": objects.words,
        "locations": objects.locations,
    }
    named |= {f"has {m.value}": mask for m, mask in scene.masks.items()}
    return named | {f"objects have {m.value}": mask for m, mask in objects.masks.items()}


def assert_fits(scene: SceneTensors, num_scenes: int) -> None:
    """Masks say how many rows there are, and everything is finite and in range."""
    for name, values in tensors_of(scene).items():
        assert torch.isfinite(values.float()).all(), name
    assert scene.cloud.batch_size == len(scene.rasters) == len(scene.words) == num_scenes
    assert len(scene.tokens) == len(scene.view_colors) == len(scene.view_scenes)
    assert len(scene.cloud_colors) == len(scene.cloud_layouts) == len(scene.raster_layouts) == num_scenes
    torch.testing.assert_close(scene.cloud_colors.sum(dim=1), torch.ones(num_scenes), atol=TOLERANCE, rtol=0)
    seen = torch.zeros(num_scenes, dtype=torch.bool)
    seen[scene.view_scenes] = True
    assert torch.equal(seen, scene.masks[IMAGE])
    assert all(mask.shape == (num_scenes,) for mask in scene.masks.values())
    objects = scene.objects
    rows = {CLOUD: objects.points, CAD: objects.cad_points, IMAGE: objects.crops, TEXT: objects.words}
    for modality, mask in objects.masks.items():
        assert mask.shape == objects.locations.shape[:2]
        assert int(mask.sum()) == len(rows[modality])
    assert not len(objects.crops) or 0 <= float(objects.crops.min()) <= float(objects.crops.max()) <= 1
    assert float(scene.rasters.min()) >= 0
    assert float(scene.rasters.max()) <= 1


@pytest.mark.parametrize("settings", [PLAIN, CHANGED, RoomBatchSettings(missing=0.5, rescan_share=1.0)])
def test_masks_and_rows_fit(places, settings):
    for seed in range(4):
        batch = draw(places, settings, seed)
        assert_fits(batch.first, 4)
        assert_fits(batch.second, 4)


@pytest.mark.parametrize("settings", [PLAIN, CHANGED])
@pytest.mark.parametrize("missing", ["views", "plan", "objects"])
def test_scenes_may_lack_modalities(places, settings, missing):
    places = [tuple(without(scan, **{missing: number != 1}) for scan in scans) for number, scans in enumerate(places)]
    batch = draw(places, settings)
    only = torch.tensor([False, True, False, False])
    # for measuring, what is said of objects is all that is said
    of_objects = set() if settings.is_changed else {TEXT}
    lacking = {"views": {IMAGE}, "plan": {PLAN, TEXT}, "objects": of_objects}[missing]
    for scene in (batch.first, batch.second):
        assert_fits(scene, 4)
        for modality, mask in scene.masks.items():
            assert torch.equal(mask, only if modality in lacking else torch.ones(4, dtype=torch.bool)), modality
    has_crops = batch.first.objects.masks[IMAGE].any(dim=1)
    has_object_text = batch.first.objects.masks[TEXT].any(dim=1)
    assert torch.equal(has_crops, torch.ones(4, dtype=torch.bool) if missing == "plan" else only)
    assert torch.equal(has_object_text, torch.ones(4, dtype=torch.bool) if missing == "views" else only)


@pytest.mark.parametrize("missing", ["views", "plan", "objects"])
def test_all_scenes_may_lack_a_modality(places, missing):
    bare = [tuple(without(scan, **{missing: True}) for scan in scans) for scans in places]
    assert_fits(draw(bare, CHANGED).first, 4)


def test_objects_of_both_scans_are_in_the_same_rows(places):
    # objects are told apart by their size, which does not change with the number of a scan
    for seed in range(3):
        batch = draw(places, PLAIN, seed)
        for place, (scans, first, second) in enumerate(
            zip(places, batch.first.objects.locations, batch.second.objects.locations, strict=True)
        ):
            ids = [_ids_of(scan, rows) for scan, rows in zip(scans, (first, second), strict=True)]
            assert len(ids[0]) == 4
            for a, b in zip(*ids, strict=True):
                assert {a, b} in ({5}, {2}, {10, None}, {11, None}), place
            assert sorted(i for i in ids[0] if i) == [2, 5, 10]
            assert sorted(i for i in ids[1] if i) == [2, 5, 11]


def _ids_of(scan, rows: torch.Tensor) -> list[int | None]:
    """Object id of each row, None where it is empty."""
    found: list[int | None] = []
    for row in rows.numpy():
        distances = np.abs(scan.locations - row).max(axis=1)
        found.append(int(scan.object_ids[distances.argmin()]) if distances.min() < TOLERANCE else None)
        assert row.any() == (found[-1] is not None)
    return found


def test_masks_of_objects_are_those_of_the_scan(places):
    batch = draw(places[:1], PLAIN)
    ids = _ids_of(places[0][0], batch.first.objects.locations[0])
    expected = {
        CLOUD: {5: True, 2: True},
        CAD: {5: True, 10: True},
        IMAGE: {5: True, 2: True},
        TEXT: {5: True, 2: True},
    }
    for modality, mask in batch.first.objects.masks.items():
        assert mask[0].tolist() == [expected[modality].get(i, False) for i in ids], modality


def test_surplus_objects_are_left_out_in_both_scans(places):
    batch = draw(places, replace(PLAIN, max_objects=2))
    for scans, first, second in zip(places, batch.first.objects.locations, batch.second.objects.locations, strict=True):
        assert len(first) == len(second) == 2
        for a, b in zip(_ids_of(scans[0], first), _ids_of(scans[1], second), strict=True):
            assert a == b or None in (a, b)


def test_nothing_is_changed_where_nothing_shall_be(places):
    scans = [scans[0] for scans in places]
    for seed in range(2):
        batch = draw(places, PLAIN, seed)
        scene, objects = batch.first, batch.first.objects
        np.testing.assert_array_equal(scene.tokens, np.concatenate([scan.tokens for scan in scans]).astype(np.float32))
        assert scene.view_scenes.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        np.testing.assert_array_equal(scene.rasters, np.stack([scan.raster for scan in scans]) / np.float32(255))
        np.testing.assert_array_equal(scene.view_colors, np.concatenate([scan.view_colors for scan in scans]))
        np.testing.assert_array_equal(scene.cloud_colors, [color_histogram(scan.colors) for scan in scans])
        np.testing.assert_array_equal(scene.cloud_layouts, [cloud_layout(scan.points) for scan in scans])
        voxels = [voxelize(scan.points, scan.colors.astype(np.float32)) for scan in scans]
        assert len(scene.cloud.features) == sum(len(one.coordinates) for one in voxels)
        for number, one in enumerate(voxels):
            rows = scene.cloud.coordinates[:, 0] == number
            np.testing.assert_allclose(
                scene.cloud.features[rows].sum(dim=0), one.features.sum(axis=0), atol=1e-3, rtol=1e-5
            )
        for number, scan in enumerate(scans):
            ids = _ids_of(scan, objects.locations[number])
            rows = [scan.object_ids.tolist().index(i) for i in ids if i in (5, 2)]
            start = 2 * number
            np.testing.assert_array_equal(objects.points[start : start + 2], scan.object_points[rows])


def _texts(words: torch.Tensor) -> list[list[int]]:
    """Ids of the words of each text without padding, the words sorted."""
    return [sorted(int(word[0]) for word in text if word[0]) for text in words]


def test_a_text_is_made_of_what_is_said_of_objects(places):
    words = draw(places, PLAIN).first.words
    expected = [" ".join(text for texts in scans[0].object_sentences for text in texts) for scans in places]
    assert _texts(words) == _texts(torch.from_numpy(batch_tokens(expected)))


def test_the_first_rescan_is_measured(places):
    three = [(*scans, make_features(place, 2)) for place, scans in enumerate(places)]
    for seed in range(3):
        batch = draw(three, PLAIN, seed)
        np.testing.assert_array_equal(batch.first.tokens[:3], three[0][0].tokens.astype(np.float32))
        np.testing.assert_array_equal(batch.second.tokens[:3], three[0][1].tokens.astype(np.float32))


def test_a_place_with_one_scan_is_shown_twice(places):
    batch = draw([scans[:1] for scans in places], PLAIN)
    assert torch.equal(batch.first.tokens, batch.second.tokens)
    assert torch.equal(batch.first.objects.locations, batch.second.objects.locations)


def test_training_sees_scenes_changed(places):
    first, second = (tensors_of(draw(places, CHANGED, seed).first) for seed in range(2))
    for name in ("cloud", "rasters", "locations"):
        assert first[name].shape != second[name].shape or not torch.equal(first[name], second[name]), name


def test_turned_objects_keep_their_shape(places):
    plain, turned = (draw(places[:1], settings).first.objects for settings in (PLAIN, CHANGED))
    radii = [
        sorted(float(value) for value in points[..., :2].norm(dim=-1).flatten())
        for points in (plain.points, turned.points)
    ]
    assert not torch.equal(plain.points, turned.points)
    np.testing.assert_allclose(*radii, atol=TOLERANCE)
    heights = [np.sort(one.points[..., 2:].numpy(), axis=None) for one in (plain, turned)]
    np.testing.assert_array_equal(*heights)
    middles = [np.sort(one.locations[0, :, :2].norm(dim=1).numpy()) for one in (plain, turned)]
    np.testing.assert_allclose(*middles, atol=TOLERANCE)


def test_the_number_of_views_is_drawn(places):
    counts = Counter(
        int(count)
        for seed in range(12)
        for count in draw(places, replace(CHANGED, max_views=2, single_view=0.5), seed).first.view_scenes.bincount()
    )
    assert set(counts) == {1, 2}
    assert counts[1] > counts[2]


def test_modalities_of_objects_are_taken_away(places):
    kept = [int(draw(places, replace(CHANGED, missing=share)).first.objects.masks[CLOUD].sum()) for share in (0.0, 0.9)]
    assert kept[0] == 8
    assert kept[1] < 5


@pytest.mark.parametrize(("share", "expected"), [(0.0, {False}), (1.0, {True}), (0.5, {True, False})])
def test_rescans_come_in_a_share_of_the_batches(places, share, expected):
    settings = replace(CHANGED, rescan_share=share)
    assert {draw(places[:2], settings, seed).second is not None for seed in range(10)} == expected


def test_a_seed_gives_the_same_batch(places):
    first, again = (draw(places, RoomBatchSettings(rescan_share=1.0), 3) for _ in range(2))
    for ours, theirs in ((first.first, again.first), (first.second, again.second)):
        for name, values in tensors_of(ours).items():
            assert torch.equal(values, tensors_of(theirs)[name]), name


@pytest.fixture
def sampled(tmp_path):
    return place_features(tmp_path, [make_features(place) for place in range(8)])


def test_every_place_comes_at_most_once(sampled):
    sampler = RoomSampler(sampled, RoomBatchSettings(num_scenes=3))
    assert len(sampler) == 2
    rng = np.random.default_rng(0)
    drawn = [sampler.draw(rng) for _ in range(30)]
    assert all(len(set(places.tolist())) == 3 for places in drawn)
    assert {int(i) for places in drawn for i in places} == set(range(8))


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.5), (1.0, 1.0, 1.0)])
def test_scenes_of_a_category_come_together(sampled, share, low, high):
    sampler = RoomSampler(sampled, RoomBatchSettings(num_scenes=4, same_category=share))
    rng = np.random.default_rng(0)
    alike = [len({int(i) % len(CATEGORIES) for i in sampler.draw(rng)}) == 1 for _ in range(20)]
    assert low <= np.mean(alike) <= high


def test_few_places_are_a_small_batch(sampled):
    sampler = RoomSampler(sampled, RoomBatchSettings(num_scenes=32))
    assert len(sampler) == 1
    assert sorted(sampler.draw(np.random.default_rng(0)).tolist()) == list(range(8))
    # others fill up where a category has too few
    mixed = RoomSampler(sampled, RoomBatchSettings(num_scenes=6, same_category=1.0))
    assert Counter(int(i) % 2 for i in mixed.draw(np.random.default_rng(0))).most_common(1)[0][1] == 4
