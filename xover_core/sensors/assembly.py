# SPDX-License-Identifier: Apache-2.0
"""What a `FrameAssembler` is told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xover_core.errors import SensorDataError
from xover_core.types import Mat4, RgbdFrame


class DropReason(Enum):
    """Why an image did not become a frame."""

    NO_COLOR = "no colour image"
    NO_DEPTH = "no depth image"
    NO_CAMERA_INFO = "no camera info"
    BAD_COLOR = "unusable colour image"
    BAD_DEPTH = "unusable depth image"
    EMPTY_DEPTH = "empty depth image"
    BAD_CAMERA_INFO = "unusable camera info"
    NO_ODOMETRY = "no odometry"
    NO_WORLD_POSE = "no pose"
    QUEUE_FULL = "too many frames waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamNames:
    """Names of the topics, for messages."""

    color: str = "colour"
    depth: str = "depth"
    camera_info: str = "camera info"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblerSettings:
    """How a `FrameAssembler` works.

    Attributes:
        approx_sync_s: largest difference of stamps of colour and depth, seconds; 0 for equal stamps.
        max_pose_wait_s: how long a frame waits for odometry and pose, in seconds of the sensors' time.
        depth_scale: units per metre of 16-bit depth.
        is_odometry_required: drop frames without odometry instead of passing them on without.
        is_world_pose_required: the same for the pose in the world.
        queue_size: messages of each kind that may wait.
    """

    approx_sync_s: float = 0.02
    max_pose_wait_s: float = 0.5
    depth_scale: float = 1000.0
    is_odometry_required: bool = False
    is_world_pose_required: bool = False
    queue_size: int = 10

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.approx_sync_s, self.max_pose_wait_s) < 0 or not self.depth_scale > 0 or self.queue_size < 1:
            raise SensorDataError(
                f"frame assembler: expected times >= 0, a positive depth_scale and a queue_size >= 1, got {self}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledFrame:
    """A frame and the pose of its camera in the world, None where no source for it is configured or it is unknown."""

    frame: RgbdFrame
    T_world_camera: Mat4 | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedFrame:
    """An image that did not become a frame, with one sentence that names the topic."""

    stamp_ns: int
    reason: DropReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyStep:
    """What came out since the last time.

    Attributes:
        frames: in order of time.
        dropped: what was given up, each with its sentence.
        has_time_jumped: stamps went back; buffers were cleared, and the caller should clear what it keeps over time.
    """

    frames: tuple[AssembledFrame, ...] = ()
    dropped: tuple[DroppedFrame, ...] = ()
    has_time_jumped: bool = False
