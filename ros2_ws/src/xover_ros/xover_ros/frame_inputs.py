# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of images, camera info, poses and TF, put together by the core's `FrameAssembler`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.sensors.assembly import AssembledFrame, AssemblerSettings, StreamNames
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.sensors.frame_assembler import FrameAssembler
from xover_core.sensors.messages import ImageMessage
from xover_ros.exotic_encodings import convert_exotic
from xover_ros.node_settings import InputSettings
from xover_ros.problem_log import ProblemLog
from xover_ros.qos import sensor_input
from xover_ros.sensor_conversions import raw_camera_info, raw_compressed_image, raw_image
from xover_ros.stream_monitor import StreamMonitor
from xover_ros.transform_listener import TransformListener

_POLL_PERIOD_S = 0.05  # how late a frame whose transforms do not come may be given up
_MAX_DISORDER_NS = 1_000_000_000  # images that are older than that belong to another time
_RECTIFIED_TOPIC = "image_rect"  # so image_proc calls what it has rectified; the messages themselves do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSources:
    """Where the camera's poses come from; a frame must have those for which there is a source.

    Attributes:
        odometry: of T_odom_camera.
        world: of T_map_camera.
        skip: (parent, child) of a transform that is left out of the tree: what the node publishes itself.
    """

    odometry: CameraPoseSource | None = None
    world: CameraPoseSource | None = None
    skip: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputHandlers:
    """Who is told what; all are called by the executor's thread.

    Attributes:
        on_frame: a complete frame.
        on_dropped: the stamp of an image that will not become a frame; the reason has been reported.
        on_time_jump: stamps went back; the buffers here are clear already.
    """

    on_frame: Callable[[AssembledFrame], None]
    on_dropped: Callable[[int], None]
    on_time_jump: Callable[[], None]


@dataclass(slots=True)
class _Streams:
    """The monitors of the streams that make a frame."""

    color: StreamMonitor
    depth: StreamMonitor
    camera_info: StreamMonitor
    others: list[StreamMonitor] = field(default_factory=list)


