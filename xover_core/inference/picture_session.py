# SPDX-License-Identifier: Apache-2.0
"""A picture's bytes -> descriptors of its patches: on the device where they stay, or through the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.inference.device_session import DeviceSession
from xover_core.inference.first_that_works import FirstThatWorks
from xover_core.inference.recent_items import RecentItems
from xover_core.inference.session import Session
from xover_core.types import Float32Array

if TYPE_CHECKING:
    from xover_core.inference.picture_upload import PictureUpload

Size = tuple[int, int]
# Sizes of pictures for which memory on the device is kept; a camera has one.
_MAX_SIZES = 4
_WHITE = np.float32(255)


class PictureSession:
    """A network of pictures with what has to be done before it. Not thread-safe."""

    def __init__(self, session: Session, patch_size: int) -> None:
        """Take a network.

        Args:
            session: runs it; one input, (batch, 3, H, W) RGB in [0, 1], and outputs (batch, N, D).
            patch_size: side of a patch, px.
        """
        self._session = session
        self._patch_size = patch_size
        self._uploads: RecentItems[tuple[Size, Size, str], PictureUpload] = RecentItems(_make_upload, _MAX_SIZES)

    def run(self, rgb: NDArray[np.uint8], grid_shape: tuple[int, int]) -> Sequence[Float32Array]:
        """Describe a picture.

        Args:
            rgb: (H, W, 3) of any size.
            grid_shape: (rows, cols) of patches that the picture is cut into; it is resized for them.

        Returns:
            For each output (N, D), patches row by row; what lies on a GPU is copied when somebody asks for it.
        """
        size = grid_shape[0] * self._patch_size, grid_shape[1] * self._patch_size
        device = _on_device(self._session)
        if device is None:
            found = self._run_on_processor(rgb, size)
            # which backend it is may be sure only now; from then on all pictures go the same way
            device = _on_device(self._session)
            if device is None:
                return found
        upload = self._uploads.get(((rgb.shape[0], rgb.shape[1]), size, device.info.device))
        return upload.describe(rgb, device)

    def _run_on_processor(self, rgb: NDArray[np.uint8], size: Size) -> tuple[Float32Array, ...]:
        """Resized here, and the network's inputs and outputs are arrays."""
        outputs = self._session.run({self._session.inputs[0].name: prepare_picture(rgb, size)})
        return tuple(outputs[spec.name][0] for spec in self._session.outputs)


def prepare_picture(rgb: NDArray[np.uint8], size: Size) -> Float32Array:
    """(H, W, 3) bytes to (1, 3, height, width) in [0, 1], by area when shrinking."""
    if rgb.shape[:2] != size:
        method = cv2.INTER_AREA if size[0] < rgb.shape[0] else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(rgb, size[::-1], interpolation=method), np.uint8)
    return np.asarray(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]) / _WHITE, np.float32)


def _on_device(session: Session) -> DeviceSession | None:
    """The session as one that keeps tensors on its device; None if it does not, or if nobody knows yet."""
    working = session.working if isinstance(session, FirstThatWorks) else session
    return working if isinstance(working, DeviceSession) else None


def _make_upload(sizes: tuple[Size, Size, str]) -> PictureUpload:
    """What pictures of a size need on a device."""
    from xover_core.inference.picture_upload import PictureUpload

    return PictureUpload(*sizes)
