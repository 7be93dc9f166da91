# SPDX-License-Identifier: Apache-2.0
"""Frames of one size to a device, resized there: one copy for a frame, of the bytes that the camera gave."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.networks.image_preparation import DepthPreparation, ImagePreparation, Size
from xover_core.types import Float32Array

_FLOAT_BYTES, _CHANNELS, _CAMERA_NUMBERS = 4, 3, 4


class FrameUpload:
    """Memory for one frame on either side, and what resizes it on the device. Not thread-safe."""

    def __init__(self, full_size: Size, size: Size, device: str) -> None:
        """Take the memory; for a GPU such that it copies by itself while the processor works.

        Args:
            full_size: (height, width) of frames, px.
            size: (height, width) that the network expects, px.
            device: of torch.
        """
        is_gpu = torch.device(device).type == "cuda"
        num_pixels = full_size[0] * full_size[1]
        # one block, so that it is one copy; floats first, where they are aligned
        self._ends = np.cumsum([_FLOAT_BYTES * num_pixels, _FLOAT_BYTES * _CAMERA_NUMBERS, _CHANNELS * num_pixels])
        self._full_size = full_size
        self._staging = torch.empty(int(self._ends[2]), dtype=torch.uint8, pin_memory=is_gpu)
        self._uploaded = torch.empty_like(self._staging, device=device) if is_gpu else self._staging
        self._is_read = torch.cuda.Event() if is_gpu else None  # type: ignore[no-untyped-call]
        self._image = ImagePreparation(full_size, size).to(device)
        self._depth = DepthPreparation(full_size, size).to(device)

    def prepare_picture(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) bytes to (1, 3, h, w) in [0, 1] on the device."""
        self._wait()
        np.copyto(self._in_staging(2, np.uint8), rgb.ravel())
        with torch.inference_mode():
            self._copy(slice(int(self._ends[1]), int(self._ends[2])))
            return self._prepared_picture()

    def prepare_frame(
        self, rgb: NDArray[np.uint8], depth: Float32Array | None, camera: Float32Array
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A frame as a network expects it, on the device.

        Args:
            rgb: (H, W, 3).
            depth: (H, W) metres; what is no reading becomes 0; None without any.
            camera: (4,) fx, fy, cx, cy of the resized picture, px.

        Returns:
            (1, 3, h, w) in [0, 1], (1, h, w) metres, (1, 4) px.
        """
        self._wait()
        np.copyto(self._in_staging(0, np.float32), np.float32(0) if depth is None else depth.ravel())
        np.copyto(self._in_staging(1, np.float32), camera)
        np.copyto(self._in_staging(2, np.uint8), rgb.ravel())
        with torch.inference_mode():
            self._copy(slice(0, int(self._ends[2])))
            floats = self._uploaded[: int(self._ends[1])].view(torch.float32)
            resized = self._depth(floats[:-_CAMERA_NUMBERS].view(1, *self._full_size))
            return self._prepared_picture(), resized, floats[-_CAMERA_NUMBERS:].clone()[None]

    def _prepared_picture(self) -> Tensor:
        """The uploaded bytes as a picture."""
        prepared: Tensor = self._image(self._uploaded[int(self._ends[1]) :].view(1, *self._full_size, _CHANNELS))
        return prepared

    def _in_staging(self, part: int, dtype: type[np.generic]) -> NDArray[np.generic]:
        """Depth, camera or colours in the memory on this side."""
        start = 0 if part == 0 else int(self._ends[part - 1])
        return self._staging.numpy()[start : int(self._ends[part])].view(dtype)

    def _wait(self) -> None:
        """Wait until the frame before has left the memory on this side."""
        if self._is_read is not None:
            self._is_read.synchronize()

    def _copy(self, part: slice) -> None:
        """Start the copy."""
        if self._is_read is not None:
            self._uploaded[part].copy_(self._staging[part], non_blocking=True)
            self._is_read.record()
