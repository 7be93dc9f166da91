# SPDX-License-Identifier: Apache-2.0
"""Descriptors that stay on the device which computed them; an array is made of one when somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.types import Float32Array


class DeviceDescriptors(Sequence[Float32Array]):
    """What `PatchFeatures.descriptors` can be: a sequence of (N, D) arrays, each copied at its first use and then kept.

    Who works on the device takes `tensor` instead, and nothing is copied.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """Take tensors that nobody writes to again.

        Args:
            tensors: for each scale (N, D), of any floating-point type, all on one device.
        """
        self._tensors = tuple(tensors)
        self._arrays: dict[int, Float32Array] = {}

    def tensor(self, index: int) -> Tensor:
        """(N, D) of one scale, where it lies."""
        return self._tensors[index]

    def __len__(self) -> int:
        return len(self._tensors)

    @overload
    def __getitem__(self, index: int) -> Float32Array: ...

    @overload
    def __getitem__(self, index: slice) -> DeviceDescriptors: ...

    def __getitem__(self, index: int | slice) -> Float32Array | DeviceDescriptors:
        if isinstance(index, slice):
            return DeviceDescriptors(self._tensors[index])
        return self._array(range(len(self))[index])

    def _array(self, index: int) -> Float32Array:
        """(N, D) float32 on the processor."""
        if index not in self._arrays:
            # widened after the copy, so that half precision is copied as such
            self._arrays[index] = np.asarray(self._tensors[index].detach().cpu().numpy(), np.float32)
        return self._arrays[index]


def finest_on(descriptors: Sequence[Float32Array], device: str) -> Tensor:
    """(N, D) descriptors of the smallest radius on a device; copied there only if they are not there yet."""
    if isinstance(descriptors, DeviceDescriptors):
        return descriptors.tensor(0).to(device)
    return shared_tensor(descriptors[0]).to(device)


def shared_tensor(array: NDArray[np.floating]) -> Tensor:
    """A tensor in the array's own memory; in a copy where that cannot be written to, which torch wants."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))
