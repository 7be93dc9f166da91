# SPDX-License-Identifier: Apache-2.0
"""Arrays kept on a device between frames, up to a limit; those that were not used for longest go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.inference.device_descriptors import shared_tensor

BYTES_PER_MB = 1_000_000


class ResidentArrays:
    """Copies each array to the device once, as long as it is not crowded out. Not thread-safe."""

    def __init__(self, device: str, max_mb: float) -> None:
        """Begin with nothing.

        Args:
            device: of torch. On a GPU arrays are kept as float16, elsewhere as float32.
            max_mb: that all arrays take together.
        """
        self._device = torch.device(device)
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        self._max_bytes = max_mb * BYTES_PER_MB
        self._tensors: OrderedDict[int, Tensor] = OrderedDict()
        self._num_bytes = 0

    @property
    def num_bytes(self) -> int:
        """Memory that the arrays take."""
        return self._num_bytes

    def __len__(self) -> int:
        return len(self._tensors)

    def take(self, key: int, load: Callable[[], NDArray[np.floating]]) -> Tensor:
        """An array on the device, copied there if it is not there yet.

        Args:
            key: what the array is called; the same key is the same array for good.
            load: gives it on the processor.

        Returns:
            The array, which is the caller's to read even when it is crowded out.
        """
        if key not in self._tensors:
            tensor = shared_tensor(load()).to(self._dtype).to(self._device)
            self._tensors[key] = tensor
            self._num_bytes += tensor.nbytes
        self._tensors.move_to_end(key)
        taken = self._tensors[key]
        self._drop_oldest()
        return taken

    def _drop_oldest(self) -> None:
        """Keep to the limit."""
        while self._num_bytes > self._max_bytes:
            _, tensor = self._tensors.popitem(last=False)
            self._num_bytes -= tensor.nbytes
