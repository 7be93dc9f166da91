# SPDX-License-Identifier: Apache-2.0
"""3RScan: rescans lie in the frame of the reference, pictures stand upright, and what moved is known."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from made_up_rooms import (
    CAMERA_POSES,
    CHAIR,
    DESK,
    MOVED_CHAIR,
    PHONE_COLOR,
    REFERENCE_ID,
    REFERRALS,
    RESCAN_ID,
    RESCANNED_ROOM,
    ROOM,
    T_PLACE_RESCAN,
    WALL,
    column_major,
    labelled_points,
    make_scan3r_tree,
    pack_sequence,
    ray_cast,
    rotation_z,
    vertex_columns,
    write_ply,
)

from xover_core.datasets.open_scans import open_scans
from xover_core.datasets.scan3r_scans import Scan3rScans
from xover_core.datasets.scan_tree import ScanReadingSettings
from xover_core.errors import DatasetError
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import invert, make_pose, transform_points
from xover_core.types import CameraIntrinsics

POINT_TOLERANCE = 1e-5  # m: points are written with seven digits
POSE_TOLERANCE = 1e-5  # poses are written with six digits
COLOR_TOLERANCE = 12  # of 255: JPEG, away from edges
# Depth has 28 x 22 pixels, three of colour's to one of its own: a pixel at an edge may show what is behind.
DEPTH_TOLERANCE = 0.05  # m: one depth pixel is 0.1 m wide on the floor 2.5 m away
DEPTH_AGREEMENT = 0.85
LABEL_AGREEMENT = 0.85
ALL = ScanReadingSettings(num_views=0)
REFERENCE, RESCAN = 0, 1
UPRIGHT = CameraIntrinsics(
    fx=PHONE_COLOR.fy,
    fy=PHONE_COLOR.fx,
    cx=PHONE_COLOR.height - 1 - PHONE_COLOR.cy,
    cy=PHONE_COLOR.cx,
    width=PHONE_COLOR.height,
    height=PHONE_COLOR.width,
)


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory):
    return make_scan3r_tree(tmp_path_factory.mktemp("data") / "3rscan")


@pytest.fixture
def tree(shared_tree, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(shared_tree, tmp_path / "3rscan")


def rescan_folder(tree):
    return tree / "scans" / RESCAN_ID


def is_alone(points):
    """(N,) whether no other point is at its place: of two points there, either may lend its colour."""
    _, group, counts = np.unique(points.round(6), axis=0, return_inverse=True, return_counts=True)
    return counts[group.ravel()] == 1


def edit_metadata(tree, change):
    path = tree / "files" / "3RScan.json"
    places = json.loads(path.read_text())
    change(places[0]["scans"][0])
    path.write_text(json.dumps(places))


def test_rescans_lie_in_the_frame_of_the_reference(shared_tree):
    scans = open_scans(shared_tree)
    assert scans.ids == (REFERENCE_ID, RESCAN_ID)
    for index, boxes in ((REFERENCE, ROOM), (RESCAN, RESCANNED_ROOM)):
        scan = scans.scan(index)
        points, colors, ids = labelled_points(boxes)
        np.testing.assert_allclose(scan.points, points, atol=POINT_TOLERANCE)
        np.testing.assert_array_equal(scan.instance, ids)
        np.testing.assert_array_equal(scan.colors[is_alone(points)], colors[is_alone(points)])
        assert scan.place_id == REFERENCE_ID
        assert [(item.object_id, item.label) for item in scan.objects] == [(box.object_id, box.label) for box in boxes]
        assert (scan.category, scan.floorplan) == ("", None)


def test_an_aligned_file_alone_is_enough_and_is_not_aligned_again(tree):
    folder = rescan_folder(tree)
    points, colors, ids = labelled_points(RESCANNED_ROOM)
    (folder / "labels.instances.annotated.v2.ply").unlink()
    columns = vertex_columns(points, colors) | {"objectId": ids.astype("<u2")}
    write_ply(folder / "labels.instances.align.annotated.v2.ply", columns)
    scan = open_scans(tree).scan(RESCAN)
    np.testing.assert_allclose(scan.points, points, atol=POINT_TOLERANCE)
    np.testing.assert_array_equal(scan.colors[is_alone(points)], colors[is_alone(points)])


def test_colours_are_those_of_labels_only_when_asked_for(tree):
    by_label = open_scans(tree, ScanReadingSettings(use_label_colors=True)).scan(RESCAN)
    assert tuple(by_label.colors[by_label.instance == DESK.object_id][0]) == (30, 60, 90)
    (rescan_folder(tree) / "mesh.refined_0.png").unlink()
    assert np.unique(open_scans(tree).scan(RESCAN).colors).tolist() == [128]


def test_the_chair_moved_and_the_desk_did_not(shared_tree):
    scans = open_scans(shared_tree)
    assert scans.scan(REFERENCE).moved_ids == frozenset()
    assert scans.scan(RESCAN).moved_ids == {CHAIR.object_id}


@pytest.mark.parametrize(
    ("angle_deg", "step", "is_moved"), [(0.9, 0.0, False), (1.1, 0.0, True), (0.0, 0.04, False), (0.0, 0.06, True)]
)
def test_thresholds_of_moved(tree, angle_deg, step, is_moved):
    """The wall turns about itself: its centre stays, though a small turn far from the origin has a long translation."""
    center = np.add(WALL.lower, WALL.upper) / 2
    turn = make_pose(rotation_z(angle_deg), center - rotation_z(angle_deg) @ center + (step, 0.0, 0.0))

    def change(rescan):
        rescan["rigid"][1].update(instance_rescan=WALL.object_id, transform=column_major(invert(T_PLACE_RESCAN) @ turn))

    edit_metadata(tree, change)
    assert (WALL.object_id in open_scans(tree).scan(RESCAN).moved_ids) == is_moved


def test_objects_that_are_gone_did_not_move(tree):
    edit_metadata(tree, lambda rescan: rescan["rigid"][0].update(instance_rescan=77))
    assert open_scans(tree).scan(RESCAN).moved_ids == frozenset()


def test_what_the_metadata_says(shared_tree):
    scans = Scan3rScans(shared_tree)
    entry = scans.entry(RESCAN)
    assert entry.split == "validation"
    np.testing.assert_allclose(entry.T_place_scan, T_PLACE_RESCAN, atol=POSE_TOLERANCE)
    for split in ("val", "validation"):
        assert open_scans(shared_tree, ScanReadingSettings(split=split)).ids == (REFERENCE_ID, RESCAN_ID)
    with pytest.raises(DatasetError, match="none is wanted"):
        open_scans(shared_tree, ScanReadingSettings(split="train"))


def test_sentences(shared_tree):
    scan = open_scans(shared_tree).scan(RESCAN)
    sentences = {item.object_id: item.sentences for item in scan.objects}
    assert sentences[CHAIR.object_id] == tuple(text for text, box in REFERRALS if box is CHAIR)
    assert set(scan.sentences) == {text for text, _ in REFERRALS}


def test_views_stand_upright(shared_tree):
    """A picture is what an upright camera at that place sees, and the file's picture turned clockwise."""
    for index, boxes in ((REFERENCE, ROOM), (RESCAN, RESCANNED_ROOM)):
        scan = Scan3rScans(shared_tree, ALL).scan(index)
        assert len(scan.views) == len(CAMERA_POSES)
        for number, (view, pose) in enumerate(zip(scan.views, CAMERA_POSES, strict=True)):
            np.testing.assert_allclose(view.T_scan_camera, pose, atol=POSE_TOLERANCE)
            assert view.intrinsics == UPRIGHT
            rgb, depth, ids = ray_cast(boxes, UPRIGHT, pose)
            away_from_edges = cv2.dilate(cv2.Canny(ids.astype(np.uint8) * 40, 10, 20), np.ones((9, 9))) == 0
            assert np.abs(view.rgb.astype(int) - rgb)[away_from_edges].max() < COLOR_TOLERANCE
            path = shared_tree / "scans" / scan.scan_id / "sequence" / f"frame-{number:06d}.color.jpg"
            turned = cv2.rotate(cv2.imread(str(path)), cv2.ROTATE_90_CLOCKWISE)
            np.testing.assert_array_equal(view.rgb, turned[:, :, ::-1])
            seen = view.depth > 0
            assert seen.mean() > 0.9
            assert np.mean(np.abs(view.depth - depth)[seen] < DEPTH_TOLERANCE) > DEPTH_AGREEMENT
            assert np.mean((view.instance == ids)[seen]) > LABEL_AGREEMENT


