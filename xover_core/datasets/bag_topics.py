# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag play which role: given by name, or found by type and likeness of names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xover_core.errors import DatasetError

FROM_TF = "tf"
NONE = "none"

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
ODOMETRY = "nav_msgs/msg/Odometry"
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
TRANSFORMS = "tf2_msgs/msg/TFMessage"

_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_POSE_TYPES = (POSE_STAMPED, ODOMETRY)
_NO_COLOR = re.compile(r"depth|disparity|infra|/ir(/|_|$)|mask|label|segment|confidence|theora|debug|thermal")
_TRUTH = re.compile(r"ground_?truth|(^|/|_)gt(/|_|$)|mocap|vicon|optitrack|true_?pose")
_NO_TRUTH = re.compile(r"goal|target|initial|command|cmd")


@dataclass(frozen=True, slots=True, kw_only=True)
class BagTopics:
    """The topics to read from a bag; an empty name means "find it by type and name".

    Attributes:
        color: sensor_msgs/Image or CompressedImage.
        depth: the same, registered to colour.
        camera_info: sensor_msgs/CameraInfo of the colour image.
        odometry: nav_msgs/Odometry, or `tf` for the chain `odom_frame` -> camera, or `none`.
        pose: geometry_msgs/PoseStamped or nav_msgs/Odometry of `base_frame` in the world, `tf`, or `none`.
        world_frame: fixed frame of the true poses, when they come from TF.
        odom_frame: fixed frame of the odometry, when it comes from TF.
        base_frame: the body whose pose PoseStamped messages give.
    """

    color: str = ""
    depth: str = ""
    camera_info: str = ""
    odometry: str = ""
    pose: str = ""
    world_frame: str = "map"
    odom_frame: str = "odom"
    base_frame: str = "base_link"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSummary:
    """A topic of a bag."""

    name: str
    message_type: str
    num_messages: int


def choose_topics(
    bag: Path, topics: Sequence[TopicSummary], wanted: BagTopics, *, tf_frames: Collection[str]
) -> BagTopics:
    """Fill in the roles that `wanted` leaves open and check those it names.

    Args:
        bag: for messages.
        topics: what is in the bag.
        wanted: topics by name; empty names are found.
        tf_frames: the frames that the bag's TF messages speak of.

    Raises:
        DatasetError: a named topic that is not there or has another type, or no topic for a role that every
            recording needs.
    """
    chooser = _Chooser(bag, topics)
    color = chooser.required("colour", wanted.color, _IMAGE_TYPES, _color_score)
    depth = chooser.required("depth", wanted.depth, _IMAGE_TYPES, _depth_score)
    info = chooser.required(
        "camera info", wanted.camera_info, (CAMERA_INFO,), lambda topic: _camera_info_score(topic, color)
    )
    has_odom_tf, has_world_tf = wanted.odom_frame in tf_frames, wanted.world_frame in tf_frames
    return replace(
        wanted,
        color=color,
        depth=depth,
        camera_info=info,
        odometry=chooser.optional("odometry", wanted.odometry, (ODOMETRY,), _odometry_score, has_tf=has_odom_tf),
        pose=chooser.optional("pose", wanted.pose, _POSE_TYPES, _truth_score, has_tf=has_world_tf),
    )


class _Chooser:
    """Chooses among the topics of one bag."""

    def __init__(self, bag: Path, topics: Sequence[TopicSummary]) -> None:
        self._bag = bag
        self._topics = topics

    def required(
        self, role: str, name: str, types: tuple[str, ...], score: Callable[[TopicSummary], int | None]
    ) -> str:
        """The topic for a role; DatasetError when there is none."""
        found = self._named(role, name, types) if name else self._best(types, score)
        if found is None:
            raise DatasetError(
                f"{self._bag}: no topic of type {' or '.join(types)} looks like {role}; name it (see `xover bag info`);"
                f" the bag has {self._list()}."
            )
        return found

    def optional(
        self, role: str, name: str, types: tuple[str, ...], score: Callable[[TopicSummary], int | None], *, has_tf: bool
    ) -> str:
        """The topic for a role, `tf` or `none`."""
        if name in (FROM_TF, NONE):
            return name
        found = self._named(role, name, types) if name else self._best(types, score)
        return found or (FROM_TF if has_tf else NONE)

    def _named(self, role: str, name: str, types: tuple[str, ...]) -> str:
        """Check a topic that was given by name."""
        topic = next((topic for topic in self._topics if topic.name == name), None)
        if topic is None:
            raise DatasetError(
                f"{self._bag}: the topic {name} given for {role} is not there; the bag has {self._list()}."
            )
        if topic.message_type not in types:
            raise DatasetError(
                f"{self._bag}: the topic {name} given for {role} is of type {topic.message_type}, expected"
                f" {' or '.join(types)}."
            )
        if topic.num_messages == 0:
            raise DatasetError(f"{self._bag}: the topic {name} given for {role} has no messages in this bag.")
        return name

    def _best(self, types: tuple[str, ...], score: Callable[[TopicSummary], int | None]) -> str | None:
        """The topic of highest score; of equals the one with most messages, then the shortest name."""
        ranked = []
        for topic in self._topics:
            value = score(topic) if topic.message_type in types and topic.num_messages else None
            if value is not None:
                ranked.append((value, topic.num_messages, -len(topic.name), topic.name))
        return max(ranked)[-1] if ranked else None

    def _list(self) -> str:
        """The topics for a message."""
        return ", ".join(f"{topic.name} ({topic.message_type})" for topic in self._topics[:20]) or "no topics"


def _color_score(topic: TopicSummary) -> int | None:
    """How much a topic looks like colour; None when it cannot be."""
    name = topic.name.lower()
    if _NO_COLOR.search(name):
        return None
    return 4 * bool(re.search(r"rgb|colou?r", name)) + 2 * ("image" in name) + (topic.message_type == IMAGE)


def _depth_score(topic: TopicSummary) -> int | None:
    """How much a topic looks like depth registered to colour; None when it cannot be."""
    name = topic.name.lower()
    if "depth" not in name or re.search(r"theora|confidence|debug", name):
        return None
    is_lossy = name.endswith("/compressed")
    return 4 * bool(re.search(r"align|regist|rgb|colou?r", name)) + (topic.message_type == IMAGE) - 8 * is_lossy


def _camera_info_score(topic: TopicSummary, color: str) -> int | None:
    """How many leading parts of its name a camera info shares with the colour topic."""
    info_parts, color_parts = topic.name.split("/"), color.split("/")
    num_equal = 0
    for info_part, color_part in zip(info_parts, color_parts, strict=False):
        if info_part != color_part:
            break
        num_equal += 1
    return 2 * num_equal - bool(_NO_COLOR.search(topic.name.lower()))


def _odometry_score(topic: TopicSummary) -> int | None:
    """How much a topic looks like odometry that drifts; None for one that claims to be the truth."""
    name = topic.name.lower()
    return None if _TRUTH.search(name) else int("odom" in name)


def _truth_score(topic: TopicSummary) -> int | None:
    """How much a topic looks like the true pose; None when nothing in its name says so."""
    name = topic.name.lower()
    if _NO_TRUTH.search(name):
        return None
    if _TRUTH.search(name):
        return 2
    return 1 if topic.message_type == POSE_STAMPED and name.rsplit("/", 1)[-1] == "pose" else None
