# SPDX-License-Identifier: Apache-2.0
"""Pictures of one size to a device and through a network there: one upload of bytes, and nothing comes back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.inference.device_descriptors import DeviceDescriptors
from xover_core.inference.device_session import DeviceSession
from xover_core.networks.image_preparation import ImagePreparation, Size


class PictureUpload:
    """Memory for one picture on either side, and what resizes it on the device. Not thread-safe."""

    def __init__(self, full_size: Size, size: Size, device: str) -> None:
        """Take the memory; for a GPU such that it copies by itself while the processor works.

        Args:
            full_size: (height, width) of the pictures, px.
            size: (height, width) that the network expects, px.
            device: of torch.
        """
        is_gpu = torch.device(device).type == "cuda"
        shape = (1, *full_size, 3)
        self._staging = torch.empty(shape, dtype=torch.uint8, pin_memory=is_gpu)
        self._uploaded = torch.empty(shape, dtype=torch.uint8, device=device) if is_gpu else self._staging
        self._is_read = torch.cuda.Event() if is_gpu else None  # type: ignore[no-untyped-call]
        self._preparation = ImagePreparation(full_size, size).to(device)

    def describe(self, rgb: NDArray[np.uint8], session: DeviceSession) -> DeviceDescriptors:
        """Outputs of a network with one input for (H, W, 3) bytes; of each that for the one picture."""
        with torch.inference_mode():
            outputs = session.run_tensors((self.prepare(rgb),))
            return DeviceDescriptors([output[0] for output in outputs])

    def prepare(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) bytes to (1, 3, h, w) in [0, 1] on the device."""
        with torch.inference_mode():
            prepared: Tensor = self._preparation(self._put(rgb))
        return prepared

    def _put(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(1, H, W, 3) on the device, until the next picture takes its place."""
        if self._is_read is not None:
            self._is_read.synchronize()
        np.copyto(self._staging.numpy()[0], rgb)
        if self._is_read is not None:
            self._uploaded.copy_(self._staging, non_blocking=True)
            self._is_read.record()
        return self._uploaded
