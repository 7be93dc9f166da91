# SPDX-License-Identifier: Apache-2.0
"""Tests of scanned procedural rooms: what a scan holds, what a rescan shares with it, and going on after a stop."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from room_cases import SEED, SETTINGS, make_scan, scanned_rooms

from xover_core.config_io import override
from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.scene import Room
from xover_core.datasets.scan_file import SCAN_SUFFIX, load_scan
from xover_core.datasets.scan_folder import ScanFolder
from xover_core.datasets.scene_scan import SceneScan
from xover_core.errors import TrainingError
from xover_core.training import room_scans
from xover_core.training.room_scans import RESCAN_SUFFIX, apartment_of, moved_objects, render_room_scans, scan_rooms

# of boxes of things that nobody touched, m
STILL_TOLERANCE = 1e-9
# of a box that moved or turned, m
MIN_MOVE = 0.01
# walls have a thickness and depth has noise, m
BOX_MARGIN = 0.2 + 1e-5
MIN_OBJECT_POINTS = 30


@pytest.fixture(scope="module")
def scans() -> tuple[SceneScan, ...]:
    return scanned_rooms()


@pytest.fixture(scope="module")
def pairs(scans) -> list[tuple[SceneScan, SceneScan]]:
    """Scans with their rescans."""
    first = {scan.scan_id: scan for scan in scans if scan.scan_id == scan.place_id}
    return [(first[scan.place_id], scan) for scan in scans if scan.scan_id != scan.place_id]


@functools.cache
def small_apartment() -> Apartment:
    return apartment_of(SEED, SETTINGS)


def room_of(scan: SceneScan) -> Room:
    return small_apartment().room(int(scan.place_id.split("-")[2]))


def test_every_scan_has_a_rescan_of_the_same_place(scans, pairs):
    assert len({scan.scan_id for scan in scans}) == len(scans)
    assert len(pairs) >= 3
    for first, second in pairs:
        assert second.scan_id == first.scan_id + RESCAN_SUFFIX
        assert second.category == first.category == room_of(first).room_type.label
        assert first.moved_ids == frozenset()
        assert not np.array_equal(first.floorplan.image, second.floorplan.image) or not second.moved_ids


def test_objects_keep_their_ids_and_only_moved_ones_stand_elsewhere(pairs):
    num_moved = num_still = 0
    for first, second in pairs:
        before = {scanned.object_id: scanned for scanned in first.objects}
        assert second.moved_ids <= {scanned.object_id for scanned in second.objects}
        for scanned in second.objects:
            if scanned.object_id not in before:
                continue
            old = before[scanned.object_id]
            assert scanned.label == old.label
            shift = np.abs(np.concatenate([scanned.center - old.center, scanned.size - old.size])).max()
            if scanned.object_id in second.moved_ids:
                num_moved += 1
                assert shift > MIN_MOVE, (second.scan_id, scanned.label)
            else:
                num_still += 1
                assert shift < STILL_TOLERANCE, (second.scan_id, scanned.label)
    assert num_moved >= 2
    assert num_still >= 3


def test_what_was_only_turned_has_not_moved():
    before = small_apartment()
    after, moves = before.rearranged(SEED, 1.0)
    boxes = [{o.object_id: object_boxes(o) for o in apartment.furniture} for apartment in (before, after)]
    shifts = {
        i: float(np.linalg.norm(boxes[0][i].lower_map + boxes[0][i].upper_map - box.lower_map - box.upper_map)) / 2
        for i, box in boxes[1].items()
    }
    moved = moved_objects(moves)
    assert moved < {move.object_id for move in moves}
    assert max(shift for i, shift in shifts.items() if i not in moved) < min(shifts[i] for i in moved) + MIN_MOVE
    assert min(shifts[i] for i in moved) > MIN_MOVE


def test_views_are_taken_inside_the_room(scans):
    for scan in scans:
        wanted = SETTINGS.num_views if scan.scan_id == scan.place_id else SETTINGS.num_rescan_views
        assert 3 <= len(scan.views) <= wanted
        for view in scan.views:
            x, y, z = view.T_scan_camera[:3, 3]
            assert room_of(scan).contains(x, y)
            assert 0 < z < room_of(scan).height
            assert view.rgb.shape == (72, 96, 3)
            assert view.rgb.dtype == np.uint8
            assert view.depth.dtype == np.float32
            assert (view.depth > 0).mean() > 0.3
            assert view.instance.dtype == np.int32
            assert view.intrinsics == scan.views[0].intrinsics


def test_clouds_lie_within_the_room_with_their_objects(scans):
    for scan in scans:
        room = room_of(scan)
        lower = np.array([*room.lower, 0.0]) - BOX_MARGIN
        upper = np.array([*room.upper, room.height]) + BOX_MARGIN
        assert len(scan.points) > 500
        assert (scan.points >= lower).all()
        assert (scan.points <= upper).all()
        for scanned in scan.objects:
            points = scan.points[scan.instance == scanned.object_id]
            assert len(points) >= MIN_OBJECT_POINTS
            # by the median, since readings at edges stray
            middle = np.median(points, axis=0)
            assert (np.abs(middle - scanned.center) <= scanned.size / 2 + BOX_MARGIN).all()


def test_objects_are_the_room_s_furniture(scans):
    rooms = {o.object_id: o.room_id for o in small_apartment().furniture}
    for scan in scans:
        ids = [scanned.object_id for scanned in scan.objects]
        assert ids == sorted(set(ids))
        assert {rooms[i] for i in ids} <= {room_of(scan).room_id}
        for scanned in scan.objects:
            assert scanned.cad_points.shape == (512, 3)
            assert scanned.cad_points.dtype == np.float32
            margin = scanned.size / 2 + BOX_MARGIN
            assert (np.abs(scanned.cad_points - scanned.center) <= margin).all()


def test_something_is_said_of_every_room_and_object(scans):
    for scan in scans:
        assert len(scan.sentences) > 20
        assert all(len(scanned.sentences) >= 3 for scanned in scan.objects)
        texts = [*scan.sentences, *(text for scanned in scan.objects for text in scanned.sentences)]
        assert all(text.strip() for text in texts)
        assert len(set(scan.sentences)) > len(scan.sentences) / 2


def test_floorplans_are_drawn_on_white_paper(scans):
    for scan in scans:
        assert scan.floorplan.pixels_per_m == 40.0
        assert (scan.floorplan.image[0, 0] == 255).all()
        assert (scan.floorplan.image < 128).any()


def test_a_seed_gives_the_same_files_again(scans, tmp_path):
    settings = override(SETTINGS, {"num_apartments": 1, "first_seed": SEED})
    paths = render_room_scans(tmp_path / "new" / "scans", settings)
    assert sorted(path.name for path in paths) == sorted(f"{scan.scan_id}{SCAN_SUFFIX}" for scan in scans)
    assert set(ScanFolder(tmp_path / "new" / "scans").ids) == {scan.scan_id for scan in scans}
    for scan in scans:
        read = load_scan(tmp_path / "new" / "scans" / f"{scan.scan_id}{SCAN_SUFFIX}")
        np.testing.assert_array_equal(read.points, scan.points)
        np.testing.assert_array_equal(read.colors, scan.colors)
        np.testing.assert_array_equal(read.floorplan.image, scan.floorplan.image)
        assert (read.sentences, read.moved_ids) == (scan.sentences, scan.moved_ids)
        assert [o.sentences for o in read.objects] == [o.sentences for o in scan.objects]
        for ours, theirs in zip(read.views, scan.views, strict=True):
            np.testing.assert_array_equal(ours.T_scan_camera, theirs.T_scan_camera)
            np.testing.assert_array_equal(ours.instance, theirs.instance)


def test_rooms_without_a_useful_view_are_left_out(monkeypatch):
    monkeypatch.setattr(room_scans.ViewStudio, "take_useful", lambda *_: iter(()))
    assert scan_rooms(SEED, SETTINGS) == []


class FakeScans:
    """In place of `scan_rooms`: room 02 of each apartment, whose room 01 is too narrow; nothing for some seeds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, empty: tuple[int, ...] = ()) -> None:
        self.seeds: list[int] = []
        self.empty = empty
        self.stop_at = -1
        monkeypatch.setattr(room_scans, "scan_rooms", self)

    def __call__(self, seed: int, settings: object) -> list[SceneScan]:
        if seed == self.stop_at:
            raise KeyboardInterrupt
        self.seeds.append(seed)
        names = [] if seed in self.empty else [f"room-{seed:05d}-02", f"room-{seed:05d}-02{RESCAN_SUFFIX}"]
        return [make_scan(name) for name in names]