def test_points_are_seen_where_they_project_to(shared_tree):
    scan = Scan3rScans(shared_tree, ALL).scan(RESCAN)
    num_seen = 0
    for box in (MOVED_CHAIR, DESK):
        front = np.array([[(box.lower[0] + box.upper[0]) / 2, box.lower[1], 0.5]])  # well inside of its outline
        for view in scan.views:
            u, v = project(transform_points(invert(view.T_scan_camera), front), view.intrinsics)[0]
            if 0 <= u < view.intrinsics.width - 1 and 0 <= v < view.intrinsics.height - 1:
                num_seen += 1
                assert view.instance[round(v), round(u)] == box.object_id
                assert np.abs(view.rgb[round(v), round(u)].astype(int) - box.color).max() < COLOR_TOLERANCE
    assert num_seen >= 2


def test_archives_are_read_as_they_are(shared_tree, tree):
    for scan_id in (REFERENCE_ID, RESCAN_ID):
        pack_sequence(tree / "scans" / scan_id)
    packed, unpacked = Scan3rScans(tree, ALL).scan(RESCAN).views, Scan3rScans(shared_tree, ALL).scan(RESCAN).views
    assert len(packed) == len(unpacked)
    for ours, theirs in zip(packed, unpacked, strict=True):
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)
        np.testing.assert_array_equal(ours.depth, theirs.depth)
        np.testing.assert_array_equal(ours.T_scan_camera, theirs.T_scan_camera)


