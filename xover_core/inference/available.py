# SPDX-License-Identifier: Apache-2.0
"""Which backends can run networks on this machine, and why the others cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import CudaDevice, find_cuda_devices
from xover_core.inference.libraries import load_library
from xover_core.inference.session import BACKENDS

Devices = tuple[CudaDevice, ...]
CUDA_PROVIDER, TENSORRT_PROVIDER = "CUDAExecutionProvider", "TensorrtExecutionProvider"
"""What ONNX Runtime calls its ways to use a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendStatus:
    """Whether a backend can be used here.

    Attributes:
        name: one of `BACKENDS`.
        available: it can.
        version: of its library; empty where it is not there.
        reason: what it runs on, or why it cannot run and what to do; one sentence.
    """

    name: str
    available: bool
    version: str
    reason: str


def available_backends() -> tuple[BackendStatus, ...]:
    """The status of each backend, in the order of `BACKENDS`; loads all libraries that are there."""
    devices = find_cuda_devices()
    return tuple(_status(name, devices) for name in BACKENDS)


def require_cuda_torch(devices: Devices) -> Any:
    """The module torch, which can use the GPU.

    Raises:
        BackendUnavailableError: there is no GPU, no torch, or one without CUDA.
    """
    if not devices:
        raise BackendUnavailableError("no NVIDIA GPU was found; set inference.device to cpu and another backend.")
    torch = load_library("torch")
    if not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"torch {torch.__version__} cannot use {devices[0].name}; install a build of torch for the CUDA version"
            " that nvidia-smi shows."
        )
    return torch


def require_tensorrt(devices: Devices) -> Any:
    """The module tensorrt; it is loaded only where there is a GPU, since without one it can end the process.

    Raises:
        BackendUnavailableError: there is no GPU, no torch with CUDA to keep arrays on it, or no TensorRT.
    """
    require_cuda_torch(devices)
    return load_library("tensorrt")


def _status(name: str, devices: Devices) -> BackendStatus:
    try:
        version, reason = _PROBES[name](devices)
    except BackendUnavailableError as error:
        return BackendStatus(name=name, available=False, version="", reason=str(error))
    return BackendStatus(name=name, available=True, version=version, reason=reason)


def _torch(devices: Devices) -> tuple[str, str]:
    torch = load_library("torch")
    return str(torch.__version__), f"runs on {_places(devices if torch.cuda.is_available() else ())}."


def _torch_compiled(devices: Devices) -> tuple[str, str]:
    version, reason = _torch(devices)
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise BackendUnavailableError(f"torch compiles by {compiler}, which was not found; apt install g++.")
    return version, reason


def _torch_cuda_graphs(devices: Devices) -> tuple[str, str]:
    return str(require_cuda_torch(devices).__version__), f"runs on {_places(devices, with_cpu=False)}."


def _onnxruntime(devices: Devices) -> tuple[str, str]:
    library = load_library("onnxruntime")
    has_cuda = CUDA_PROVIDER in library.get_available_providers()
    hint = " For the GPU, pip install onnxruntime-gpu instead." if devices and not has_cuda else ""
    return str(library.__version__), f"runs on {_places(devices if has_cuda else ())}.{hint}"


def _openvino(devices: Devices) -> tuple[str, str]:  # noqa: ARG001 - as all probes
    version = str(load_library("openvino").__version__)  # with the build behind it
    return version.split("-")[0], "runs on the CPU."


def _tensorrt(devices: Devices) -> tuple[str, str]:
    return str(require_tensorrt(devices).__version__), f"runs on {_places(devices, with_cpu=False)}."


def _places(devices: Devices, with_cpu: bool = True) -> str:
    """Devices in words."""
    return " and ".join([*(["the CPU"] if with_cpu else []), *(f"cuda:{one.index} ({one.name})" for one in devices)])


_PROBES: dict[str, Callable[[Devices], tuple[str, str]]] = {
    "torch": _torch,
    "torch-compiled": _torch_compiled,
    "torch-cuda-graphs": _torch_cuda_graphs,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
}