def settings_of(num_apartments: int):
    return override(SETTINGS, {"num_apartments": num_apartments, "first_seed": 5})


def test_finished_apartments_are_kept_also_without_a_first_room(monkeypatch, tmp_path):
    fake = FakeScans(monkeypatch)
    said: list[tuple[int, int]] = []
    first = render_room_scans(tmp_path, settings_of(2), lambda *counts: said.append(counts))
    assert fake.seeds == [5, 6]
    assert said == [(0, 2), (1, 2), (2, 2)]
    again = render_room_scans(tmp_path, settings_of(3), lambda *counts: said.append(counts))
    assert fake.seeds == [5, 6, 7]
    assert said[3:] == [(2, 3), (3, 3)]
    assert [path.name for path in again[:4]] == [path.name for path in first]
    assert len(again) == 6
    assert len(ScanFolder(tmp_path)) == 6


def test_a_stopped_apartment_is_scanned_again(monkeypatch, tmp_path):
    fake = FakeScans(monkeypatch)
    save = room_scans.save_scan

    def save_once(scan: SceneScan, path: Path) -> None:
        if list(tmp_path.glob("room-00006-*")):
            raise KeyboardInterrupt
        save(scan, path)

    monkeypatch.setattr(room_scans, "save_scan", save_once)
    with pytest.raises(KeyboardInterrupt):
        render_room_scans(tmp_path, settings_of(2))
    monkeypatch.setattr(room_scans, "save_scan", save)
    assert len(render_room_scans(tmp_path, settings_of(2))) == 4
    assert fake.seeds == [5, 6, 6]


