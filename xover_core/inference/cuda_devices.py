# SPDX-License-Identifier: Apache-2.0
"""Which NVIDIA GPUs are here, asked of the driver itself: no library of NVIDIA may be loaded before one is found."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xover_core.errors import BackendUnavailableError

CPU, CUDA = "cpu", "cuda"
_DRIVER = "libcuda.so.1"
_SUCCESS = 0
# CUdevice_attribute
_MAJOR, _MINOR = 75, 76
_MAX_NAME = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """An NVIDIA GPU.

    Attributes:
        index: as in `cuda:0`.
        name: such as `NVIDIA GeForce RTX 4090`.
        compute_capability: (major, minor).
    """

    index: int
    name: str
    compute_capability: tuple[int, int]


def find_cuda_devices(load: Callable[[str], Any] = ctypes.CDLL) -> tuple[CudaDevice, ...]:
    """All GPUs that the driver shows; none where there is no driver, or none that works.

    Args:
        load: loads a shared library by its name.
    """
    try:
        driver = load(_DRIVER)
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) != _SUCCESS or driver.cuDeviceGetCount(ctypes.byref(count)) != _SUCCESS:
        return ()
    return tuple(_describe(driver, index) for index in range(count.value))


def pick_device(wanted: str, devices: tuple[CudaDevice, ...]) -> str:
    """The device of a setting: `cpu`, or `cuda:0` and so on.

    Args:
        wanted: auto, cpu, cuda or cuda:N.
        devices: that there are.

    Raises:
        BackendUnavailableError: a GPU is asked for that is not there.
    """
    if wanted == "auto":
        return f"{CUDA}:0" if devices else CPU
    if wanted == CPU:
        return CPU
    index = cuda_index(wanted)
    if index >= len(devices):
        found = ", ".join(f"{CUDA}:{one.index} ({one.name})" for one in devices) or "none"
        raise BackendUnavailableError(
            f"device {wanted!r}: the driver shows no such GPU, it shows {found}; set inference.device to auto or"
            " cpu, or see what nvidia-smi says."
        )
    return f"{CUDA}:{index}"


def cuda_index(device: str) -> int:
    """Number of a device such as `cuda:1`; 0 for `cuda`."""
    found = re.search(r"\d+$", device)
    return int(found.group()) if found else 0


def _describe(driver: Any, index: int) -> CudaDevice:
    """Name and compute capability of a device."""
    handle, name = ctypes.c_int(), ctypes.create_string_buffer(_MAX_NAME)
    driver.cuDeviceGet(ctypes.byref(handle), index)
    driver.cuDeviceGetName(name, _MAX_NAME, handle)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        capability.append(value.value)
    return CudaDevice(
        index=index, name=name.value.decode(errors="replace"), compute_capability=(capability[0], capability[1])
    )
