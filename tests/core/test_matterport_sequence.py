# SPDX-License-Identifier: Apache-2.0
"""Matterport3D's layout: known points land where they are, cameras are chosen, lists of scans are read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_up_scans import MARK_WORLD, MATTERPORT_CAMERA, camera_pose, make_matterport, mark_pixel, wall_depth

from xover_core.datasets.matterport_sequence import (
    MatterportSettings,
    open_matterport_sequence,
    scans_of_split,
)
from xover_core.datasets.open_sequence import open_sequence
from xover_core.errors import DatasetError
from xover_core.geometry.camera import back_project, project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import invert, transform_points

POSE_TOLERANCE = 1e-6  # poses are written with nine digits
DEPTH_STEP = 1 / 4000  # m
# Half a pixel of a camera with f = 70 px, 3 m away, both ways.
HALF_PIXEL = 0.5 / 70 * 3.2 * 1.5


def test_the_camera_is_turned_to_our_convention(tmp_path):
    sequence = open_sequence(make_matterport(tmp_path / "house"))
    assert (sequence.name, len(sequence)) == ("house", 3)
    for number, item in enumerate(sequence):
        assert item.name == f"pano_i1_{number}"
        np.testing.assert_allclose(item.T_world_camera, camera_pose(number), atol=POSE_TOLERANCE)
        assert item.frame.intrinsics == MATTERPORT_CAMERA
        truth = wall_depth(MATTERPORT_CAMERA, camera_pose(number))
        np.testing.assert_allclose(item.frame.depth, truth, atol=DEPTH_STEP)


def test_a_point_seen_twice_is_in_one_place(tmp_path):
    for item in open_sequence(make_matterport(tmp_path / "house")):
        pixel = mark_pixel(item.frame.rgb)
        point = back_project(pixel, sample_depth(item.frame.depth, pixel), item.frame.intrinsics)
        np.testing.assert_allclose(transform_points(item.T_world_camera, point)[0], MARK_WORLD, atol=HALF_PIXEL)
        seen = project(transform_points(invert(item.T_world_camera), MARK_WORLD[None]), item.frame.intrinsics)
        np.testing.assert_allclose(seen, pixel, atol=0.5 + 1e-6)


def test_each_image_has_its_own_camera(tmp_path):
    path = make_matterport(tmp_path / "house", (0, 1))
    parameters = path / "undistorted_camera_parameters" / "house.conf"
    head, _, tail = parameters.read_text().rpartition("intrinsics_matrix 70.0")
    parameters.write_text(f"{head}intrinsics_matrix 71.5{tail}")
    assert [item.frame.intrinsics.fx for item in open_sequence(path)] == [70.0, 71.5]


def test_cameras_that_look_up_are_a_setting(tmp_path):
    sequence = open_matterport_sequence(make_matterport(tmp_path / "house"), MatterportSettings(horizontal_only=False))
    assert [item.name for item in sequence][:2] == ["pano_i0_0", "pano_i1_0"]
    stamps = [item.frame.stamp_ns for item in sequence]
    assert stamps == sorted(set(stamps))


def test_holes_stay_holes_and_images_with_little_depth_are_left_out(tmp_path, caplog):
    path = make_matterport(tmp_path / "house", (0, 1))
    depth_path = path / "undistorted_depth_images" / "pano_d1_0.png"
    depth = cv2.imread(str(depth_path), cv2.IMREAD_UNCHANGED)
    depth[:26] = 0  # 41 %
    depth[30, 5] = 39  # nearer than 1 cm
    cv2.imwrite(str(depth_path), depth)
    first = next(iter(open_sequence(path)))
    assert not first.frame.depth[:26].any()
    assert first.frame.depth[30, 5] == 0
    assert first.frame.depth[30, 6] > 0
    strict = open_matterport_sequence(path, MatterportSettings(min_valid_depth=0.8))
    assert [item.name for item in strict] == ["pano_i1_1"]
    assert strict.num_refused == 1
    assert "1 of 2 frames are left out because less than 80 %" in caplog.text


def test_the_folder_that_unpacking_makes_is_known(tmp_path):
    make_matterport(tmp_path / "house" / "house")
    assert len(open_sequence(tmp_path / "house")) == 3


@pytest.mark.parametrize("name", ["scenes_train.txt", "train_scenes.txt"])
def test_lists_of_scans(tmp_path, name):
    for scan in ("first", "second"):
        make_matterport(tmp_path / scan, (0,))
    (tmp_path / name).write_text("second\n\n  first \nsecond\n\n")
    assert scans_of_split(tmp_path, "train") == [tmp_path / "second", tmp_path / "first"]
    with pytest.raises(DatasetError, match=r"scenes_val\.txt or val_scenes\.txt, found neither"):
        scans_of_split(tmp_path, "val")


def test_lists_must_name_scans(tmp_path):
    (tmp_path / "test_scenes.txt").write_text("nowhere\n")
    with pytest.raises(DatasetError, match="got nowhere; download these scans"):
        scans_of_split(tmp_path, "test")
    (tmp_path / "test_scenes.txt").write_text("\n")
    with pytest.raises(DatasetError, match="got an empty file"):
        scans_of_split(tmp_path, "test")


def edit(pattern, replacement):
    def change(path):
        parameters = path / "undistorted_camera_parameters" / "house.conf"
        assert pattern in parameters.read_text()
        parameters.write_text(parameters.read_text().replace(pattern, replacement))

    return change


BROKEN = {
    "no intrinsics": (edit("intrinsics_matrix", "intrinsics"), "line 6: expected 'scan depth_file"),
    "short row": (edit(" 0.000000000 0.000000000 0.000000000 1.000000000\n", "\n"), "line 6: .*16 numbers of a pose"),
    "no rotation": (edit("pano_i1_1.jpg 0", "pano_i1_1.jpg 7"), "rotation in the upper left"),
    "no camera": (edit("matrix 70.0", "matrix 0"), "line 8: .*positive focal"),
    "no horizontal images": (edit("_i1_", "_i2_"), r"horizontal camera .* got 6 others"),
    "no file": (
        lambda p: (p / "undistorted_camera_parameters" / "house.conf").unlink(),
        "one file <scan>.conf, found 0",
    ),
    "no image": (lambda p: (p / "undistorted_depth_images" / "pano_d1_2.png").unlink(), "does not exist"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_scans_are_one_sentence(tmp_path, case):
    path = make_matterport(tmp_path / "house")
    damage, text = BROKEN[case]
    damage(path)
    with pytest.raises(DatasetError, match=text) as caught:
        list(open_sequence(path))
    assert "\n" not in str(caught.value)
