# SPDX-License-Identifier: Apache-2.0
"""Frames through a network on its device: uploaded as they are, resized there, and what comes out stays there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xover_core.inference.device_session import DeviceSession
from xover_core.inference.first_that_works import FirstThatWorks
from xover_core.inference.recent_items import RecentItems
from xover_core.inference.session import Session
from xover_core.types import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

    from xover_core.inference.frame_upload import FrameUpload

Size = tuple[int, int]
# Sizes of frames for which memory is kept on the device; a camera has one.
_MAX_SIZES = 4


class DeviceFrames:
    """Runs a session where it keeps tensors on its device. Not thread-safe."""

    def __init__(self, session: Session) -> None:
        """Take a session whose outputs are (batch, N, D)."""
        self._session = session
        self._uploads: RecentItems[tuple[Size, Size, str], FrameUpload] = RecentItems(_make_upload, _MAX_SIZES)

    def find(self) -> DeviceSession | None:
        """The session as one that keeps tensors on its device; None if it does not, or if it has not run yet."""
        working = self._session.working if isinstance(self._session, FirstThatWorks) else self._session
        return working if isinstance(working, DeviceSession) else None

    def run_picture(self, session: DeviceSession, rgb: NDArray[np.uint8], size: Size) -> Sequence[Float32Array]:
        """Describe (H, W, 3) bytes by a network of pictures in [0, 1].

        Args:
            session: that `find` gave.
            rgb: of any size.
            size: (height, width) that the network expects, px.

        Returns:
            For each output (N, D), copied when somebody asks for it.
        """
        return _run(session, (self._upload(session, rgb, size).prepare_picture(rgb),))

    def run_frame(
        self,
        session: DeviceSession,
        rgb: NDArray[np.uint8],
        depth: Float32Array | None,
        camera: Float32Array,
        size: Size,
    ) -> Sequence[Float32Array]:
        """Describe a frame by a network of pictures in [0, 1], depth in metres and cameras.

        Args:
            session: that `find` gave.
            rgb: (H, W, 3) of any size.
            depth: (H, W) metres; None without any.
            camera: (4,) fx, fy, cx, cy at the size that the network expects, px.
            size: (height, width) that the network expects, px.

        Returns:
            As `run_picture`.
        """
        return _run(session, self._upload(session, rgb, size).prepare_frame(rgb, depth, camera))

    def _upload(self, session: DeviceSession, rgb: NDArray[np.uint8], size: Size) -> FrameUpload:
        """What frames of this size need."""
        return self._uploads.get(((rgb.shape[0], rgb.shape[1]), size, session.info.device))


def _run(session: DeviceSession, inputs: tuple[Tensor, ...]) -> Sequence[Float32Array]:
    """Of each output that for the one frame."""
    from xover_core.inference.device_descriptors import DeviceDescriptors

    return DeviceDescriptors([output[0] for output in session.run_tensors(inputs)])


def _make_upload(sizes: tuple[Size, Size, str]) -> FrameUpload:
    from xover_core.inference.frame_upload import FrameUpload

    return FrameUpload(*sizes)
