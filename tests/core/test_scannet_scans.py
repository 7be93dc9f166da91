# SPDX-License-Identifier: Apache-2.0
"""ScanNet with everything around it: known boxes come out where they stand, and what is missing is only missing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from made_up_rooms import (
    CAMERA,
    CAMERA_POSES,
    CHAIR,
    DESK,
    FLOOR,
    REFERRALS,
    ROOM,
    WALL,
    labelled_points,
    make_scannet_tree,
    mean_color_of,
    ray_cast,
    write_layout,
)
from made_up_scans import make_sens, write_matrix

from xover_core.datasets.open_scans import open_scans
from xover_core.datasets.scan_tree import ScanReadingSettings
from xover_core.datasets.scannet_scans import ScanNetScans
from xover_core.errors import DatasetError
from xover_core.geometry.camera import back_project
from xover_core.geometry.transforms import transform_points

POINT_TOLERANCE = 1e-5  # m: the mesh is written in float32, the alignment with six digits
POSE_TOLERANCE = 1e-5  # poses are written with six digits
DEPTH_TOLERANCE = 2e-3  # m: depth is written in millimetres
SURFACE_TOLERANCE = 1e-4  # m: six digits of the alignment, seen 4 m away
COLOR_TOLERANCE = 1.0  # PNG keeps colours
LABEL_AGREEMENT = 0.9  # instance images have half the size of colour: pixels at edges differ
ALL = ScanReadingSettings(num_views=0)


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory):
    return make_scannet_tree(tmp_path_factory.mktemp("data") / "scannet")


@pytest.fixture
def tree(shared_tree, tmp_path):
    """A copy that a test may change, with one scan only."""
    others = shutil.ignore_patterns("scene0000_01", "scene0002_00")
    return shutil.copytree(shared_tree, tmp_path / "scannet", ignore=others)


def folder_of(tree):
    return tree / "scans" / "scene0000_00"


def test_points_colours_and_objects(shared_tree):
    scan = open_scans(shared_tree).scan(0)
    points, colors, ids = labelled_points(ROOM)
    np.testing.assert_allclose(scan.points, points, atol=POINT_TOLERANCE)
    np.testing.assert_array_equal(scan.colors, colors)
    np.testing.assert_array_equal(scan.instance, ids)
    assert (scan.scan_id, scan.place_id, scan.category) == ("scene0000_00", "scene0000", "Office")
    assert [(item.object_id, item.label) for item in scan.objects] == [(box.object_id, box.label) for box in ROOM]
    for item, box in zip(scan.objects, ROOM, strict=True):
        np.testing.assert_allclose(item.center, np.add(box.lower, box.upper) / 2, atol=POINT_TOLERANCE)
        np.testing.assert_allclose(item.size, np.subtract(box.upper, box.lower), atol=2 * POINT_TOLERANCE)


def test_sentences_are_of_the_objects_that_they_name(shared_tree):
    scan = open_scans(shared_tree).scan(0)
    sentences = {item.object_id: item.sentences for item in scan.objects}
    assert sentences == {
        DESK.object_id: tuple(text for text, box in REFERRALS if box is DESK),
        CHAIR.object_id: tuple(text for text, box in REFERRALS if box is CHAIR),
        WALL.object_id: (),
        FLOOR.object_id: (),
    }


def test_sentences_of_a_scan_are_drawn_once_for_all(shared_tree):
    scans = ScanNetScans(shared_tree, ScanReadingSettings(num_sentences=2))
    drawn = [scans.scan(0).sentences for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 2
    assert set(drawn[0]) <= {text for text, _ in REFERRALS}
    assert set(open_scans(shared_tree).scan(0).sentences) == {text for text, _ in REFERRALS}
    others = {
        ScanNetScans(shared_tree, ScanReadingSettings(num_sentences=1, seed=s)).scan(0).sentences for s in range(9)
    }
    assert len(others) > 1, "the seed must matter"


def test_models_stand_where_their_objects_do(shared_tree):
    objects = {item.object_id: item for item in open_scans(shared_tree).scan(0).objects}
    assert {i for i, item in objects.items() if item.cad_points is not None} == {DESK.object_id, CHAIR.object_id}
    for box in (DESK, CHAIR):
        points = objects[box.object_id].cad_points
        assert (points.shape, points.dtype) == ((5000, 3), np.float32)
        inward = np.minimum(points - box.lower, box.upper - points)
        np.testing.assert_allclose(inward.min(axis=1), 0, atol=SURFACE_TOLERANCE)


def test_of_two_models_for_one_object_the_better_one_counts(tree):
    path = tree / "files" / "scan2cad_full_annotations.json"
    entries = json.loads(path.read_text())
    worse = json.loads(json.dumps(entries[0]["aligned_models"][0]))
    worse["trs"]["scale"] = [value / 2 for value in worse["trs"]["scale"]]
    entries[0]["aligned_models"].append(worse)
    path.write_text(json.dumps(entries))
    desk = next(item for item in open_scans(tree).scan(0).objects if item.object_id == DESK.object_id)
    np.testing.assert_allclose(np.ptp(desk.cad_points, axis=0), desk.size, atol=0.02)  # 5,000 points fill the box


def test_views_show_the_room(shared_tree):
    views = ScanNetScans(shared_tree, ALL).scan(0).views
    assert len(views) == 3, "one frame of five, without the one that tracking lost"
    for view, expected_pose in zip(views, CAMERA_POSES, strict=False):
        np.testing.assert_allclose(view.T_scan_camera, expected_pose, atol=POSE_TOLERANCE)
        rgb, depth, ids = ray_cast(ROOM, CAMERA, expected_pose)
        assert view.intrinsics == CAMERA
        np.testing.assert_allclose(view.rgb, rgb, atol=COLOR_TOLERANCE)
        np.testing.assert_allclose(view.depth, depth, atol=DEPTH_TOLERANCE)
        assert np.mean(view.instance == ids) > LABEL_AGREEMENT
        assert mean_color_of(view.rgb, view.instance == DESK.object_id) == pytest.approx(
            DESK.color, abs=COLOR_TOLERANCE
        )


def test_without_instance_images_the_points_say_what_is_seen(tree):
    shutil.rmtree(folder_of(tree) / "data" / "instance-filt")
    views = ScanNetScans(tree, ALL).scan(0).views
    for view, pose in zip(views, CAMERA_POSES, strict=False):
        ids = ray_cast(ROOM, CAMERA, pose)[2]
        assert view.instance.dtype == np.int32
        assert np.mean(view.instance == ids) > LABEL_AGREEMENT


def test_pixels_land_on_their_object(shared_tree):
    view = ScanNetScans(shared_tree, ALL).scan(0).views[0]
    v, u = np.nonzero(view.instance == DESK.object_id)
    points = transform_points(
        view.T_scan_camera, back_project(np.stack([u, v], axis=1), view.depth[v, u], view.intrinsics)
    )
    inside = ((points > np.subtract(DESK.lower, 0.02)) & (points < np.add(DESK.upper, 0.02))).all(axis=1)
    assert inside.mean() > LABEL_AGREEMENT


def test_few_views_are_far_apart_and_always_the_same(shared_tree):
    scans = ScanNetScans(shared_tree, ScanReadingSettings(num_views=2, frame_step=1))
    poses = [np.stack([view.T_scan_camera for view in scans.scan(0).views]) for _ in range(2)]
    np.testing.assert_array_equal(poses[0], poses[1])
    assert np.linalg.norm(poses[0][0, :3, 3] - poses[0][1, :3, 3]) > 0.5
    assert len(scans.scan(0).views[:1]) == 1
    with pytest.raises(IndexError):
        scans.scan(0).views[2]


def test_views_of_the_sens_file(tree):
    shutil.rmtree(folder_of(tree) / "data")
    make_sens(folder_of(tree) / "scene0000_00.sens", tuple(range(6)))
    views = ScanNetScans(tree, ALL).scan(0).views
    assert len(views) == 2
    exact = make_sens(tree.parent / "other.sens")
    assert exact.is_file()
    assert views[1].rgb.shape[2] == 3
    assert views[1].depth.shape == views[1].rgb.shape[:2]


def test_views_of_an_export_with_one_camera(tree):
    folder = folder_of(tree)
    matrix = np.loadtxt(folder / "data" / "intrinsic" / "intrinsic_color.txt")
    shutil.rmtree(folder / "data" / "intrinsic")
    write_matrix(folder / "intrinsics.txt", matrix)
    assert ScanNetScans(tree, ALL).scan(0).views[0].intrinsics == CAMERA


def dark_pixels(plan):
    return (plan.image < 100).all(axis=2)


def test_floorplan_of_wall_points(shared_tree):
    plan = open_scans(shared_tree).scan(0).floorplan
    rows, columns = np.nonzero(dark_pixels(plan))
    length, depth = np.ptp(columns) / plan.pixels_per_m, np.ptp(rows) / plan.pixels_per_m
    assert length == pytest.approx(4.0, abs=0.15)  # the wall, to two points and two pixels
    assert depth < 0.25  # it is 0.1 m thick
    assert rows.max() < 0.5 * len(plan.image), "the wall is far along y, so at the top"
    shades = {tuple(color) for color in np.unique(plan.image.reshape(-1, 3), axis=0)}
    assert (255, 255, 255) in shades
    assert len(shades) > 2, "furniture is outlined"


def test_floorplan_of_a_layout(tree):
    write_layout(tree, "scene0000_00")
    plan = open_scans(tree).scan(0).floorplan
    rows, columns = np.nonzero(dark_pixels(plan))
    assert np.ptp(columns) / plan.pixels_per_m == pytest.approx(4.0, abs=0.15)
    assert np.ptp(rows) / plan.pixels_per_m == pytest.approx(3.0, abs=0.15)


def test_scans_of_a_place_and_splits(shared_tree):
    scans = open_scans(shared_tree)
    assert scans.ids == ("scene0000_00", "scene0000_01", "scene0002_00")
    assert [scans.scan(i).place_id for i in range(len(scans))] == ["scene0000", "scene0000", "scene0002"]
    assert open_scans(shared_tree, ScanReadingSettings(split="val")).ids == ("scene0002_00",)
    assert open_scans(shared_tree, ScanReadingSettings(split="train")).ids == ("scene0000_00", "scene0000_01")
    with pytest.raises(DatasetError, match=r"scannetv2_test\.txt"):
        open_scans(shared_tree, ScanReadingSettings(split="test"))


def test_what_is_missing_is_missing(tree):
    shutil.rmtree(tree / "files")
    shutil.rmtree(tree / "ShapeNetCore.v2")
    shutil.rmtree(folder_of(tree) / "data")
    scan = open_scans(tree).scan(0)
    assert all(item.cad_points is None and item.sentences == () for item in scan.objects)
    assert (len(scan.objects), len(scan.views), scan.sentences) == (4, 0, ())
    for path in folder_of(tree).glob("*.json"):
        path.unlink()
    (folder_of(tree) / "scene0000_00.txt").unlink()
    scan = open_scans(tree).scan(0)
    assert (scan.objects, scan.category, scan.floorplan) == ((), "", None)
    assert not scan.instance.any()


def test_a_model_that_shapenet_lacks_is_left_out(tree):
    shutil.rmtree(tree / "ShapeNetCore.v2" / "04379243")
    objects = {item.object_id: item for item in open_scans(tree).scan(0).objects}
    assert objects[DESK.object_id].cad_points is None
    assert objects[CHAIR.object_id].cad_points is not None


BROKEN = {
    "cut mesh": (lambda f: (f / "scene0000_00_vh_clean_2.ply").write_bytes(b"ply\n"), "expected a PLY file"),
    "no segments": (lambda f: (f / "scene0000_00_vh_clean_2.0.010000.segs.json").unlink(), "segs.json: cannot be read"),
    "no objects": (lambda f: (f / "scene0000_00.aggregation.json").unlink(), "aggregation.json: cannot be read"),
    "no JSON": (lambda f: (f / "scene0000_00.aggregation.json").write_text("{"), "expected JSON"),
    "other JSON": (lambda f: (f / "scene0000_00.aggregation.json").write_text("[]"), "segGroups with objectId"),
    "few segments": (
        lambda f: (f / "scene0000_00_vh_clean_2.0.010000.segs.json").write_text('{"segIndices": [1, 2]}'),
        "one for each vertex",
    ),
    "other segments": (
        lambda f: (f / "scene0000_00.aggregation.json").write_text(
            '{"segGroups": [{"objectId": 0, "label": "x", "segments": [99999]}]}'
        ),
        "none of its segments",
    ),
    "alignment": (lambda f: (f / "scene0000_00.txt").write_text("axisAlignment = 1 2 3\n"), "sixteen numbers"),
    "no rotation": (
        lambda f: (f / "scene0000_00.txt").write_text("axisAlignment =" + " 2" * 16 + "\n"),
        "expected a rotation",
    ),
    "referrals": (
        lambda f: (f / "../../files/sceneverse/ssg_ref_rel2_template.json").write_text('[{"scan_id": 1}]'),
        "target_id and utterance",
    ),
    "models": (
        lambda f: (f / "../../files/scan2cad_full_annotations.json").write_text('[{"id_scan": "a"}]'),
        "id_scan, trs and aligned_models",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_scans_are_one_sentence(tree, case):
    damage, text = BROKEN[case]
    damage(folder_of(tree))
    with pytest.raises(DatasetError, match=text) as caught:
        open_scans(tree).scan(0)
    assert "\n" not in str(caught.value)


def test_broken_pictures_matter_when_they_are_asked_for(tree):
    (folder_of(tree) / "data" / "color" / "5.png").write_bytes(b"")
    scan = ScanNetScans(tree, ALL).scan(0)
    assert scan.views[0].rgb.shape == (CAMERA.height, CAMERA.width, 3)
    with pytest.raises(DatasetError, match=r"color/5\.png"):
        scan.views[1]


def test_no_shapenet_where_it_was_named(tree):
    with pytest.raises(DatasetError, match="ShapeNet"):
        open_scans(tree, ScanReadingSettings(shapenet=str(tree / "nowhere")))


def test_unknown_folders(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        open_scans(tmp_path / "nothing")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"not a data set .* found notes\.txt"):
        open_scans(tmp_path)