class FrameInputs:
    """Everything that a node hears to make frames, between activation and deactivation."""

    def __init__(
        self,
        node: Node,
        settings: InputSettings,
        problems: ProblemLog,
        handlers: InputHandlers,
        *,
        transforms: TransformBuffer,
        sources: PoseSources,
    ) -> None:
        """Subscribe.

        Args:
            node: that spins.
            settings: topics, queues, tolerances.
            problems: where dropped input is reported.
            handlers: who gets the frames.
            transforms: the TF tree, filled from /tf and /tf_static.
            sources: where poses come from.
        """
        self._node = node
        self._settings = settings
        self._problems = problems
        self._handlers = handlers
        self.transforms = transforms
        self._newest: tuple[int, float] | None = None  # stamp of the newest image, and when it arrived
        color, depth, camera_info = (StreamMonitor(node.resolve_topic_name(topic)) for topic in _topics(settings))
        self._streams = _Streams(color=color, depth=depth, camera_info=camera_info)
        names = StreamNames(
            color=self._streams.color.topic,
            depth=self._streams.depth.topic,
            camera_info=self._streams.camera_info.topic,
        )
        self._assembler = FrameAssembler(
            transforms,
            _assembler_settings(settings, sources),
            odometry=sources.odometry,
            world=sources.world,
            names=names,
        )
        self._listener = TransformListener(node, transforms, problems, on_transforms=self.advance, skip=sources.skip)
        self._subscriptions = self._subscribe()
        self._timer = node.create_timer(_POLL_PERIOD_S, self.advance, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def monitors(self) -> list[StreamMonitor]:
        """One monitor for each stream that is needed for a frame."""
        return [self._streams.color, self._streams.depth, self._streams.camera_info, *self._streams.others]

    @property
    def tf_monitor(self) -> StreamMonitor:
        """The monitor of /tf, which a robot without moving transforms may leave silent."""
        return self._listener.monitor

    @property
    def num_frames(self) -> int:
        """How many frames were put together."""
        return self._assembler.num_assembled

    def add_monitor(self, monitor: StreamMonitor) -> None:
        """Count another stream among those that are needed."""
        self._streams.others.append(monitor)

    def clear(self) -> None:
        """Forget everything that depends on time."""
        self._assembler.clear()
        self._newest = None

    def advance(self) -> None:
        """Hand out the frames that are complete by now."""
        step = self._assembler.poll(self._sensor_time_ns())
        if step.has_time_jumped:
            self._handlers.on_time_jump()
        for dropped in step.dropped:
            self._problems.report(dropped.reason.value, f"frame dropped: {dropped.message}")
            self._handlers.on_dropped(dropped.stamp_ns)
        for frame in step.frames:
            self._handlers.on_frame(frame)

    def destroy(self) -> None:
        """Unsubscribe from everything."""
        self._node.destroy_timer(self._timer)
        self._listener.destroy()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self) -> list[Subscription]:
        node, settings = self._node, self._settings
        qos = sensor_input(settings.image_reliability, settings.sync_queue_size)
        color, depth, info = _topics(settings)
        is_color_raw, is_depth_raw = settings.rgb_transport == "raw", settings.depth_transport == "raw"
        return [
            node.create_subscription(Image if is_color_raw else CompressedImage, color, self._on_color, qos),
            node.create_subscription(Image if is_depth_raw else CompressedImage, depth, self._on_depth, qos),
            node.create_subscription(CameraInfo, info, self._on_camera_info, qos),
        ]

    def _on_color(self, message: Image | CompressedImage) -> None:
        self._streams.color.note()
        image = _image(message)
        self._note_time(image.stamp_ns)
        self._assembler.add_color(image)
        self.advance()

    def _on_depth(self, message: Image | CompressedImage) -> None:
        self._streams.depth.note()
        image = _image(message)
        self._note_time(image.stamp_ns)
        self._assembler.add_depth(image)
        self.advance()

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._streams.camera_info.note()
        is_rectified = _RECTIFIED_TOPIC in self._streams.color.topic
        self._assembler.add_camera_info(raw_camera_info(message, is_rectified=is_rectified))
        self.advance()

    def _note_time(self, stamp_ns: int) -> None:
        """Set the sensors' clock by the newest image, or by the first one after time has gone back."""
        newest_ns = self._newest[0] if self._newest is not None else stamp_ns
        if not newest_ns - _MAX_DISORDER_NS <= stamp_ns < newest_ns:
            self._newest = (stamp_ns, time.monotonic())

    def _sensor_time_ns(self) -> int | None:
        """The time of the sensors' clock: it runs on from the newest image, whatever clock stamped that.

        ROS time would not do: it stands still while a player waits for this very frame, and a camera's clock may be
        off from the computer's.
        """
        if self._newest is None:
            return None
        stamp_ns, arrived = self._newest
        return stamp_ns + int((time.monotonic() - arrived) * 1e9)


def _topics(settings: InputSettings) -> tuple[str, str, str]:
    """Colour, depth and camera info as image_transport names them."""
    color = "rgb/image" if settings.rgb_transport == "raw" else "rgb/image/compressed"
    depth = "depth/image" if settings.depth_transport == "raw" else "depth/image/compressedDepth"
    return color, depth, "rgb/camera_info"


def _image(message: Image | CompressedImage) -> ImageMessage:
    return raw_image(convert_exotic(message)) if isinstance(message, Image) else raw_compressed_image(message)


def _assembler_settings(settings: InputSettings, sources: PoseSources) -> AssemblerSettings:
    return AssemblerSettings(
        approx_sync_s=settings.approx_sync_s,
        max_pose_wait_s=settings.wait_for_transform,
        depth_scale=settings.depth_scale,
        is_odometry_required=sources.odometry is not None,
        is_world_pose_required=sources.world is not None,
        queue_size=settings.sync_queue_size,
    )
