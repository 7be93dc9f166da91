# SPDX-License-Identifier: Apache-2.0
"""Any recording to a rosbag2 that `ros2 bag play` and xover's own player accept, without ROS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from xover_core.datasets.bag_frames import (
    CAMERA_INFO_TOPIC,
    COLOR_TOPIC,
    DEPTH_TOPIC,
    ODOMETRY_TOPIC,
    POSE_TOPIC,
    TF_STATIC_TOPIC,
    TF_TOPIC,
    BagFrames,
    optical_rotation,
)
from xover_core.datasets.bag_topics import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, ODOMETRY, POSE_STAMPED, TRANSFORMS
from xover_core.datasets.message_builder import MessageBuilder, depth_in_millimetres
from xover_core.datasets.rgbd_sequence import RgbdSequence, SequenceItem
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import invert

STORAGES = ("sqlite3", "mcap")
JPEG_QUALITY = 95
_BAG_VERSION: Final = 8  # Jazzy reads it as well as its own 9, whose QoS Humble cannot parse


def write_bag(
    path: Path,
    sequence: RgbdSequence,
    *,
    storage: str = "sqlite3",
    is_compressed: bool = False,
    frames: BagFrames | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a recording as a rosbag2, one frame at a time.

    The bag appears under its name only when it is complete. Odometry (topic and TF) is written for frames that have it,
    true poses for items that have them.

    Args:
        path: the folder to make; must not exist.
        sequence: the recording.
        storage: `sqlite3` or `mcap`.
        is_compressed: colour as JPEG and depth as compressedDepth (lossless) instead of raw images.
        frames: frame names and where the camera sits on the robot.
        progress: called with (frames done, frames in all).

    Returns:
        The number of frames written.

    Raises:
        DatasetError: the path exists, cannot be written, an unknown storage, or a recording without frames.
    """
    if storage not in STORAGES:
        raise DatasetError(f"bag {path}: unknown storage {storage!r}; use one of {', '.join(STORAGES)}.")
    if path.exists():
        raise DatasetError(f"bag {path}: exists already and is not overwritten; choose another name or remove it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name of the storage file comes from the folder's, so the bag is made under its final name elsewhere.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            num_frames = _write(unfinished, sequence, storage, is_compressed, frames or BagFrames(), progress)
            shutil.move(unfinished, path)
    except OSError as error:
        raise DatasetError(f"bag {path}: cannot be written ({error.strerror or error}); is the disk full?") from error
    return num_frames


def _write(
    path: Path,
    sequence: RgbdSequence,
    storage: str,
    is_compressed: bool,
    frames: BagFrames,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write all frames to `path` and return their number."""
    num_frames = 0
    with Writer(path, version=_BAG_VERSION, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        bag = _FrameWriter(writer, frames, is_compressed=is_compressed)
        for item in sequence:
            bag.write(item)
            num_frames += 1
            if progress is not None:
                progress(num_frames, len(sequence))
        if num_frames == 0:
            raise DatasetError(f"recording {sequence.name}: has no frames, so no bag is written.")
    return num_frames


class _FrameWriter:
    """Writes frames to an open bag."""

    def __init__(self, writer: Writer, frames: BagFrames, *, is_compressed: bool) -> None:
        self._writer = writer
        self._frames = frames
        self._is_compressed = is_compressed
        self._builder = MessageBuilder()
        self._connections: dict[str, Connection] = {}
        self._T_camera_base = invert(frames.T_base_camera)

    def write(self, item: SequenceItem) -> None:
        """Write one frame; transforms go before the images that need them."""
        frame, names, build = item.frame, self._frames, self._builder
        stamp_ns = frame.stamp_ns
        if not self._connections:
            self._write_static(stamp_ns)
        if frame.T_odom_camera is not None:
            T_odom_base = frame.T_odom_camera @ self._T_camera_base
            self._put(
                TF_TOPIC, TRANSFORMS, build.transforms([(names.odom, names.base, T_odom_base)], stamp_ns), stamp_ns
            )
            odometry = build.odometry(T_odom_base, stamp_ns, names.odom, names.base)
            self._put(ODOMETRY_TOPIC, ODOMETRY, odometry, stamp_ns)
        if item.T_world_camera is not None:
            T_world_base = item.T_world_camera @ self._T_camera_base
            self._put(POSE_TOPIC, POSE_STAMPED, build.pose_stamped(T_world_base, stamp_ns, names.world), stamp_ns)
        info = build.camera_info(frame.intrinsics, stamp_ns, names.optical)
        self._put(CAMERA_INFO_TOPIC, CAMERA_INFO, info, stamp_ns)
        self._write_color(frame.rgb, stamp_ns)
        if frame.depth is not None:
            self._write_depth(depth_in_millimetres(frame.depth), stamp_ns)

    def _write_color(self, rgb: NDArray[np.uint8], stamp_ns: int) -> None:
        optical = self._frames.optical
        if self._is_compressed:
            message = self._builder.compressed_color(rgb, stamp_ns, optical, quality=JPEG_QUALITY)
            self._put(f"{COLOR_TOPIC}/compressed", COMPRESSED_IMAGE, message, stamp_ns)
        else:
            self._put(COLOR_TOPIC, IMAGE, self._builder.color(rgb, stamp_ns, optical), stamp_ns)

    def _write_depth(self, depth_mm: NDArray[np.uint16], stamp_ns: int) -> None:
        optical = self._frames.optical
        if self._is_compressed:
            message = self._builder.compressed_depth(depth_mm, stamp_ns, optical)
            self._put(f"{DEPTH_TOPIC}/compressedDepth", COMPRESSED_IMAGE, message, stamp_ns)
        else:
            self._put(DEPTH_TOPIC, IMAGE, self._builder.depth(depth_mm, stamp_ns, optical), stamp_ns)

    def _write_static(self, stamp_ns: int) -> None:
        """The way from the base to the optical frame, over the body of the camera."""
        names = self._frames
        T_link_optical = optical_rotation()
        edges = [
            (names.base, names.camera_link, names.T_base_camera @ invert(T_link_optical)),
            (names.camera_link, names.optical, T_link_optical),
        ]
        self._put(TF_STATIC_TOPIC, TRANSFORMS, self._builder.transforms(edges, stamp_ns), stamp_ns)

    def _put(self, topic: str, message_type: str, message: Any, stamp_ns: int) -> None:
        """Write one message, recorded at its own stamp; the topic is made when it is first used."""
        connection = self._connections.get(topic)
        if connection is None:
            qos = _qos(is_latched=topic == TF_STATIC_TOPIC)
            connection = self._writer.add_connection(
                topic, message_type, typestore=self._builder.typestore, offered_qos_profiles=[qos]
            )
            self._connections[topic] = connection
        self._writer.write(connection, stamp_ns, self._builder.serialize(message, message_type))


def _qos(*, is_latched: bool) -> Qos:
    """Reliable; latched topics (`/tf_static`) are given to those who subscribe later as well."""
    forever = QosTime(2147483647, 4294967295)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if is_latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
