# SPDX-License-Identifier: Apache-2.0
"""A picture's bytes -> descriptors of its patches: on the device where they stay, or through the processor."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.inference.device_frames import DeviceFrames
from xover_core.inference.session import Session
from xover_core.types import Float32Array

Size = tuple[int, int]
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
        self._on_device = DeviceFrames(session)

    def run(self, rgb: NDArray[np.uint8], grid_shape: tuple[int, int]) -> Sequence[Float32Array]:
        """Describe a picture.

        Args:
            rgb: (H, W, 3) of any size.
            grid_shape: (rows, cols) of patches that the picture is cut into; it is resized for them.

        Returns:
            For each output (N, D), patches row by row; what lies on a GPU is copied when somebody asks for it.
        """
        size = grid_shape[0] * self._patch_size, grid_shape[1] * self._patch_size
        session = self._on_device.find()
        if session is None:
            outputs = self._session.run({self._session.inputs[0].name: prepare_picture(rgb, size)})
            # which backend it is may be sure only now, and from then on all pictures go the same way
            session = self._on_device.find()
            if session is None:
                return tuple(outputs[spec.name][0] for spec in self._session.outputs)
        return self._on_device.run_picture(session, rgb, size)


def prepare_picture(rgb: NDArray[np.uint8], size: Size) -> Float32Array:
    """(H, W, 3) bytes to (1, 3, height, width) in [0, 1], by area when shrinking."""
    if rgb.shape[:2] != size:
        method = cv2.INTER_AREA if size[0] < rgb.shape[0] else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(rgb, size[::-1], interpolation=method), np.uint8)
    return np.asarray(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]) / _WHITE, np.float32)