def test_frames_without_a_pose_are_left_out(tree):
    folder = rescan_folder(tree) / "sequence"
    (folder / "frame-000000.pose.txt").unlink()
    (folder / "frame-000001.pose.txt").write_text("nan " * 16)
    assert len(Scan3rScans(tree, ALL).scan(RESCAN).views) == len(CAMERA_POSES) - 2
    step = ScanReadingSettings(num_views=0, frame_step=2)
    assert len(Scan3rScans(tree, step).scan(RESCAN).views) == 1


def test_names_come_from_either_file(tree):
    (rescan_folder(tree) / "semseg.v2.json").unlink()
    scan = open_scans(tree).scan(RESCAN)
    assert scan.objects == ()
    objects = [{"id": str(box.object_id), "label": box.label} for box in ROOM]
    (tree / "files" / "objects.json").write_text(json.dumps({"scans": [{"scan": RESCAN_ID, "objects": objects}]}))
    assert [item.label for item in open_scans(tree).scan(RESCAN).objects] == [box.label for box in ROOM]


def test_what_is_missing_is_missing(tree):
    shutil.rmtree(rescan_folder(tree) / "sequence")
    shutil.rmtree(tree / "files" / "sceneverse")
    scan = open_scans(tree).scan(RESCAN)
    assert (len(scan.views), scan.sentences) == (0, ())
    assert all(item.sentences == () for item in scan.objects)


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BROKEN = {
    "points": (lambda f: (f / "labels.instances.annotated.v2.ply").write_text("ply\n"), "expected a PLY file"),
    "no ids": (
        lambda f: replace_in(f / "labels.instances.annotated.v2.ply", "objectId", "label"),
        "expected vertices with objectId",
    ),
    "names": (lambda f: (f / "semseg.v2.json").write_text("{}"), "segGroups with objectId"),
    "mesh": (lambda f: (f / "mesh.refined.v2.obj").write_text("v 0 0 0\n"), "places on its texture"),
    "no info": (lambda f: (f / "sequence" / "_info.txt").unlink(), r"_info\.txt: cannot be read"),
    "no camera": (
        lambda f: replace_in(f / "sequence" / "_info.txt", "m_calibrationDepthIntrinsic", "m_other"),
        "m_calibrationDepthIntrinsic",
    ),
    "no size": (lambda f: replace_in(f / "sequence" / "_info.txt", "m_colorWidth = 96", "m_colorWidth = 9"), "96x54"),
    "depth size": (
        lambda f: replace_in(f / "sequence" / "_info.txt", "m_depthWidth = 28", "m_depthWidth = 27"),
        "28x22",
    ),
    "no depth": (lambda f: (f / "sequence" / "frame-000001.depth.pgm").unlink(), r"000001\.depth\.pgm: cannot be read"),
    "no pose": (lambda f: (f / "sequence" / "frame-000001.pose.txt").write_text("1 2"), "sixteen numbers"),
    "no rotation": (lambda f: (f / "sequence" / "frame-000001.pose.txt").write_text("1 " * 16), "expected a rotation"),
    "no frames": (lambda f: [p.unlink() for p in (f / "sequence").glob("*.jpg")], "expected frames"),
    "no archive": (
        lambda f: (shutil.rmtree(f / "sequence"), (f / "sequence.zip").write_bytes(b"x")),
        r"sequence\.zip: cannot be opened",
    ),
    "no metadata": (lambda f: (f / "../../files/3RScan.json").write_text('[{"scans": []}]'), "a list of places"),
    "no transform": (
        lambda f: edit_metadata(f.parent.parent, lambda r: r.update(transform=[1, 2])),
        "a list of places",
    ),
    "other scans": (lambda f: (f / "../../files/3RScan.json").write_text("[]"), "does not know"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_scans_are_one_sentence(tree, case):
    damage, text = BROKEN[case]
    damage(rescan_folder(tree))
    with pytest.raises(DatasetError, match=text) as caught:
        list(Scan3rScans(tree, ALL).scan(RESCAN).views)
    assert "\n" not in str(caught.value)


def test_no_metadata(tree):
    (tree / "files" / "3RScan.json").unlink()
    with pytest.raises(DatasetError, match=r"3RScan\.json"):
        Scan3rScans(tree)
    with pytest.raises(DatasetError, match="not a data set"):
        open_scans(tree)
