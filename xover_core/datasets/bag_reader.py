# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 as a recording: the same pairing, transforms and decoding as in the live node, without ROS."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xover_core.datasets.bag_access import BagMessage, read_messages, summarize_bag
from xover_core.datasets.bag_messages import camera_info_of, image_of, pose_of, transform_of
from xover_core.datasets.bag_topics import FROM_TF, NONE, TRANSFORMS, BagTopics, TopicSummary, choose_topics
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.errors import DatasetError, GeometryError
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.sensors.assembly import AssemblerSettings, AssemblyStep, DropReason, StreamNames
from xover_core.sensors.camera_info import is_rectified_topic
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.sensors.frame_assembler import FrameAssembler

_LOGGER = logging.getLogger(__name__)

# A bag may be read further ahead than a live node can wait.
_SETTINGS = AssemblerSettings(max_pose_wait_s=1.0, queue_size=60)
_NUM_TF_MESSAGES_TO_SCAN = 500


class BagSequence:
    """An `RgbdSequence` over a rosbag2, read one message at a time.

    Images that do not become frames (no partner, unknown encoding, ...) are counted in `num_dropped`, and the first of
    each kind is logged with its reason. A pose or odometry that cannot be had leaves the frame without it.
    """

    def __init__(self, path: Path, topics: BagTopics | None = None, settings: AssemblerSettings = _SETTINGS) -> None:
        """Open a bag and choose its topics.

        Args:
            path: folder or storage file.
            topics: topics by name; those not given are found.
            settings: how messages are paired and how long frames wait for poses.

        Raises:
            DatasetError: an unreadable bag, a topic that is not there, or none for colour, depth or camera info.
        """
        self._path = path
        self._settings = settings
        self._summary = summarize_bag(path)
        tf_frames = _scan_tf_frames(path, self._summary.topics)
        self.topics = choose_topics(path, self._summary.topics, topics or BagTopics(), tf_frames=tf_frames)
        self.num_dropped: Counter[DropReason] = Counter()
        self._reported: set[DropReason] = set()
        chosen = self.topics
        _LOGGER.info(
            "bag %s: colour %s, depth %s, camera info %s, odometry %s, pose %s",
            *(path, chosen.color, chosen.depth, chosen.camera_info, chosen.odometry, chosen.pose),
        )

    @property
    def name(self) -> str:
        """A short name for reports."""
        return "/".join(self._path.resolve().parts[-2:])

    def __len__(self) -> int:
        """Number of frames if every colour image finds its depth: the smaller of the two counts."""
        counts = {topic.name: topic.num_messages for topic in self._summary.topics}
        return min(counts[self.topics.color], counts[self.topics.depth])

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the frames in order of time.

        Raises:
            DatasetError: the bag is damaged, or not one frame could be made of it.
        """
        intake = _BagIntake(self._path, self.topics, self._settings)
        self.num_dropped = intake.assembler.num_dropped
        num_frames = 0
        for step in intake.run():
            self._report(step)
            for assembled in step.frames:
                yield SequenceItem(
                    frame=assembled.frame, T_world_camera=assembled.T_world_camera, name=f"{num_frames:06d}"
                )
                num_frames += 1
        if num_frames == 0:
            counts = ", ".join(f"{reason.value}: {num}" for reason, num in self.num_dropped.most_common())
            raise DatasetError(
                f"{self._path}: no frame could be made of {self.topics.color}, {self.topics.depth} and"
                f" {self.topics.camera_info} ({counts or 'are the stamps in the headers filled in?'})."
            )

    def _report(self, step: AssemblyStep) -> None:
        """Log the first drop of each kind, and time going back."""
        for drop in step.dropped:
            level = logging.DEBUG if drop.reason in self._reported else logging.WARNING
            self._reported.add(drop.reason)
            _LOGGER.log(level, "bag %s: a frame is dropped: %s", self._path, drop.message)
        if step.has_time_jumped:
            _LOGGER.warning("bag %s: the stamps of the images jump back in time", self._path)


class _BagIntake:
    """One pass over a bag: hands messages to an assembler by their role."""

    def __init__(self, path: Path, topics: BagTopics, settings: AssemblerSettings) -> None:
        self._path = path
        self._topics = topics
        self._transforms = TransformBuffer()
        self._is_rectified = is_rectified_topic(topics.color)
        self._odometry = _pose_source(self._transforms, topics.odometry, topics.odom_frame, topics.base_frame)
        self._world = _pose_source(self._transforms, topics.pose, topics.world_frame, topics.base_frame)
        self._has_warned = False
        self.assembler = FrameAssembler(
            self._transforms,
            settings,
            odometry=self._odometry,
            world=self._world,
            names=StreamNames(color=topics.color, depth=topics.depth, camera_info=topics.camera_info),
        )

    def run(self) -> Iterator[AssemblyStep]:
        """Read everything; static transforms first, because a recording may hold them late."""
        for message in read_messages(self._path, _is_static_tf):
            self._take_transforms(message.content.transforms, is_static=True)
        for message in read_messages(self._path, self._is_wanted):
            self._take(message)
            yield self.assembler.poll()
        yield self.assembler.finish()

    def _is_wanted(self, topic: TopicSummary) -> bool:
        """Whether a topic has a role."""
        topics = self._topics
        is_tf = topic.message_type == TRANSFORMS and not _is_static_tf(topic)
        return is_tf or topic.name in (topics.color, topics.depth, topics.camera_info, topics.odometry, topics.pose)

    def _take(self, message: BagMessage) -> None:
        """Hand one message on by the role of its topic; one topic may have two."""
        topics = self._topics
        if message.message_type == TRANSFORMS:
            self._take_transforms(message.content.transforms, is_static=False)
        elif message.topic == topics.color:
            self.assembler.add_color(image_of(message))
        elif message.topic == topics.depth:
            self.assembler.add_depth(image_of(message))
        elif message.topic == topics.camera_info:
            self.assembler.add_camera_info(camera_info_of(message, is_rectified=self._is_rectified))
        for topic, source in ((topics.odometry, self._odometry), (topics.pose, self._world)):
            if message.topic == topic and source is not None:
                self._take_pose(message, source)

    def _take_pose(self, message: BagMessage, source: CameraPoseSource) -> None:
        """Enter a pose; one that is no pose is left out with a warning."""
        try:
            stamped = pose_of(message)
            source.add(stamped.stamp_ns, stamped.pose, stamped.body_frame)
        except GeometryError as error:
            self._warn(message.topic, error)

    def _take_transforms(self, transforms: list[Any], *, is_static: bool) -> None:
        """Enter the transforms of a TF message; those that cannot be right are left out with a warning."""
        for transform in transforms:
            try:
                stamped = transform_of(transform)
                self._transforms.set(stamped.parent, stamped.child, stamped.stamp_ns, stamped.T_parent_child, is_static)
            except GeometryError as error:
                self._warn("tf", error)

    def _warn(self, topic: str, error: GeometryError) -> None:
        """Log the first bad pose as a warning and the others for debugging."""
        level = logging.DEBUG if self._has_warned else logging.WARNING
        self._has_warned = True
        _LOGGER.log(level, "bag %s: %s: %s", self._path, topic, error)


def _pose_source(transforms: TransformBuffer, topic: str, fixed_frame: str, base_frame: str) -> CameraPoseSource | None:
    """The source of camera poses for a topic, `tf` or `none`."""
    if topic == NONE:
        return None
    body = None if topic == FROM_TF else base_frame
    return CameraPoseSource(transforms, name=topic, fixed_frame=fixed_frame, pose_stream_body=body)


def _is_static_tf(topic: TopicSummary) -> bool:
    """Whether a topic holds static transforms."""
    return topic.message_type == TRANSFORMS and topic.name.endswith("tf_static")


def _scan_tf_frames(path: Path, topics: tuple[TopicSummary, ...]) -> set[str]:
    """The frames that the static and the first moving transforms of a bag speak of."""
    if not any(topic.message_type == TRANSFORMS for topic in topics):
        return set()
    frames: set[str] = set()
    messages = read_messages(
        path, lambda topic: topic.message_type == TRANSFORMS, max_messages=_NUM_TF_MESSAGES_TO_SCAN
    )
    for message in messages:
        for transform in message.content.transforms:
            frames.update((transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/")))
    return frames
