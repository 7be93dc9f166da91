# SPDX-License-Identifier: Apache-2.0
"""Sensor messages in, `RgbdFrame`s out: the one path that the live node and the bag reader share."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass

from xover_core.errors import GeometryError
from xover_core.geometry.transform_buffer import TransformBuffer, TransformUnavailableError, UnavailableReason
from xover_core.sensors.assembly import (
    AssembledFrame,
    AssemblerSettings,
    AssemblyStep,
    DroppedFrame,
    DropReason,
    StreamNames,
)
from xover_core.sensors.camera_pose_source import CameraPoseSource
from xover_core.sensors.frame_decoder import FrameDecoder, FrameDropError
from xover_core.sensors.frame_synchronizer import FrameSynchronizer, MatchedMessages, MissedImage, Stream, SyncStep
from xover_core.sensors.messages import ImageMessage, RawCameraInfo
from xover_core.types import Mat4

_LOGGER = logging.getLogger(__name__)

MAX_DROPS_KEPT = 100  # between two polls; the counts go on


@dataclass(frozen=True, slots=True)
class _Poses:
    """Where the camera is; a part is None when it has no source, or could not be had and is not required."""

    T_odom_camera: Mat4 | None
    T_world_camera: Mat4 | None


class FrameAssembler:
    """Pairs messages by stamp, finds the camera's poses, decodes, undistorts and checks.

    Messages are given by the `add_*` methods in the order of their arrival; `poll` hands out what is ready. Nothing is
    decoded before its frame is complete. Bad input drops a frame with a sentence, and never raises.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        settings: AssemblerSettings,
        *,
        odometry: CameraPoseSource | None = None,
        world: CameraPoseSource | None = None,
        names: StreamNames | None = None,
    ) -> None:
        """Make an assembler.

        Args:
            transforms: the TF tree; the caller enters transforms into it.
            settings: see there.
            odometry: source of T_odom_camera; None to make frames without odometry.
            world: source of T_world_camera; None when there is none.
            names: of the topics, for messages.
        """
        self._transforms = transforms
        self._settings = settings
        self._odometry = odometry
        self._world = world
        self._names = names or StreamNames()
        self._synchronizer = FrameSynchronizer(max_difference_s=settings.approx_sync_s, queue_size=settings.queue_size)
        self._waiting: deque[MatchedMessages] = deque()
        self._dropped: deque[DroppedFrame] = deque(maxlen=MAX_DROPS_KEPT)
        self._has_time_jumped = False
        self._newest_ns: int | None = None
        self._decoder = FrameDecoder(depth_scale=settings.depth_scale, names=self._names)
        self.num_dropped: Counter[DropReason] = Counter()
        self.num_without_pose: Counter[DropReason] = Counter()
        self.num_assembled = 0
        self.num_time_jumps = 0

    @property
    def synchronizer(self) -> FrameSynchronizer:
        """The pairing of messages, for its counts."""
        return self._synchronizer

    def add_color(self, image: ImageMessage) -> None:
        """Take a colour image."""
        self._take(self._synchronizer.add_color(image), image.stamp_ns)

    def add_depth(self, image: ImageMessage) -> None:
        """Take a depth image."""
        self._take(self._synchronizer.add_depth(image), image.stamp_ns)

    def add_camera_info(self, info: RawCameraInfo) -> None:
        """Take the camera info of the colour image."""
        self._take(self._synchronizer.add_camera_info(info), info.stamp_ns)

    def poll(self, now_ns: int | None = None) -> AssemblyStep:
        """Hand out the frames that are ready.

        Args:
            now_ns: the time of the sensors' clock, by which waiting for poses ends; the newest image's when not given.
        """
        times = [time for time in (now_ns, self._newest_ns) if time is not None]
        return self._advance(max(times) if times else 0)

    def finish(self) -> AssemblyStep:
        """Hand out what can be had at the end of a recording, and give up the rest."""
        self._take(self._synchronizer.flush(), self._newest_ns or 0)
        return self._advance(None)

    def clear(self) -> None:
        """Forget everything that depends on time: queues, odometry, moving transforms."""
        self._synchronizer.clear()
        self._forget()

    def _take(self, step: SyncStep, stamp_ns: int) -> None:
        """Queue what one message completed."""
        if step.has_time_jumped:
            self._has_time_jumped = True
            self.num_time_jumps += 1
            self._forget()
        self._newest_ns = max(self._newest_ns or 0, stamp_ns)
        for missed in step.missed:
            self._drop(missed.stamp_ns, *self._describe_missed(missed))
        self._waiting.extend(step.matches)
        while len(self._waiting) > self._settings.queue_size:
            stamp = self._waiting.popleft().color.stamp_ns
            self._drop(stamp, DropReason.QUEUE_FULL, "more frames wait for odometry than the queue holds.")

    def _forget(self) -> None:
        """Clear what this object and its sources keep over time, besides the synchronizer."""
        self._waiting.clear()
        self._transforms.clear()
        for source in (self._odometry, self._world):
            if source is not None:
                source.clear()
        self._newest_ns = None

    def _advance(self, now_ns: int | None) -> AssemblyStep:
        """Make the frames at the head of the queue whose poses are there; None for `now_ns` ends all waiting."""
        frames: list[AssembledFrame] = []
        while self._waiting:
            messages = self._waiting[0]
            stamp_ns = messages.color.stamp_ns
            may_wait = now_ns is not None and now_ns - stamp_ns <= self._settings.max_pose_wait_s * 1e9
            try:
                poses = self._find_poses(messages, may_wait=may_wait)
                if poses is None:
                    break
                frames.append(self._decoder.make_frame(messages, poses.T_odom_camera, poses.T_world_camera))
                self.num_assembled += 1
            except FrameDropError as drop:
                self._drop(stamp_ns, drop.reason, str(drop))
            self._waiting.popleft()
        dropped = tuple(self._dropped)
        self._dropped.clear()
        has_jumped, self._has_time_jumped = self._has_time_jumped, False
        return AssemblyStep(frames=tuple(frames), dropped=dropped, has_time_jumped=has_jumped)

    def _find_poses(self, messages: MatchedMessages, *, may_wait: bool) -> _Poses | None:
        """Both poses of the camera; None to wait for more data; FrameDropError when a required one cannot be had."""
        camera_frame = messages.color.frame_id or messages.camera_info.frame_id
        found: list[Mat4 | None] = []
        for source, is_required, reason in (
            (self._odometry, self._settings.is_odometry_required, DropReason.NO_ODOMETRY),
            (self._world, self._settings.is_world_pose_required, DropReason.NO_WORLD_POSE),
        ):
            try:
                found.append(source.lookup(camera_frame, messages.color.stamp_ns) if source else None)
            except TransformUnavailableError as error:
                if may_wait and error.reason is not UnavailableReason.TOO_OLD:
                    return None
                self._check_not_required(reason, error, is_required=is_required)
                found.append(None)
            except GeometryError as error:
                self._check_not_required(reason, error, is_required=is_required)
                found.append(None)
        return _Poses(*found)

    def _check_not_required(self, reason: DropReason, error: GeometryError, *, is_required: bool) -> None:
        """Drop the frame when a pose that cannot be had is required; otherwise count it, and say so once."""
        if is_required:
            raise FrameDropError(reason, str(error)) from error
        self.num_without_pose[reason] += 1
        level = logging.WARNING if self.num_without_pose[reason] == 1 else logging.DEBUG
        _LOGGER.log(level, "a frame goes on with %s: %s", reason.value, error)

    def _describe_missed(self, missed: MissedImage) -> tuple[DropReason, str]:
        """Reason and sentence for an image whose partner did not come."""
        limit = f"within {self._settings.approx_sync_s * 1e3:.0f} ms"
        color, depth, info = self._names.color, self._names.depth, self._names.camera_info
        if missed.missing is Stream.DEPTH:
            received = self._synchronizer.num_received[Stream.DEPTH]
            return DropReason.NO_DEPTH, f"{color}: no depth on {depth} {limit} of it ({received} received so far)."
        if missed.missing is Stream.COLOR:
            received = self._synchronizer.num_received[Stream.COLOR]
            return DropReason.NO_COLOR, f"{depth}: no colour on {color} {limit} of it ({received} received so far)."
        return DropReason.NO_CAMERA_INFO, f"{color}: no camera info has arrived on {info}."

    def _drop(self, stamp_ns: int, reason: DropReason, message: str) -> None:
        """Count and remember a frame that is given up."""
        self.num_dropped[reason] += 1
        self._dropped.append(DroppedFrame(stamp_ns=stamp_ns, reason=reason, message=message))
