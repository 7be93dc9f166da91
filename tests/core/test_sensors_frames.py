# SPDX-License-Identifier: Apache-2.0
"""Pairing by stamp and assembling of frames: known answers, late and missing data, time jumps, and bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pytest

from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.geometry.transforms import exp_se3, make_pose
from xover_core.sensors.assembly import AssemblerSettings, AssemblyStep, DropReason, StreamNames
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.sensors.frame_assembler import FrameAssembler
from xover_core.sensors.frame_synchronizer import FrameSynchronizer, MatchedMessages, Stream
from xover_core.sensors.messages import RawCameraInfo, RawImage

MS = 10**6
EXACT = 1e-12  # products of a few rotation matrices in double precision
WIDTH, HEIGHT = 4, 3


def image(stamp_ms: float, *, encoding: str = "rgb8", value: int = 100, width: int = WIDTH) -> RawImage:
    pixel_bytes = {"rgb8": 3, "16UC1": 2, "bayer_rggb8": 1, "32FC1": 4}[encoding]
    return RawImage(
        stamp_ns=round(stamp_ms * MS),
        frame_id="optical",
        encoding=encoding,
        height=HEIGHT,
        width=width,
        step=width * pixel_bytes,
        is_bigendian=False,
        data=bytes([value]) * (width * HEIGHT * pixel_bytes),
    )


def depth_image(stamp_ms: float, value: int = 4) -> RawImage:
    return image(stamp_ms, encoding="16UC1", value=value)


def info(stamp_ms: float, *, fx: float = 5.0, width: int = WIDTH) -> RawCameraInfo:
    return RawCameraInfo(
        stamp_ns=round(stamp_ms * MS),
        frame_id="optical",
        width=width,
        height=HEIGHT,
        K=(fx, 0.0, 1.5, 0.0, fx, 1.0, 0.0, 0.0, 1.0),
    )


def run_synchronizer(
    synchronizer: FrameSynchronizer, events: Iterable[tuple[str, float]]
) -> tuple[list[tuple[int, int]], list[MatchedMessages]]:
    """Feed ('c' | 'd' | 'i', milliseconds) events; return the pairs in milliseconds and the matches."""
    matches: list[MatchedMessages] = []
    for kind, stamp_ms in events:
        if kind == "c":
            step = synchronizer.add_color(image(stamp_ms))
        elif kind == "d":
            step = synchronizer.add_depth(depth_image(stamp_ms))
        else:
            step = synchronizer.add_camera_info(info(stamp_ms))
        matches += step.matches
    return [(m.color.stamp_ns // MS, m.depth.stamp_ns // MS) for m in matches], matches


def test_equal_stamps_pair_at_once_in_any_order_of_streams() -> None:
    events = [("i", 0), ("c", 0), ("d", 0), ("d", 33), ("c", 33), ("c", 66)]
    pairs, _ = run_synchronizer(FrameSynchronizer(max_difference_s=0.0), events)
    assert pairs == [(0, 0), (33, 33)]


def test_exact_mode_refuses_what_is_nearly_equal() -> None:
    synchronizer = FrameSynchronizer(max_difference_s=0.0)
    pairs, _ = run_synchronizer(synchronizer, [("i", 0), ("c", 0), ("d", 1), ("c", 33), ("d", 34), ("d", 66)])
    assert pairs == []
    assert synchronizer.num_missing[Stream.DEPTH] == 2


def test_nearest_depth_wins_although_another_is_within_the_limit() -> None:
    events = [("i", 0), ("c", 100), ("d", 85), ("d", 104), ("c", 133)]
    pairs, _ = run_synchronizer(FrameSynchronizer(max_difference_s=0.02), events)
    assert pairs == [(100, 104)]


def test_depth_is_left_to_the_color_that_is_nearer() -> None:
    synchronizer = FrameSynchronizer(max_difference_s=0.05)
    events = [("i", 0), ("c", 0), ("d", 30), ("c", 33), ("d", 63), ("c", 66), ("d", 96)]
    pairs, _ = run_synchronizer(synchronizer, events)
    assert pairs == [(33, 30), (66, 63)]
    assert synchronizer.num_missing[Stream.DEPTH] == 1


def test_pairing_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(3)
    color_ms = np.sort(rng.choice(3000, 60, replace=False))
    depth_ms = np.sort(rng.choice(3000, 60, replace=False))
    events = sorted([("c", ms) for ms in color_ms] + [("d", ms) for ms in depth_ms], key=lambda event: event[1])
    synchronizer = FrameSynchronizer(max_difference_s=0.02, queue_size=50)
    pairs, _ = run_synchronizer(synchronizer, [("i", 0), *events])
    pairs += [(m.color.stamp_ns // MS, m.depth.stamp_ns // MS) for m in synchronizer.flush().matches]
    expected, mutual, last_depth = [], [], -1
    for color in color_ms:
        free = [ms for ms in depth_ms if ms > last_depth]
        depth = min(free, key=lambda ms: (abs(ms - color), ms))
        if abs(depth - color) <= 20 and not any(abs(ms - depth) < abs(color - depth) for ms in color_ms if ms > color):
            expected.append((color, depth))
            last_depth = depth
        if depth == min(depth_ms, key=lambda ms: abs(ms - color)) and color == min(
            color_ms, key=lambda ms: (abs(ms - depth), ms)
        ):
            mutual.append((color, depth))
    assert pairs == expected
    assert len(mutual) > 20
    assert {pair for pair in mutual if abs(pair[0] - pair[1]) <= 20} <= set(pairs)


def test_flush_decides_what_waits() -> None:
    synchronizer = FrameSynchronizer()
    pairs, _ = run_synchronizer(synchronizer, [("i", 0), ("c", 0), ("d", 5)])
    assert pairs == []
    assert len(synchronizer.flush().matches) == 1


def test_pairs_wait_for_the_first_camera_info_and_take_the_nearest() -> None:
    synchronizer = FrameSynchronizer()
    assert run_synchronizer(synchronizer, [("c", 0), ("d", 0)])[0] == []
    _, matches = run_synchronizer(synchronizer, [("i", 0), ("i", 33), ("c", 31), ("d", 31)])
    assert [match.camera_info.stamp_ns // MS for match in matches] == [0, 33]


@pytest.mark.parametrize(("kinds", "missing"), [("ci", Stream.DEPTH), ("di", Stream.COLOR), ("cd", Stream.CAMERA_INFO)])
def test_silent_stream_is_named_and_memory_is_bounded(kinds: str, missing: Stream) -> None:
    synchronizer = FrameSynchronizer(queue_size=5)
    events = [(kind, 33.0 * index) for index in range(200) for kind in kinds]
    pairs, _ = run_synchronizer(synchronizer, events)
    assert pairs == []
    assert set(synchronizer.num_missing) == {missing}
    assert synchronizer.num_missing[missing] >= 190
    held = sum(len(queue) for queue in synchronizer._queues.values()) + len(synchronizer._pairs)
    assert held <= 6


def test_depth_twice_as_fast_is_no_miss() -> None:
    synchronizer = FrameSynchronizer()
    events = sorted([("c", 66.0 * i) for i in range(50)] + [("d", 33.0 * i) for i in range(100)], key=lambda e: e[1])
    pairs, _ = run_synchronizer(synchronizer, [("i", 0), *events])
    assert len(pairs) == 50
    assert not synchronizer.num_missing


def test_time_jump_clears_and_goes_on() -> None:
    synchronizer = FrameSynchronizer()
    run_synchronizer(synchronizer, [("i", 9000), ("c", 9000), ("d", 9000), ("c", 9033)])
    step = synchronizer.add_color(image(1000))
    assert step.has_time_jumped
    pairs, _ = run_synchronizer(synchronizer, [("d", 1000), ("c", 1033), ("d", 1033)])
    assert pairs == [(1000, 1000), (1033, 1033)]


def test_disorder_and_duplicates_are_no_time_jump() -> None:
    synchronizer = FrameSynchronizer()
    pairs, _ = run_synchronizer(
        synchronizer, [("i", 0), ("c", 100), ("c", 100), ("c", 66), ("d", 66), ("d", 100), ("c", 66)]
    )
    assert pairs == [(66, 66), (100, 100)]
    assert synchronizer.num_out_of_order == 2


T_BASE_CAMERA = exp_se3(np.array([0.1, 0.0, 0.3, 0.2, -0.1, 0.4]))
NAMES = StreamNames(color="/rgb", depth="/depth", camera_info="/info")


class Robot:
    """An assembler with odometry from a topic and world poses from TF, for tests."""

    def __init__(self, **settings: object) -> None:
        self.transforms = TransformBuffer()
        self.transforms.set("base", "optical", 0, T_BASE_CAMERA, True)
        self.odometry = CameraPoseSource(self.transforms, name="/odom", fixed_frame="odom", pose_stream_body="base")
        world = CameraPoseSource(self.transforms, name="tf", fixed_frame="map", pose_stream_body=None)
        self.assembler = FrameAssembler(
            self.transforms,
            AssemblerSettings(**settings),  # type: ignore[arg-type]
            odometry=self.odometry,
            world=world,
            names=NAMES,
        )

    def see(self, stamp_ms: float, *, color: RawImage | None = None, depth: RawImage | None = None) -> AssemblyStep:
        self.assembler.add_camera_info(info(stamp_ms))
        self.assembler.add_color(color or image(stamp_ms))
        self.assembler.add_depth(depth or depth_image(stamp_ms))
        return self.assembler.poll()

    def move(self, stamp_ms: float, x: float) -> None:
        pose = make_pose(np.eye(3), (x, 0.0, 0.0))
        self.odometry.add(round(stamp_ms * MS), pose)
        self.transforms.set("map", "base", round(stamp_ms * MS), pose, False)


def test_frame_carries_interpolated_odometry_and_world_pose() -> None:
    robot = Robot()
    robot.move(0, 0.0)
    robot.move(100, 1.0)
    (assembled,) = robot.see(50).frames
    expected = make_pose(np.eye(3), (0.5, 0.0, 0.0)) @ T_BASE_CAMERA
    np.testing.assert_allclose(assembled.frame.T_odom_camera, expected, atol=EXACT)
    np.testing.assert_allclose(assembled.T_world_camera, expected, atol=EXACT)
    assert assembled.frame.stamp_ns == 50 * MS
    assert assembled.frame.camera_frame_id == "optical"
    np.testing.assert_allclose(assembled.frame.depth, (4 * 256 + 4) / 1000, rtol=1e-6)


def test_late_odometry_is_waited_for_and_order_is_kept() -> None:
    robot = Robot(max_pose_wait_s=0.5)
    robot.move(0, 0.0)
    assert robot.see(50).frames == ()
    assert robot.see(100).frames == ()
    robot.move(120, 1.0)
    assert [f.frame.stamp_ns // MS for f in robot.assembler.poll().frames] == [50, 100]


@pytest.mark.parametrize("is_required", [True, False])
def test_waiting_ends_at_the_limit(is_required: bool) -> None:
    robot = Robot(max_pose_wait_s=0.2, is_odometry_required=is_required)
    assert robot.see(0).frames == ()
    assert robot.assembler.poll(now_ns=199 * MS) == AssemblyStep()
    step = robot.assembler.poll(now_ns=201 * MS)
    if is_required:
        assert [drop.reason for drop in step.dropped] == [DropReason.NO_ODOMETRY]
        assert "/odom" in step.dropped[0].message
    else:
        assert step.frames[0].frame.T_odom_camera is None
        assert step.frames[0].T_world_camera is None


def test_frame_before_all_odometry_is_not_waited_for() -> None:
    robot = Robot(is_odometry_required=True)
    robot.move(1000, 0.0)
    (drop,) = robot.see(900).dropped
    assert drop.reason is DropReason.NO_ODOMETRY


def test_waiting_frames_are_bounded() -> None:
    robot = Robot(max_pose_wait_s=1e6, queue_size=3)
    dropped = [drop for index in range(50) for drop in robot.see(33 * index).dropped]
    assert {drop.reason for drop in dropped} == {DropReason.QUEUE_FULL}
    assert len(dropped) == 47


def test_finish_hands_out_the_rest_without_pose() -> None:
    robot = Robot(max_pose_wait_s=1e6)
    robot.see(0)
    (assembled,) = robot.assembler.finish().frames
    assert assembled.frame.T_odom_camera is None


def test_without_sources_nothing_is_waited_for() -> None:
    assembler = FrameAssembler(TransformBuffer(), AssemblerSettings())
    assembler.add_camera_info(info(0))
    assembler.add_color(image(0))
    assembler.add_depth(depth_image(0))
    assert len(assembler.poll().frames) == 1


@pytest.mark.parametrize(
    ("color", "depth", "reason", "text"),
    [
        (image(50, encoding="bayer_rggb8"), None, DropReason.BAD_COLOR, "/rgb.*bayer_rggb8.*accepted"),
        (image(50, width=8), None, DropReason.BAD_COLOR, "/rgb.*8x3.*4x3"),
        (None, image(50), DropReason.BAD_DEPTH, "/depth.*rgb8"),
        (None, image(50, encoding="16UC1", width=9), DropReason.BAD_DEPTH, "/depth.*9x3.*4x3"),
        (None, depth_image(50, value=0), DropReason.EMPTY_DEPTH, "/depth.*no pixel"),
        (None, image(50, encoding="32FC1", value=255), DropReason.EMPTY_DEPTH, "/depth.*no pixel"),
    ],
)
def test_bad_images_drop_the_frame_with_a_sentence_and_the_next_goes_through(
    color: RawImage | None, depth: RawImage | None, reason: DropReason, text: str
) -> None:
    robot = Robot()
    robot.move(0, 0.0)
    robot.move(200, 1.0)
    step = robot.see(50, color=color, depth=depth)
    assert step.frames == ()
    (drop,) = step.dropped
    assert drop.reason is reason
    assert drop.stamp_ns == 50 * MS
    assert re.search(text, drop.message)
    assert robot.assembler.num_dropped == {reason: 1}
    assert len(robot.see(100).frames) == 1


def test_uncalibrated_camera_and_missing_streams_are_named() -> None:
    assembler = FrameAssembler(TransformBuffer(), AssemblerSettings(queue_size=2), names=NAMES)
    for index in range(4):
        assembler.add_color(image(33 * index))
    first = assembler.poll()
    assert first.dropped[0].reason is DropReason.NO_DEPTH
    assert "/depth" in first.dropped[0].message
    assembler.add_depth(depth_image(99))
    assembler.add_camera_info(info(99, fx=0.0))
    last = assembler.poll().dropped[-1]
    assert last.reason is DropReason.BAD_CAMERA_INFO
    assert last.message.startswith("/info")


def test_time_jump_is_reported_once_and_clears_odometry() -> None:
    robot = Robot(max_pose_wait_s=0.3)
    robot.move(9000, 5.0)
    robot.move(9100, 6.0)
    assert len(robot.see(9050).frames) == 1
    assert robot.see(1000).has_time_jumped
    robot.move(990, 0.0)
    robot.move(1100, 1.1)
    step = robot.see(1050)
    assert not step.has_time_jumped
    assert [f.frame.stamp_ns // MS for f in step.frames] == [1000, 1050]
    assert step.frames[0].frame.T_odom_camera is not None
    assert robot.assembler.num_time_jumps == 1


def test_calibration_change_takes_effect() -> None:
    assembler = FrameAssembler(TransformBuffer(), AssemblerSettings())
    focal_lengths = []
    for index, fx in enumerate((5.0, 6.0)):
        assembler.add_camera_info(info(33 * index, fx=fx))
        assembler.add_color(image(33 * index))
        assembler.add_depth(depth_image(33 * index))
        focal_lengths += [assembled.frame.intrinsics.fx for assembled in assembler.poll().frames]
    assert focal_lengths == [5.0, 6.0]
