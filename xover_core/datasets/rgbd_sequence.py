# SPDX-License-Identifier: Apache-2.0
"""What every recording looks like to the rest of xover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from xover_core.types import Mat4, RgbdFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceItem:
    """A frame and, where the recording knows it, the true pose of its camera.

    Attributes:
        frame: colour, depth, intrinsics, odometry.
        T_world_camera: (4, 4) ground truth or mapping pose; None when unknown.
        name: how the recording calls this frame, for reports.
    """

    frame: RgbdFrame
    T_world_camera: Mat4 | None
    name: str


class RgbdSequence(Protocol):
    """A recording. Iteration reads one frame at a time, in order of time; nothing is held in memory."""

    @property
    def name(self) -> str:
        """A short name for reports."""
        ...

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the frames in order."""
        ...
