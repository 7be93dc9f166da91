# SPDX-License-Identifier: Apache-2.0
"""Readers of image folders: made-up recordings in each layout read back exactly, and each way to be broken."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import RgbdSequence, SequenceItem
from xover_core.datasets.tum_sequence import associate
from xover_core.errors import DatasetError
from xover_core.geometry.camera import back_project, project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import exp_se3, invert, quaternion_from_rotation, transform_points
from xover_core.types import Mat4

POSE_TOLERANCE = 1e-6  # poses are written with 7 digits
DEPTH_TOLERANCE = 1e-6  # float32 against exact millimetres
MAX_MEDIAN_REPROJECTION = 0.025  # m; the sample's own README measures 0.008 to 0.018 over all pairs
MAX_PAIR_GAP = 10  # frames; so that pairs overlap
SIZE = (6, 8)
INTRINSICS_ROW = "10 11 3.5 2.5 8 6 1000\n"


def pose_of(index: int) -> Mat4:
    return exp_se3(np.random.default_rng(index).normal(size=6))


def pose_words(pose: Mat4) -> str:
    return " ".join(f"{value:.9f}" for value in (*pose[:3, 3], *quaternion_from_rotation(pose[:3, :3])))


def rgb_of(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def depth_raw_of(index: int) -> NDArray[np.uint16]:
    return np.random.default_rng(100 + index).integers(0, 5000, SIZE).astype(np.uint16)


def write_images(color_path: Path, depth_path: Path, index: int) -> None:
    for path in (color_path, depth_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(color_path), rgb_of(index)[:, :, ::-1])
    cv2.imwrite(str(depth_path), depth_raw_of(index))


def make_folder(path: Path, indices: tuple[int, ...] = (3, 4, 9, 12)) -> Path:
    """The plain layout with gaps in the indices and rows in reverse order."""
    for index in indices:
        write_images(path / "rgb" / f"{index:06d}.png", path / "depth" / f"{index:06d}.png", index)
    rows = [
        f"{index} {1341836537 + index // 10}.{index % 10}000001 {pose_words(pose_of(index))}\n"
        for index in reversed(indices)
    ]
    (path / "poses.txt").write_text("# index timestamp pose\n" + "".join(rows))
    (path / "intrinsics.txt").write_text(INTRINSICS_ROW)
    return path


def make_tum(path: Path) -> Path:
    """Depth 5 ms after colour; one colour image without depth; poses at 100 Hz for the first two frames only."""
    for index in range(4):
        write_images(path / "rgb" / f"{index}.png", path / "depth" / f"{index}.png", index)
    color = [f"{10 + 0.1 * index:.3f} rgb/{index}.png\n" for index in range(4)]
    depth = [f"{10.005 + 0.1 * index:.3f} depth/{index}.png\n" for index in range(3)]
    (path / "rgb.txt").write_text("# color images\n" + "".join(color))
    (path / "depth.txt").write_text("# depth maps\n" + "".join(depth))
    poses = [f"{10 + 0.01 * step:.3f} {pose_words(pose_of(step // 10))}\n" for step in range(12)]
    (path / "groundtruth.txt").write_text("".join(poses))
    (path / "intrinsics.txt").write_text(INTRINSICS_ROW)
    return path


def make_seven_scenes(path: Path, sequences: tuple[int, ...] = (1, 2)) -> Path:
    for sequence in sequences:
        folder = path / f"seq-{sequence:02d}"
        for index in range(2):
            stem = f"frame-{index:06d}"
            write_images(folder / f"{stem}.color.png", folder / f"{stem}.depth.png", index)
            np.savetxt(folder / f"{stem}.pose.txt", pose_of(index))
    (path / "TrainSplit.txt").write_text("sequence2\nsequence1\n")
    (path / "intrinsics.txt").write_text(INTRINSICS_ROW)
    return path


def check_item(item: SequenceItem, index: int, *, depth_scale: float, has_pose: bool = True) -> None:
    np.testing.assert_array_equal(item.frame.rgb, rgb_of(index))
    np.testing.assert_allclose(item.frame.depth, depth_raw_of(index) / depth_scale, rtol=DEPTH_TOLERANCE)
    assert (item.T_world_camera is not None) == has_pose
    if has_pose:
        np.testing.assert_allclose(item.T_world_camera, pose_of(index), atol=POSE_TOLERANCE)


def test_folder_reads_back_in_order_of_time_with_exact_stamps(tmp_path: Path) -> None:
    sequence = open_sequence(make_folder(tmp_path / "place" / "map"))
    items = list(sequence)
    assert sequence.name == "place/map"
    assert len(sequence) == 4
    assert [item.name for item in items] == ["000003", "000004", "000009", "000012"]
    assert items[0].frame.stamp_ns == 1341836537_300000100
    for item, index in zip(items, (3, 4, 9, 12), strict=True):
        check_item(item, index, depth_scale=1000.0)
    assert items[0].frame.intrinsics.fy == 11.0


def test_folder_can_be_read_again_and_partly(tmp_path: Path) -> None:
    sequence = open_sequence(make_folder(tmp_path / "map"))
    assert next(iter(sequence)).name == "000003"
    assert len(list(sequence)) == len(list(sequence)) == 4


def test_folder_takes_jpg_and_unpadded_names_and_unknown_poses(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "map", (1, 2, 3))
    for index in (1, 2, 3):
        cv2.imwrite(str(path / "rgb" / f"{index}.jpg"), rgb_of(index))
        (path / "rgb" / f"{index:06d}.png").unlink()
    (path / "poses.txt").write_text(f"1 0.5\n2 0.6 nan nan nan nan nan nan nan\n3 0.7 {pose_words(pose_of(3))}\n")
    items = list(open_sequence(path))
    assert [item.T_world_camera is None for item in items] == [True, True, False]


def test_tum_associates_by_time(tmp_path: Path) -> None:
    items = list(open_sequence(make_tum(tmp_path / "rgbd_dataset")))
    assert [item.frame.stamp_ns for item in items] == [10_000_000_000, 10_100_000_000, 10_200_000_000]
    for index, item in enumerate(items):
        check_item(item, index, depth_scale=1000.0, has_pose=index < 2)


@pytest.mark.parametrize(("camera", "fx"), [("freiburg1", 517.3), ("freiburg2", 520.9), ("freiburg3", 535.4)])
def test_tum_camera_is_known_by_name(tmp_path: Path, camera: str, fx: float) -> None:
    path = make_tum(tmp_path / f"rgbd_dataset_{camera}_desk")
    (path / "intrinsics.txt").unlink()
    checker = np.kron(np.indices((48, 64)).sum(axis=0) % 2, np.ones((10, 10))) * 255
    for index in range(3):
        cv2.imwrite(str(path / "rgb" / f"{index}.png"), checker)
        cv2.imwrite(str(path / "depth" / f"{index}.png"), np.full((480, 640), 5000, np.uint16))
    frame = next(iter(open_sequence(path))).frame
    assert frame.intrinsics.fx == fx
    assert frame.depth is not None
    assert frame.depth[240, 320] == 1.0
    is_unchanged = bool((frame.rgb[:, :, 0] == checker).all())
    assert is_unchanged == (camera == "freiburg3"), "freiburg1 and 2 have a lens that distorts"


def test_association_takes_the_closest_pairs_first() -> None:
    ms = 1_000_000
    assert associate([0, 30 * ms, 100 * ms], [16 * ms, 29 * ms, 121 * ms]) == [(0, 0), (1, 1)]
    assert associate([10 * ms, 20 * ms], [18 * ms]) == [(1, 0)]
    assert associate([], [1]) == []


def test_seven_scenes_sequence_and_split(tmp_path: Path) -> None:
    scene = make_seven_scenes(tmp_path / "chess")
    invalid = depth_raw_of(1)
    invalid[0, 0] = 65535
    cv2.imwrite(str(scene / "seq-01" / "frame-000001.depth.png"), invalid)
    (scene / "seq-01" / "frame-000000.pose.txt").unlink()
    first, second = open_sequence(scene / "seq-01")
    check_item(first, 0, depth_scale=1000.0, has_pose=False)
    assert second.frame.depth is not None
    assert second.frame.depth[0, 0] == 0
    assert second.frame.stamp_ns - first.frame.stamp_ns == 33_333_333
    names = [item.name for item in open_sequence(scene / "TrainSplit.txt")]
    assert names == [f"seq-{sequence:02d}/frame-{index:06d}" for sequence in (1, 2) for index in (0, 1)]


def test_seven_scenes_default_camera(tmp_path: Path) -> None:
    scene = make_seven_scenes(tmp_path / "chess", (1,))
    (scene / "intrinsics.txt").unlink()
    for kind, image in (("color", np.zeros((480, 640, 3), np.uint8)), ("depth", np.ones((480, 640), np.uint16))):
        for index in range(2):
            cv2.imwrite(str(scene / "seq-01" / f"frame-{index:06d}.{kind}.png"), image)
    camera = next(iter(open_sequence(scene / "seq-01"))).frame.intrinsics
    assert (camera.fx, camera.cx, camera.cy, camera.width) == (585.0, 320.0, 240.0, 640)


def test_one_unreadable_image_is_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_folder(tmp_path / "map")
    (path / "rgb" / "000004.png").write_bytes(b"\x89PNG cut short")
    sequence = open_sequence(path)
    with caplog.at_level(logging.WARNING):
        names = [item.name for item in sequence]
    assert names == ["000003", "000009", "000012"]
    assert sequence.num_skipped == 1  # type: ignore[attr-defined]
    assert "000004" in caplog.text


def edit(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text()
    assert re.search(pattern, text)
    path.write_text(re.sub(pattern, replacement, text))


def break_all_images(path: Path) -> None:
    for image in (path / "rgb").iterdir():
        image.write_bytes(b"")


def save_depth_as_8_bits(path: Path) -> None:
    for image in (path / "depth").iterdir():
        cv2.imwrite(str(image), np.ones(SIZE, np.uint8))


BROKEN_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no intrinsics": (lambda p: (p / "intrinsics.txt").unlink(), r"intrinsics\.txt: cannot be read"),
    "short intrinsics": (
        lambda p: (p / "intrinsics.txt").write_text("1 2 3\n"),
        "fx fy cx cy width height depth_scale",
    ),
    "zero focal length": (lambda p: edit(p / "intrinsics.txt", "^10 ", "0 "), "positive focal"),
    "zero depth scale": (lambda p: edit(p / "intrinsics.txt", "1000", "0"), "positive depth_scale"),
    "other size": (lambda p: edit(p / "intrinsics.txt", " 8 6 ", " 9 6 "), r"does not fit the intrinsics.*\(6, 9, 3\)"),
    "foreign principal point": (lambda p: edit(p / "intrinsics.txt", " 3.5 ", " 350 "), "principal point inside"),
    "no rows": (lambda p: (p / "poses.txt").write_text("# only\n"), "got an empty file"),
    "short row": (lambda p: edit(p / "poses.txt", r" \S+\n", "\n"), r"poses\.txt line 2: expected 'index timestamp"),
    "word in row": (lambda p: edit(p / "poses.txt", r"\S+\n", "x\n"), r"line 2: expected index timestamp"),
    "zero quaternion": (
        lambda p: edit(p / "poses.txt", r"( \S+){4}\n", " 0 0 0 0\n"),
        "line 2: .*unit quaternion",
    ),
    "infinite position": (lambda p: edit(p / "poses.txt", r"(12 \S+) \S+", r"\1 inf"), "line 2: .*finite"),
    "double index": (lambda p: edit(p / "poses.txt", "\n12 ", "\n9 "), "9 occurs twice"),
    "negative time": (lambda p: edit(p / "poses.txt", "\n12 13", "\n12 -13"), "not negative"),
    "binary poses": (lambda p: (p / "poses.txt").write_bytes(b"\xff\xfe\x00"), "expected a text file"),
    "missing colour": (lambda p: (p / "rgb" / "000009.png").unlink(), "a colour image with index 9"),
    "missing depth": (lambda p: (p / "depth" / "000009.png").unlink(), "a depth image with index 9"),
    "two colours": (lambda p: (p / "rgb" / "9.jpg").write_bytes(b"x"), "same index"),
    "unreadable": (break_all_images, "4 frames in a row cannot be read"),
    "8-bit depth": (save_depth_as_8_bits, "16 bits"),
}


@pytest.mark.parametrize("case", BROKEN_FOLDERS)
def test_broken_folders_are_one_sentence(tmp_path: Path, case: str) -> None:
    path = make_folder(tmp_path / "map")
    damage, text = BROKEN_FOLDERS[case]
    damage(path)
    with pytest.raises(DatasetError, match=text) as caught:
        list(open_sequence(path))
    assert "\n" not in str(caught.value)


BROKEN_TUM: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list of depth": (lambda p: (p / "depth.txt").write_text(""), "empty list"),
    "wrong row": (lambda p: edit(p / "rgb.txt", "rgb/2.png", ""), r"rgb\.txt line 4: expected timestamp filename"),
    "missing file": (lambda p: (p / "rgb" / "1.png").unlink(), "does not exist"),
    "other times": (lambda p: edit(p / "depth.txt", r"\b10\.", "99."), r"within 0\.02 s"),
    "unknown camera": (lambda p: (p / "intrinsics.txt").unlink(), "camera is unknown.*freiburg1"),
    "wrong pose": (lambda p: edit(p / "groundtruth.txt", r"\S+\n", "\n"), r"groundtruth\.txt line 1"),
}


@pytest.mark.parametrize("case", BROKEN_TUM)
def test_broken_tum_folders_are_one_sentence(tmp_path: Path, case: str) -> None:
    path = make_tum(tmp_path / "sequence")
    damage, text = BROKEN_TUM[case]
    damage(path)
    with pytest.raises(DatasetError, match=text):
        list(open_sequence(path))


BROKEN_SCENES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no rotation": (lambda p: np.savetxt(p / "seq-01" / "frame-000000.pose.txt", np.ones((4, 4))), "rotation"),
    "short pose": (lambda p: np.savetxt(p / "seq-01" / "frame-000000.pose.txt", np.ones((3, 4))), "4 rows"),
    "missing depth": (lambda p: (p / "seq-01" / "frame-000001.depth.png").unlink(), "does not exist"),
    "missing sequence": (lambda p: (p / "TrainSplit.txt").write_text("sequence7\n"), "no folder.*seq-07"),
    "empty split": (lambda p: (p / "TrainSplit.txt").write_text(""), "empty file"),
}


@pytest.mark.parametrize("case", BROKEN_SCENES)
def test_broken_scenes_are_one_sentence(tmp_path: Path, case: str) -> None:
    path = make_seven_scenes(tmp_path / "chess")
    damage, text = BROKEN_SCENES[case]
    damage(path)
    with pytest.raises(DatasetError, match=text):
        list(open_sequence(path / "TrainSplit.txt"))


def test_a_scene_without_a_part_is_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"seq-01.*TrainSplit\.txt"):
        open_sequence(make_seven_scenes(tmp_path / "chess"))


def test_unknown_layouts_say_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    for path, text in (
        (tmp_path / "nowhere", "no recording there"),
        (tmp_path, "looked for rosbag2.*rgb/ depth/.*TUM.*7-Scenes.*found notes.md"),
        (tmp_path / "notes.md", "found a file"),
    ):
        with pytest.raises(DatasetError, match=text):
            open_sequence(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="found nothing"):
        open_sequence(tmp_path / "empty")


def median_reprojection_error(sequence: RgbdSequence) -> float:
    """Median over near pairs of |depth seen from i, moved to j - depth measured in j|, metres."""
    items = list(sequence)
    rng = np.random.default_rng(0)
    errors = []
    for i in rng.integers(0, len(items) - 1, 40):
        j = min(i + int(rng.integers(1, MAX_PAIR_GAP)), len(items) - 1)
        first, second = items[i], items[j]
        camera = first.frame.intrinsics
        assert first.frame.depth is not None
        assert second.frame.depth is not None
        assert first.T_world_camera is not None
        assert second.T_world_camera is not None
        v, u = np.mgrid[0 : camera.height : 8, 0 : camera.width : 8]
        pixels = np.stack([u.ravel(), v.ravel()], axis=1)
        points = back_project(pixels, sample_depth(first.frame.depth, pixels, max_depth=6.0), camera)
        points = points[np.isfinite(points[:, 0])]
        moved = transform_points(invert(second.T_world_camera) @ first.T_world_camera, points)
        moved = moved[moved[:, 2] > 0.2]
        measured = sample_depth(second.frame.depth, project(moved, camera))
        errors.append(np.median(np.abs(measured - moved[:, 2])[measured > 0.3]))
    return float(np.median(errors))


@pytest.mark.data
@pytest.mark.parametrize(
    ("place", "num_map", "num_query"), [("office", 150, 80), ("curtain", 20, 11), ("office-synthetic", 25, 13)]
)
def test_dev_sample_is_consistent(sample_data: Path, place: str, num_map: int, num_query: int) -> None:
    root = sample_data / "dev-sample"
    if not root.is_dir():
        pytest.skip("XOVER_DATA_DIR has no dev-sample")
    for part, num_frames in (("map", num_map), ("query", num_query)):
        sequence = open_sequence(root / place / part)
        assert len(sequence) == num_frames
        assert median_reprojection_error(sequence) < MAX_MEDIAN_REPROJECTION