def test_an_apartment_that_gives_nothing_is_told(monkeypatch, tmp_path, caplog):
    FakeScans(monkeypatch, empty=(6,))
    with caplog.at_level(logging.WARNING, "xover_core"):
        paths = render_room_scans(tmp_path, settings_of(3))
    assert [record.message for record in caplog.records] == ["apartment 6: no room has space for a camera"]
    assert {path.name[:10] for path in paths} == {"room-00005", "room-00007"}


def test_only_scans_of_these_apartments_are_returned(monkeypatch, tmp_path):
    FakeScans(monkeypatch)
    render_room_scans(tmp_path, settings_of(3))
    paths = render_room_scans(tmp_path, settings_of(1))
    assert [path.name for path in paths] == [f"room-00005-02{end}{SCAN_SUFFIX}" for end in (RESCAN_SUFFIX, "")]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="the folder cannot be made"):
        render_room_scans(tmp_path / "file", SETTINGS)


def test_apartments_vary_and_may_have_lookalikes():
    torch.set_num_threads(1)
    always = override(SETTINGS, {"lookalike_probability": 1.0})
    plain, alike = apartment_of(0, SETTINGS), apartment_of(0, always)
    assert len(plain.rooms) == len(apartment_of(0, SETTINGS).rooms) == 4
    assert len({len(apartment_of(seed, SETTINGS).objects) for seed in range(3)}) == 3
    assert alike.rooms[0].room_type is alike.rooms[1].room_type
    sizes = [np.subtract(room.upper, room.lower) for room in alike.rooms[:2]]
    np.testing.assert_allclose(sizes[0], sizes[1])


def test_things_and_traits_of_scans_are_told_in_the_same_words(scans):
    labels = set()
    for scan in scans:
        assert set(np.unique(scan.instance).tolist()) - {0} <= set(scan.things)
        kinds = {scan.things[found.object_id].partition(":")[0] for found in scan.objects}
        assert kinds <= scan.traits
        # the thing of an object has a look that is a trait of its room
        looks = {scan.things[found.object_id] for found in scan.objects}
        assert looks <= scan.traits
        labels |= looks
    assert any(":" in name for name in labels)
