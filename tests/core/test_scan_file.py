# SPDX-License-Identifier: Apache-2.0
"""Tests of scans in files and folders: round trip, what may be missing, pictures on demand, and damage."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from room_cases import CAMERA, make_scan, make_view
from safetensors import safe_open
from safetensors.numpy import save_file

from xover_core.datasets.open_scans import open_scans
from xover_core.datasets.scan_file import SCAN_SUFFIX, load_scan, save_scan
from xover_core.datasets.scan_folder import ScanFolder
from xover_core.datasets.scene_scan import SceneScan
from xover_core.errors import DatasetError

# depth is stored in millimetres; m
DEPTH_TOLERANCE = 0.0005 + 1e-6
# JPEG of quality 95 of smooth pictures
MAX_GREY_LEVELS = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"room{SCAN_SUFFIX}"


def round_trip(scan: SceneScan, path: Path) -> SceneScan:
    save_scan(scan, path)
    return load_scan(path)


def rewrite(path: Path, metadata: dict[str, str] | None = None, **arrays: Any) -> None:
    """Change a scan file; an array that is None is left out."""
    with safe_open(path, framework="np") as file:
        kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        old = file.metadata()
    changed = {key: value for key, value in (kept | arrays).items() if value is not None}
    save_file(changed, path, old | (metadata or {}))


def assert_one_sentence(error: pytest.ExceptionInfo[DatasetError], path: Path) -> None:
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")


def test_everything_comes_back(path):
    scan = make_scan("room-rescan", "room")
    read = round_trip(scan, path)
    for name in ("scan_id", "place_id", "category", "sentences", "moved_ids"):
        assert getattr(read, name) == getattr(scan, name)
    for name in ("points", "colors", "instance"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))
        assert getattr(read, name).dtype == getattr(scan, name).dtype
    np.testing.assert_array_equal(read.floorplan.image, scan.floorplan.image)
    assert read.floorplan.pixels_per_m == 20.0
    assert len(read.objects) == 2
    for ours, theirs in zip(read.objects, scan.objects, strict=True):
        assert (ours.object_id, ours.label, ours.sentences) == (theirs.object_id, theirs.label, theirs.sentences)
        np.testing.assert_array_equal(ours.center, theirs.center)
        np.testing.assert_array_equal(ours.size, theirs.size)
    np.testing.assert_array_equal(read.objects[0].cad_points, scan.objects[0].cad_points)
    assert read.objects[1].cad_points is None
    assert not list(path.parent.glob("*.part"))


def test_views_come_back(path):
    scan = make_scan()
    read = round_trip(scan, path)
    assert len(read.views) == 2
    for ours, theirs in zip(read.views, scan.views, strict=True):
        assert ours.rgb.dtype == np.uint8
        assert np.abs(ours.rgb.astype(int) - theirs.rgb).max() <= MAX_GREY_LEVELS
        assert ours.depth.dtype == np.float32
        np.testing.assert_allclose(ours.depth, theirs.depth, rtol=0, atol=DEPTH_TOLERANCE)
        np.testing.assert_array_equal(ours.depth == 0, theirs.depth == 0)
        np.testing.assert_array_equal(ours.instance, theirs.instance)
        assert ours.instance.dtype == np.int32
        assert ours.intrinsics == theirs.intrinsics
        np.testing.assert_array_equal(ours.T_scan_camera, theirs.T_scan_camera)


def test_depth_beyond_16_bits_is_the_largest(path):
    view = replace(make_view(0), depth=np.full((24, 32), 100.0, np.float32))
    read = round_trip(replace(make_scan(), views=(view,)), path)
    np.testing.assert_allclose(read.views[0].depth, 65.535, atol=DEPTH_TOLERANCE)


@pytest.mark.parametrize("missing", [{"depth"}, {"instance"}, {"depth", "instance"}])
def test_views_may_lack_depth_and_instances(path, missing):
    scan = make_scan()
    views = tuple(replace(view, **dict.fromkeys(missing)) for view in scan.views)
    view = round_trip(replace(scan, views=views), path).views[1]
    assert (view.depth is None, view.instance is None) == ("depth" in missing, "instance" in missing)


def test_a_scan_may_lack_nearly_everything(path):
    bare = SceneScan(
        scan_id="bare",
        place_id="bare",
        category="",
        points=np.zeros((0, 3), np.float32),
        colors=np.zeros((0, 3), np.uint8),
        instance=np.zeros(0, np.int32),
        objects=(),
    )
    read = round_trip(bare, path)
    assert (len(read.points), read.objects, len(read.views), read.floorplan) == (0, (), 0, None)
    assert (read.sentences, read.moved_ids, read.category) == ((), frozenset(), "")
    with pytest.raises(IndexError):
        _ = read.views[0]


def test_the_scale_of_a_floorplan_may_be_unknown(path):
    scan = make_scan()
    read = round_trip(replace(scan, floorplan=replace(scan.floorplan, pixels_per_m=None)), path)
    assert read.floorplan.pixels_per_m is None


def test_views_are_a_sequence(path):
    views = round_trip(replace(make_scan(), views=tuple(make_view(i) for i in range(4))), path).views
    where = [view.T_scan_camera[0, 3] for view in views]
    assert where == [0, 1, 2, 3]
    assert [view.T_scan_camera[0, 3] for view in views[1:4:2]] == [1, 3]
    assert [view.T_scan_camera[0, 3] for view in views[::-1]] == [3, 2, 1, 0]
    assert views[-1].T_scan_camera[0, 3] == 3
    assert views[4:] == []
    for outside in (4, -5):
        with pytest.raises(IndexError):
            _ = views[outside]


def test_pictures_are_read_when_they_are_asked_for(path):
    scan = round_trip(make_scan(), path)
    path.unlink()
    assert len(scan.views) == 2
    with pytest.raises(DatasetError, match="view 1 cannot be read") as error:
        _ = scan.views[1]
    assert_one_sentence(error, path)


@pytest.mark.parametrize("name", ["view_rgb", "view_depth", "view_instance"])
def test_a_damaged_picture_is_named_and_the_others_are_read(path, name):
    save_scan(make_scan(), path)
    with safe_open(path, framework="np") as file:
        data, ends = file.get_tensor(name), file.get_tensor(f"{name}_ends")
    data[ends[1] :] = 0
    rewrite(path, **{name: data})
    scan = load_scan(path)
    assert scan.views[0].rgb.shape == (24, 32, 3)
    with pytest.raises(DatasetError, match="view 1 cannot be read") as error:
        _ = scan.views[1]
    assert_one_sentence(error, path)


@pytest.mark.parametrize(
    "contents",
    [b"", b"nonsense", b"\xff" * 64, (100).to_bytes(8, "little") + b"{}"],
    ids=["empty", "text", "ff", "cut"],
)
def test_foreign_files_are_refused(path, contents):
    path.write_bytes(contents)
    with pytest.raises(DatasetError) as error:
        load_scan(path)
    assert_one_sentence(error, path)


def test_a_file_that_was_cut_short_is_refused(path):
    save_scan(make_scan(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="make it again") as error:
        load_scan(path)
    assert_one_sentence(error, path)


def test_no_file_is_refused(path):
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        load_scan(path)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"format": "recipes"}},
        {"metadata": {"version": "2"}},
        {"metadata": {"facts": "{"}},
        {"metadata": {"facts": "[]"}},
        {"metadata": {"facts": '{"scan_id": "room"}'}},
        {"points": None},
        {"object_ids": np.zeros(1, np.int32)},
        {"floorplan": np.zeros(50, np.uint8)},
        {"floorplan": np.zeros(0, np.uint8)},
    ],
)
def test_files_of_other_contents_are_refused(path, change):
    save_scan(make_scan(), path)
    rewrite(path, **change)
    with pytest.raises(DatasetError) as error:
        load_scan(path)
    assert_one_sentence(error, path)


def test_arrays_that_do_not_fit_together_are_refused(path):
    save_scan(make_scan(), path)
    rewrite(path, colors=np.zeros((7, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"scan room: .*\(7, 3\)"):
        load_scan(path)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ((make_view(0), make_view(1, replace(CAMERA, fx=40.0))), "2 cameras"),
        ((make_view(0), replace(make_view(1), depth=None)), "2 kinds"),
        ((replace(make_view(0), instance=np.full((24, 32), 65_536, np.int32)),), "65535"),
        ((replace(make_view(0), instance=np.full((24, 32), -1, np.int32)),), "65535"),
    ],
)
def test_views_that_cannot_be_stored_are_refused(path, views, message):
    with pytest.raises(DatasetError, match=message):
        save_scan(replace(make_scan(), views=views), path)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "missing" / f"room{SCAN_SUFFIX}"
    with pytest.raises(DatasetError, match=r"cannot be written") as error:
        save_scan(make_scan(), path)
    assert_one_sentence(error, path)


def test_a_folder_lists_its_scans_by_name(tmp_path):
    for name in ("b", "c", "a"):
        save_scan(make_scan(name), tmp_path / f"{name}{SCAN_SUFFIX}")
    (tmp_path / f"e{SCAN_SUFFIX}.part").write_bytes(b"")
    (tmp_path / "a.features.safetensors").write_bytes(b"")
    (tmp_path / f"d{SCAN_SUFFIX}").mkdir()
    for scans in (ScanFolder(tmp_path), open_scans(tmp_path)):
        assert scans.ids == ("a", "b", "c")
        assert len(scans) == 3
        assert [scans.scan(i).scan_id for i in range(3)] == ["a", "b", "c"]


def test_a_folder_without_scans_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match="xover scenes"):
            ScanFolder(folder)
