# SPDX-License-Identifier: Apache-2.0
"""Tests of what training keeps of scans: files, extraction of what is missing, and scans by place."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from room_cases import make_features, make_scan, without
from safetensors import safe_open
from safetensors.numpy import save_file

from xover_core.datasets.scan_file import SCAN_SUFFIX, save_scan
from xover_core.datasets.scan_folder import ScanFolder
from xover_core.encoders.floorplan_raster import rasterize
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import TrainingError
from xover_core.inference.compact_session import make_compact_session
from xover_core.training import feature_folder
from xover_core.training.feature_folder import PlaceFeatures, extract_missing
from xover_core.training.inventory_vocabulary import CLASSES, LOOKS
from xover_core.training.room_features import (
    FEATURES_SUFFIX,
    MAX_CROPS,
    RoomFeatures,
    crop_object,
    extract_features,
    load_features,
    save_features,
)
from xover_core.training.view_pictures import PictureStack
from xover_core.types import RgbdFrame

# points of objects are stored in half precision, and lie in the unit sphere
HALF_TOLERANCE = 5e-4
# float32 at some metres, m
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def tokenizer() -> ViewTokenizer:
    return ViewTokenizer(make_compact_session(VIEW_BACKBONE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"room{FEATURES_SUFFIX}"


def assert_same(ours: RoomFeatures, theirs: RoomFeatures) -> None:
    for field in fields(RoomFeatures):
        value, expected = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name in ("object_points", "cad_points"):
            np.testing.assert_allclose(
                value, expected, rtol=0, atol=2 * HALF_TOLERANCE * np.abs(expected).max(initial=1)
            )
        elif isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected)
        elif isinstance(expected, PictureStack):
            for part in fields(PictureStack):
                np.testing.assert_array_equal(getattr(value, part.name), getattr(expected, part.name))
        else:
            assert value == expected
        if isinstance(expected, np.ndarray):
            assert value.dtype == expected.dtype, field.name


@pytest.mark.parametrize("missing", [{}, {"views": True}, {"plan": True}, {"objects": True}])
def test_features_come_back(path, missing):
    features = without(make_features(1), **missing)
    save_features(features, path)
    assert_same(load_features(path), features)
    assert not list(path.parent.glob("*.part"))


def rewritten(path: Path, facts: str) -> None:
    with safe_open(path, framework="np") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        metadata = file.metadata()
    save_file(arrays, path, metadata | {"facts": facts})


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "version", "facts", "no facts"])
def test_damaged_and_foreign_features_are_refused(path, damage):
    save_features(make_features(0), path)
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "foreign":
        path.write_text("nonsense")
    elif damage == "version":
        save_file({"tokens": np.zeros(3)}, path, {"format": "xover room features", "version": "0"})
    else:
        rewritten(path, "[]" if damage == "facts" else "{}")
    with pytest.raises(TrainingError, match="make it again") as error:
        load_features(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_features_of_a_folder_that_is_missing_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="cannot be written"):
        save_features(make_features(0), tmp_path / "missing" / "file")


def test_extraction_keeps_what_a_scan_holds(tokenizer):
    scan = make_scan()
    features = extract_features(scan, tokenizer)
    assert features.tokens.shape == (2, tokenizer.num_tokens, tokenizer.token_dim)
    view = scan.views[1]
    frame = RgbdFrame(stamp_ns=0, rgb=view.rgb, depth=view.depth, intrinsics=view.intrinsics)
    np.testing.assert_array_equal(features.tokens[1], tokenizer.tokens(frame).astype(np.float16))
    np.testing.assert_allclose(np.median(features.points[:, :2], axis=0), 0, atol=TOLERANCE)
    # z keeps its floor, and all move by the same
    shift = np.append(np.median(scan.points[:, :2], axis=0), 0)
    rows = np.lexsort(features.points.T), np.lexsort(scan.points.T)
    np.testing.assert_allclose(features.points[rows[0]] + shift, scan.points[rows[1]], atol=TOLERANCE)
    np.testing.assert_array_equal(features.colors[rows[0]], scan.colors[rows[1]])
    np.testing.assert_allclose(features.locations[0, :3] + shift, scan.objects[0].center, atol=TOLERANCE)
    np.testing.assert_allclose(features.locations[:, 3:], [o.size for o in scan.objects], atol=TOLERANCE)
    np.testing.assert_allclose(features.raster / 255, rasterize(scan.floorplan.image, 20.0), atol=0.5 / 255 + TOLERANCE)
    assert features.object_ids.tolist() == [3, 40_000]
    assert (features.has_points.tolist(), features.has_cad.tolist()) == ([True, True], [True, False])
    assert not features.cad_points[1].any()
    assert features.labels == ("chair", "sofa")
    assert features.object_sentences == (scan.objects[0].sentences, ())
    patches = tokenizer.patches(frame)
    np.testing.assert_allclose(features.pictures.patches[1] / 254, patches, atol=0.51 / 254)
    # id 0 is nothing
    assert len(features.pictures) == 2
    assert set(np.unique(features.pictures.classes)) == {-1, CLASSES.index("chair"), CLASSES.index("sofa")}
    assert set(np.unique(features.pictures.looks)) == {-1, LOOKS.index("red")}


def test_extraction_is_repeatable(tokenizer):
    first, second = (extract_features(make_scan(), tokenizer, seed=4) for _ in range(2))
    assert_same(first, second)


def test_crops_are_of_the_views_that_show_most():
    scan = make_scan()
    many, few = (np.zeros((24, 32), np.int32) for _ in range(2))
    many[2:22, 3:30], few[5:15, 10:20] = 3, 3
    views = [replace(view, instance=instance) for view, instance in zip(scan.views, (few, many), strict=True)]
    features = extract_features(replace(scan, views=views), ViewTokenizerStub())
    assert features.num_crops.tolist() == [MAX_CROPS, 0]
    np.testing.assert_array_equal(features.crops[0, 0], crop_object(views[1], 3))
    np.testing.assert_array_equal(features.crops[0, 1], crop_object(views[0], 3))
    assert not features.crops[1].any()


def test_a_crop_is_the_object_with_a_margin_within_the_image():
    view = make_scan().views[0]
    rgb, instance = np.zeros_like(view.rgb), np.zeros((24, 32), np.int32)
    instance[10:20, 22:32] = 3
    rgb[instance == 3] = 255
    crop = crop_object(replace(view, rgb=rgb, instance=instance), 3)
    assert (crop.shape, crop.dtype) == ((32, 32, 3), np.uint8)
    # one pixel and a tenth: black above, below and to the left; to the right is the image's border
    assert not crop[0, :].any()
    assert not crop[-1, :].any()
    assert not crop[:, 0].any()
    assert (crop[16, -1] == 255).all()
    assert (crop == 255).mean() > 0.6


class ViewTokenizerStub:
    """Tokens of nothing."""

    num_tokens, token_dim = 4, 6

    def patches(self, frame):
        return np.zeros((2, 3, 5), np.float32)

    def pool(self, frame, patches):
        return np.zeros((4, 6), np.float32)


def test_small_appearances_give_no_crop_and_no_instances_neither():
    scan = make_scan()
    instance = np.zeros((24, 32), np.int32)
    instance[:5, :10] = 3
    small = replace(scan.views[0], instance=instance)
    unknown = replace(scan.views[0], instance=None)
    features = extract_features(replace(scan, views=(small, unknown)), ViewTokenizerStub())
    assert features.num_crops.tolist() == [0, 0]


def test_a_scan_of_points_alone_has_features():
    scan = replace(make_scan(), views=(), objects=(), floorplan=None, sentences=())
    features = extract_features(scan, ViewTokenizerStub())
    assert (features.tokens.shape, features.raster) == ((0, 4, 6), None)
    assert features.object_points.shape == features.cad_points.shape == (0, 128, 6)
    assert features.locations.shape == (0, 6)


def test_big_clouds_are_thinned():
    rng = np.random.default_rng(0)
    count = 30_000
    scan = replace(
        make_scan(),
        points=rng.random((count, 3), np.float32),
        colors=np.zeros((count, 3), np.uint8),
        instance=np.zeros(count, np.int32),
        views=(),
    )
    features = extract_features(scan, ViewTokenizerStub())
    assert len(features.points) == len(features.colors) == 25_000
    assert features.has_points.tolist() == [False, False]


def test_a_scan_without_points_is_refused():
    scan = make_scan()
    empty = replace(scan, points=scan.points[:0], colors=scan.colors[:0], instance=scan.instance[:0])
    with pytest.raises(TrainingError, match="scan room: expected points"):
        extract_features(empty, ViewTokenizerStub())


@pytest.fixture
def scans(tmp_path) -> ScanFolder:
    for seed, (scan_id, place_id) in enumerate([("a", "a"), ("a-rescan", "a"), ("b", "b")]):
        save_scan(make_scan(scan_id, place_id, seed), tmp_path / f"{scan_id}{SCAN_SUFFIX}")
    return ScanFolder(tmp_path)


def test_only_missing_features_are_extracted(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_folder, "ViewTokenizer", lambda _: ViewTokenizerStub())
    extracted: list[str] = []

    def extract(scan, tokenizer, seed):
        extracted.append(scan.scan_id)
        return extract_features(scan, tokenizer, seed)

    monkeypatch.setattr(feature_folder, "extract_features", extract)
    said: list[tuple[int, int]] = []
    folder = tmp_path / "deep" / "features"
    paths = extract_missing(scans, folder, lambda *counts: said.append(counts))
    assert [path.name for path in paths] == [f"{name}{FEATURES_SUFFIX}" for name in scans.ids]
    assert sorted(extracted) == ["a", "a-rescan", "b"]
    assert said == [(0, 3), (1, 3), (2, 3), (3, 3)]
    before = load_features(paths[1])
    paths[1].unlink()
    assert extract_missing(scans, folder) == paths
    assert extracted[3:] == [scans.ids[1]]
    assert_same(load_features(paths[1]), before)


def test_features_need_a_folder(scans, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="the folder cannot be made"):
        extract_missing(scans, tmp_path / "file")


def test_places_have_their_reference_scan_first(tmp_path):
    scans = [make_features(2, 1), make_features(2), make_features(0), make_features(2, 2)]
    paths = [tmp_path / str(number) for number in range(len(scans))]
    for scan, path in zip(scans, paths, strict=True):
        save_features(scan, path)
    places = PlaceFeatures(paths)
    assert [[scan.scan_id for scan in places.place(i)] for i in range(len(places))] == [
        ["place-00"],
        ["place-02", "place-02-1", "place-02-2"],
    ]


def test_no_features_are_refused():
    with pytest.raises(TrainingError, match="at least one scan"):
        PlaceFeatures([])
