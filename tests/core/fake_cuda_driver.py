# SPDX-License-Identifier: Apache-2.0
"""A driver library of NVIDIA, as `ctypes` shows one, with the GPUs that a test wants."""

from __future__ import annotations

from xover_core.inference.cuda_devices import CudaDevice

RTX = CudaDevice(index=0, name="NVIDIA GeForce RTX 4090", compute_capability=(8, 9))
ORIN = CudaDevice(index=1, name="Orin", compute_capability=(8, 7))


class FakeCudaDriver:
    """Answers as `libcuda.so.1`: 0 for success, results through pointers."""

    def __init__(self, *devices: CudaDevice, init: int = 0) -> None:
        self.devices = devices
        self.init = init

    def load(self, name: str) -> FakeCudaDriver:
        """What `find_cuda_devices` takes."""
        assert name == "libcuda.so.1"
        return self

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        assert flags == 0
        return self.init

    def cuDeviceGetCount(self, count: object) -> int:  # noqa: N802
        count._obj.value = len(self.devices)
        return 0

    def cuDeviceGet(self, handle: object, index: int) -> int:  # noqa: N802
        handle._obj.value = index
        return 0

    def cuDeviceGetName(self, name: object, size: int, handle: object) -> int:  # noqa: N802
        name.value = self.devices[handle.value].name.encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, value: object, attribute: int, handle: object) -> int:  # noqa: N802
        value._obj.value = self.devices[handle.value].compute_capability[{75: 0, 76: 1}[attribute]]
        return 0
