# SPDX-License-Identifier: Apache-2.0
"""Bags: what is written is read back, topics are found, and broken bags are one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xover_core.datasets.bag_access import read_messages, summarize_bag
from xover_core.datasets.bag_frames import BagFrames, forward_camera
from xover_core.datasets.bag_reader import BagSequence
from xover_core.datasets.bag_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POSE_STAMPED,
    TRANSFORMS,
    BagTopics,
    TopicSummary,
    choose_topics,
)
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import exp_se3, make_pose
from xover_core.types import CameraIntrinsics, Mat4, RgbdFrame

POSE_TOLERANCE = 1e-9  # two products with the extrinsics and a quaternion in double precision
DEPTH_TOLERANCE = 5.1e-4  # m: bags hold whole millimetres
JPEG_TOLERANCE = 4.0  # grey levels, mean, on a smooth image
SECOND = 10**9
CAMERA = CameraIntrinsics(fx=30.0, fy=31.0, cx=15.5, cy=11.5, width=32, height=24)


class MadeUpSequence:
    """A recording in memory: smooth images, depth off the millimetre grid, poses along a curve."""

    name = "made-up"

    def __init__(self, num_frames: int = 5, *, has_odometry: bool = True, without_pose: Sequence[int] = ()) -> None:
        self.num_frames = num_frames
        self.has_odometry = has_odometry
        self.without_pose = without_pose

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[SequenceItem]:
        u, v = np.meshgrid(np.linspace(0, 200, CAMERA.width), np.linspace(0, 200, CAMERA.height))
        for index in range(self.num_frames):
            rgb = np.stack([u, v, np.full_like(u, 10 * index)], axis=2).astype(np.uint8)
            depth = (1 + u / 100 + index * 0.1234567).astype(np.float32)
            depth[0, :3] = 0
            depth[1, 1] = 70.0 if index == 0 else depth[1, 1]
            frame = RgbdFrame(
                stamp_ns=5 * SECOND + index * SECOND // 10,
                rgb=rgb,
                depth=depth,
                intrinsics=CAMERA,
                T_odom_camera=pose_at(index, 1) if self.has_odometry else None,
            )
            pose = None if index in self.without_pose else pose_at(index, 2)
            yield SequenceItem(frame=frame, T_world_camera=pose, name=str(index))


def pose_at(index: int, seed: int) -> Mat4:
    return exp_se3(np.random.default_rng(seed).normal(size=6) * (1 + 0.1 * index))


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_round_trip(tmp_path: Path, storage: str, is_compressed: bool) -> None:
    sequence = MadeUpSequence()
    seen: list[tuple[int, int]] = []
    path = tmp_path / "bags" / "walk"
    num = write_bag(
        path, sequence, storage=storage, is_compressed=is_compressed, progress=lambda i, n: seen.append((i, n))
    )
    bag = open_sequence(path)
    items = list(bag)
    assert num == len(bag) == len(items) == 5
    assert seen == [(i, 5) for i in range(1, 6)]
    assert bag.name == "bags/walk"
    for before, after in zip(sequence, items, strict=True):
        assert after.frame.stamp_ns == before.frame.stamp_ns
        assert after.frame.intrinsics == CAMERA
        assert after.frame.camera_frame_id == "camera_color_optical_frame"
        np.testing.assert_allclose(after.T_world_camera, before.T_world_camera, atol=POSE_TOLERANCE)
        np.testing.assert_allclose(after.frame.T_odom_camera, before.frame.T_odom_camera, atol=POSE_TOLERANCE)
        difference = np.abs(after.frame.rgb.astype(float) - before.frame.rgb)
        assert difference.mean() <= (JPEG_TOLERANCE if is_compressed else 0.0)
        assert before.frame.depth is not None
        expected = np.where(before.frame.depth < 65, before.frame.depth, 0)
        np.testing.assert_allclose(after.frame.depth, expected, atol=DEPTH_TOLERANCE)


def test_storage_file_and_lost_metadata_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "walk"
    write_bag(path, MadeUpSequence(), storage="mcap")
    assert len(list(open_sequence(path / "walk.mcap"))) == 5
    (path / "metadata.yaml").unlink()
    assert len(list(open_sequence(path))) == 5


def test_topics_and_static_transforms_are_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "walk"
    T_base_camera = forward_camera() @ make_pose(np.eye(3), (0.1, 0.2, 0.3))
    write_bag(path, MadeUpSequence(without_pose=(2,)), frames=BagFrames(T_base_camera=T_base_camera, base="robot"))
    topics = {topic.name: (topic.message_type, topic.num_messages) for topic in summarize_bag(path).topics}
    assert topics == {
        "/camera/color/image_raw": (IMAGE, 5),
        "/camera/depth/image_raw": (IMAGE, 5),
        "/camera/color/camera_info": (CAMERA_INFO, 5),
        "/odom": (ODOMETRY, 5),
        "/tf": (TRANSFORMS, 5),
        "/tf_static": (TRANSFORMS, 1),
        "/ground_truth/pose": (POSE_STAMPED, 4),
    }
    (static,) = read_messages(path, lambda topic: topic.name == "/tf_static")
    edges = [(t.header.frame_id, t.child_frame_id) for t in static.content.transforms]
    assert edges == [("robot", "camera_link"), ("camera_link", "camera_color_optical_frame")]
    items = list(open_sequence(path, BagTopics(base_frame="robot")))
    np.testing.assert_allclose(items[1].T_world_camera, pose_at(1, 2), atol=POSE_TOLERANCE)


def test_forward_camera_sees_what_is_ahead_of_the_robot() -> None:
    point_in_camera = np.array([0.0, 0.0, 2.0, 1.0])
    np.testing.assert_allclose(forward_camera() @ point_in_camera, (2.0, 0.0, 1.0, 1.0), atol=1e-12)
    up_in_image = np.array([0.0, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(forward_camera() @ up_in_image, (0.0, 0.0, 1.0, 0.0), atol=1e-12)


def test_without_odometry_none_is_written_and_none_is_read(tmp_path: Path) -> None:
    write_bag(tmp_path / "walk", MadeUpSequence(has_odometry=False))
    names = {topic.name for topic in summarize_bag(tmp_path / "walk").topics}
    assert not names & {"/odom", "/tf"}
    assert all(item.frame.T_odom_camera is None for item in open_sequence(tmp_path / "walk"))


def test_odometry_from_transforms_equals_odometry_from_its_topic(tmp_path: Path) -> None:
    write_bag(tmp_path / "walk", MadeUpSequence())
    by_topic = list(open_sequence(tmp_path / "walk"))
    by_tf = list(open_sequence(tmp_path / "walk", BagTopics(odometry="tf", pose="none")))
    for first, second in zip(by_topic, by_tf, strict=True):
        np.testing.assert_allclose(second.frame.T_odom_camera, first.frame.T_odom_camera, atol=POSE_TOLERANCE)
        assert second.T_world_camera is None


def test_pose_from_transforms_and_odometry_as_truth(tmp_path: Path) -> None:
    write_bag(tmp_path / "walk", MadeUpSequence())
    topics = BagTopics(pose="tf", world_frame="odom", odometry="none")
    from_tf = next(iter(open_sequence(tmp_path / "walk", topics)))
    from_odometry = next(iter(open_sequence(tmp_path / "walk", BagTopics(pose="/odom"))))
    for item in (from_tf, from_odometry):
        np.testing.assert_allclose(item.T_world_camera, pose_at(0, 1), atol=POSE_TOLERANCE)


def test_frames_outside_of_the_poses_have_none(tmp_path: Path) -> None:
    write_bag(tmp_path / "walk", MadeUpSequence(6, without_pose=(0, 3, 5)))
    has_pose = [item.T_world_camera is not None for item in open_sequence(tmp_path / "walk")]
    assert has_pose == [False, True, True, True, True, False], "3 lies between poses and is interpolated"


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    class Breaking(MadeUpSequence):
        def __iter__(self) -> Iterator[SequenceItem]:
            yield from list(super().__iter__())[:2]
            raise DatasetError("the disk fell out")

    with pytest.raises(DatasetError, match="fell out"):
        write_bag(tmp_path / "walk", Breaking())
    assert list(tmp_path.iterdir()) == []


def test_writing_refuses(tmp_path: Path) -> None:
    write_bag(tmp_path / "walk", MadeUpSequence(1))
    with pytest.raises(DatasetError, match="exists already"):
        write_bag(tmp_path / "walk", MadeUpSequence(1))
    with pytest.raises(DatasetError, match="no frames"):
        write_bag(tmp_path / "other", MadeUpSequence(0))
    with pytest.raises(DatasetError, match="sqlite3, mcap"):
        write_bag(tmp_path / "other", MadeUpSequence(1), storage="rosbag1")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_bag(tmp_path / "file" / "walk", MadeUpSequence(1))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "walk"]


def test_zeroed_and_missing_depth_is_counted_and_explained(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Blind(MadeUpSequence):
        def __iter__(self) -> Iterator[SequenceItem]:
            for index, item in enumerate(super().__iter__()):
                depth = {0: None, 1: np.zeros((24, 32), np.float32)}.get(index, item.frame.depth)
                yield replace(item, frame=replace(item.frame, depth=depth))

    write_bag(tmp_path / "walk", Blind(5))
    bag = BagSequence(tmp_path / "walk")
    with caplog.at_level(logging.WARNING):
        assert len(list(bag)) == 3
    assert {reason.name: num for reason, num in bag.num_dropped.items()} == {"NO_DEPTH": 1, "EMPTY_DEPTH": 1}
    assert "/camera/depth/image_raw: no pixel has a valid reading" in caplog.text

    write_bag(tmp_path / "blind", Blind(2))
    with pytest.raises(DatasetError, match=r"no frame could be made.*empty depth image: 1"):
        list(open_sequence(tmp_path / "blind"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


BROKEN_BAGS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "truncated database": ("sqlite3", lambda p: truncate(p / "walk.db3")),
    "truncated mcap": ("mcap", lambda p: truncate(p / "walk.mcap")),
    "empty database": ("sqlite3", lambda p: (p / "walk.db3").write_bytes(b"")),
    "no storage": ("mcap", lambda p: (p / "walk.mcap").unlink()),
    "broken metadata": ("mcap", lambda p: (p / "metadata.yaml").write_text("a: [")),
    "foreign metadata": ("mcap", lambda p: (p / "metadata.yaml").write_text("a: 1")),
}


@pytest.mark.parametrize("case", BROKEN_BAGS)
def test_broken_bags_are_one_sentence(tmp_path: Path, case: str) -> None:
    storage, damage = BROKEN_BAGS[case]
    write_bag(tmp_path / "walk", MadeUpSequence(20), storage=storage)
    damage(tmp_path / "walk")
    with pytest.raises(DatasetError, match=r"walk.*cannot be read"):
        list(open_sequence(tmp_path / "walk"))


def summaries(*topics: tuple[str, str]) -> list[TopicSummary]:
    return [TopicSummary(name=name, message_type=message_type, num_messages=9) for name, message_type in topics]


REALSENSE = summaries(
    ("/camera/color/image_raw", IMAGE),
    ("/camera/color/image_raw/compressed", COMPRESSED_IMAGE),
    ("/camera/color/camera_info", CAMERA_INFO),
    ("/camera/depth/image_rect_raw", IMAGE),
    ("/camera/depth/camera_info", CAMERA_INFO),
    ("/camera/aligned_depth_to_color/image_raw", IMAGE),
    ("/camera/aligned_depth_to_color/camera_info", CAMERA_INFO),
    ("/camera/infra1/image_rect_raw", IMAGE),
    ("/camera/infra1/camera_info", CAMERA_INFO),
    ("/odometry/filtered", ODOMETRY),
    ("/vicon/robot/odom", ODOMETRY),
    ("/goal_pose", POSE_STAMPED),
)
COMPRESSED = summaries(
    ("/front/rgb/image/compressed", COMPRESSED_IMAGE),
    ("/front/depth/image/compressed", COMPRESSED_IMAGE),
    ("/front/depth/image/compressedDepth", COMPRESSED_IMAGE),
    ("/front/depth/camera_info", CAMERA_INFO),
    ("/front/rgb/camera_info", CAMERA_INFO),
    ("/rear/rgb/camera_info", CAMERA_INFO),
)


def test_topics_of_a_realsense_robot_are_found() -> None:
    chosen = choose_topics(Path("bag"), REALSENSE, BagTopics(), tf_frames=())
    assert chosen == BagTopics(
        color="/camera/color/image_raw",
        depth="/camera/aligned_depth_to_color/image_raw",
        camera_info="/camera/color/camera_info",
        odometry="/odometry/filtered",
        pose="/vicon/robot/odom",
    )


def test_compressed_topics_are_found_and_transforms_stand_in() -> None:
    chosen = choose_topics(Path("bag"), COMPRESSED, BagTopics(), tf_frames={"map", "base_link"})
    assert (chosen.color, chosen.depth) == ("/front/rgb/image/compressed", "/front/depth/image/compressedDepth")
    assert chosen.camera_info == "/front/rgb/camera_info"
    assert (chosen.odometry, chosen.pose) == ("none", "tf")


def test_given_names_win() -> None:
    wanted = BagTopics(depth="/camera/depth/image_rect_raw", odometry="none", pose="tf")
    chosen = choose_topics(Path("bag"), REALSENSE, wanted, tf_frames=())
    assert (chosen.depth, chosen.odometry, chosen.pose) == ("/camera/depth/image_rect_raw", "none", "tf")


@pytest.mark.parametrize(
    ("topics", "wanted", "text"),
    [
        (REALSENSE, BagTopics(color="/nope"), r"/nope given for colour is not there; the bag has /camera/color"),
        (REALSENSE, BagTopics(depth="/camera/color/camera_info"), "of type sensor_msgs/msg/CameraInfo, expected"),
        (REALSENSE[:3], BagTopics(), "looks like depth"),
        (REALSENSE[3:], BagTopics(color="/camera/infra1/image_rect_raw"), None),
        ([], BagTopics(), "no topics"),
        ([replace(REALSENSE[0], num_messages=0)], BagTopics(color=REALSENSE[0].name), "no messages"),
    ],
)
def test_topics_that_cannot_be_had(topics: list[TopicSummary], wanted: BagTopics, text: str | None) -> None:
    if text is None:
        assert choose_topics(Path("bag"), topics, wanted, tf_frames=()).color == wanted.color
        return
    with pytest.raises(DatasetError, match=text):
        choose_topics(Path("bag"), topics, wanted, tf_frames=())
