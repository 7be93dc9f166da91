# SPDX-License-Identifier: Apache-2.0
"""ScanNet's layout, exported and as `.sens`: known points land where they are, lost frames have no pose."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_scans import (
    MARK_WORLD,
    SCANNET_COLOR,
    SHIFTED,
    camera_pose,
    make_scannet,
    make_sens,
    mark_pixel,
    wall_depth,
    write_matrix,
)

from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.scannet_calibration import ScanNetSettings
from xover_core.datasets.scannet_sens import open_sens_sequence
from xover_core.datasets.scannet_sequence import open_scannet_sequence
from xover_core.errors import DatasetError
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import invert, transform_points

POSE_TOLERANCE = 1e-5  # poses are written with six digits, as the exporter does
# A depth pixel (f = 57 px) 3 m away is 5 cm wide; half of it along the wall, and as much for the mark's own pixel.
POINT_TOLERANCE = 0.04


def check_mark(sequence):
    for item in sequence:
        pixel = mark_pixel(item.frame.rgb)
        point = back_project(pixel, sample_depth(item.frame.depth, pixel), item.frame.intrinsics)
        np.testing.assert_allclose(transform_points(item.T_world_camera, point)[0], MARK_WORLD, atol=POINT_TOLERANCE)


def test_depth_is_registered_to_colour(tmp_path):
    sequence = open_sequence(make_scannet(tmp_path / "scene0000_00"))
    assert (sequence.name, len(sequence)) == ("scene0000_00", 3)
    for number, item in enumerate(sequence):
        assert item.name == str(number)
        assert item.frame.intrinsics == SCANNET_COLOR
        np.testing.assert_allclose(item.T_world_camera, camera_pose(number), atol=POSE_TOLERANCE)
        error = np.abs(item.frame.depth - wall_depth(SCANNET_COLOR, camera_pose(number)))[item.frame.depth > 0]
        assert error.max() < POINT_TOLERANCE
    check_mark(sequence)


def test_the_pose_is_that_of_the_colour_camera(tmp_path):
    sequence = open_sequence(make_scannet(tmp_path / "scan", T_base_color=SHIFTED))
    for number, item in enumerate(sequence):
        np.testing.assert_allclose(item.T_world_camera, camera_pose(number) @ SHIFTED, atol=POSE_TOLERANCE)
    check_mark(sequence)


def test_the_base_may_be_the_colour_camera(tmp_path):
    path = make_scannet(tmp_path / "scan", T_base_color=SHIFTED)
    before = list(open_sequence(path))
    write_matrix(path / "intrinsic" / "extrinsic_color.txt", np.eye(4))
    write_matrix(path / "intrinsic" / "extrinsic_depth.txt", invert(SHIFTED))
    for number in range(3):
        write_matrix(path / "pose" / f"{number}.txt", camera_pose(number) @ SHIFTED)
    for ours, other in zip(open_sequence(path), before, strict=True):
        np.testing.assert_allclose(ours.T_world_camera, other.T_world_camera, atol=POSE_TOLERANCE)
        np.testing.assert_allclose(ours.frame.depth, other.frame.depth, atol=POINT_TOLERANCE)
    check_mark(open_sequence(path))


def test_frames_are_in_order_of_their_number_and_can_be_skipped(tmp_path):
    path = make_scannet(tmp_path / "scan", (0, 2, 9, 10, 11))
    assert [item.name for item in open_sequence(path)] == ["0", "2", "9", "10", "11"]
    every_other = list(open_scannet_sequence(path, ScanNetSettings(frame_step=2)))
    assert [item.name for item in every_other] == ["0", "9", "11"]
    assert every_other[1].frame.stamp_ns == 300_000_000


def test_lost_frames_have_no_pose(tmp_path):
    path = make_scannet(tmp_path / "scan")
    (path / "pose" / "0.txt").write_text("-inf -inf -inf -inf\n" * 3 + "-inf -inf -inf -inf\n")
    (path / "pose" / "1.txt").unlink()
    assert [item.T_world_camera is None for item in open_sequence(path)] == [True, True, False]


def test_cameras_in_one_place_need_no_extrinsics(tmp_path):
    path = make_scannet(tmp_path / "scan")
    for kind in ("color", "depth"):
        (path / "intrinsic" / f"extrinsic_{kind}.txt").unlink()
    check_mark(open_sequence(path))


def test_the_sens_file_is_the_exported_scan(tmp_path):
    exported = open_sequence(make_scannet(tmp_path / "exported"))
    for path in (make_sens(tmp_path / "scan" / "scene0000_00.sens"), tmp_path / "scan"):
        direct = open_sequence(path)
        assert (direct.name, len(direct)) == ("scene0000_00", 3)
        for ours, theirs in zip(direct, exported, strict=True):
            np.testing.assert_array_equal(ours.frame.rgb, theirs.frame.rgb)
            np.testing.assert_array_equal(ours.frame.depth, theirs.frame.depth)
            np.testing.assert_allclose(ours.T_world_camera, theirs.T_world_camera, atol=POSE_TOLERANCE)
            assert (ours.name, ours.frame.stamp_ns) == (theirs.name, theirs.frame.stamp_ns)
    third = list(open_sens_sequence(path, ScanNetSettings(frame_step=2)))[1]
    assert third.name == "2"


BROKEN = {
    "no intrinsics": (
        lambda p: (p / "intrinsic" / "intrinsic_depth.txt").unlink(),
        "intrinsic_depth.txt: cannot be read",
    ),
    "no camera": (lambda p: np.savetxt(p / "intrinsic" / "intrinsic_color.txt", np.zeros((4, 4))), "positive focal"),
    "no extrinsics": (lambda p: np.savetxt(p / "intrinsic" / "extrinsic_color.txt", np.zeros((4, 4))), "rotation"),
    "no pose": (lambda p: np.savetxt(p / "pose" / "1.txt", np.ones((4, 4))), r"1\.txt: expected a rotation"),
    "short pose": (lambda p: np.savetxt(p / "pose" / "1.txt", np.ones((3, 4))), "got 3 rows"),
    "no depth": (lambda p: (p / "depth" / "1.png").unlink(), r"depth/1\.png, which does not exist"),
    "no colour": (lambda p: [image.unlink() for image in (p / "color").iterdir()], "named by their index"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_scans_are_one_sentence(tmp_path, case):
    path = make_scannet(tmp_path / "scan")
    damage, text = BROKEN[case]
    damage(path)
    with pytest.raises(DatasetError, match=text) as caught:
        list(open_sequence(path))
    assert "\n" not in str(caught.value)


BROKEN_SENS = {
    "another file": (lambda data: b"\x50\x4b\x03\x04" + data[4:], "version 4, got version"),
    "cut in the header": (lambda data: data[:200], "too early"),
    "cut in a frame": (lambda data: data[:-20], "ends in frame 2"),
    "damaged depth": (lambda data: data[:-50] + bytes(50), "frame 2: depth cannot be decompressed"),
    "no frames": (lambda data: data[:307] + bytes(8) + data[315:], "there are none"),
}


@pytest.mark.parametrize("case", BROKEN_SENS)
def test_broken_sens_files_are_one_sentence(tmp_path, case):
    path = make_sens(tmp_path / "scan.sens")
    damage, text = BROKEN_SENS[case]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=text):
        list(open_sequence(path))


def test_other_compressions_are_named(tmp_path):
    with pytest.raises(DatasetError, match="kinds 0 and 1"):
        open_sequence(make_sens(tmp_path / "scan.sens", color_kind=0))
