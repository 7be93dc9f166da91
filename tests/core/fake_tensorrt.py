# SPDX-License-Identifier: Apache-2.0
"""What xover uses of TensorRT, made up: an engine is a text that says what it is, and computes the small network.

It is as strict as the real one: unknown attributes fail, engines of another version are not taken, shapes outside of a
profile are refused, and what was asked of the builder is remembered.
"""

from __future__ import annotations

import ctypes
import json
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import onnx
import torch
from session_cases import CHANNELS, DIM, reference

from xover_core.inference.cuda_devices import CudaDevice
from xover_core.inference.tensorrt_session import TensorRtBorder

RTX = CudaDevice(index=0, name="NVIDIA GeForce RTX 4090", compute_capability=(8, 9))


class FakeTensorRt:
    """The module `tensorrt` of a version."""

    def __init__(self, version: str = "11.4.0.106") -> None:
        self.__version__ = version
        self.num_built = 0
        self.fails = False
        self.refuses = ""
        self.timings: list[bytes] = []
        self.flags: list[int] = []
        self.cleared: list[str] = []
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.BuilderFlag = SimpleNamespace(TF32="TF32")
        self.Logger = _Logger

    def Builder(self, logger: _Logger) -> _Builder:  # noqa: N802 - the library's name
        return _Builder(self)

    def OnnxParser(self, network: _Network, logger: _Logger) -> _Parser:  # noqa: N802
        return _Parser(self, network)

    def Runtime(self, logger: _Logger) -> _Runtime:  # noqa: N802
        return _Runtime(self)


class _Logger:
    WARNING = 2

    def __init__(self, level: int) -> None:
        assert level == self.WARNING


class _Network:
    model: bytes = b""


class _Builder:
    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def create_network(self, flags: int) -> _Network:
        self.trt.flags.append(flags)
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config(self.trt)

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytearray | None:
        if self.trt.fails:
            return None
        self.trt.num_built += 1
        outputs = [value.name for value in onnx.load_from_string(network.model).graph.output]
        told = {"version": self.trt.__version__, "profile": config.profile.shapes, "outputs": outputs}
        return bytearray(json.dumps(told).encode())


class _Config:
    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def clear_flag(self, flag: str) -> None:
        self.trt.cleared.append(flag)

    def create_timing_cache(self, data: bytes) -> bytes:
        self.trt.timings.append(data)
        return data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: bytearray(b"timed " * (self.trt.num_built)))

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profile = profile
        return 0


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, name: str, least: tuple[int, ...], usual: tuple[int, ...], most: tuple[int, ...]) -> None:
        assert all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True))
        self.shapes[name] = [least, usual, most]


class _Parser:
    def __init__(self, trt: FakeTensorRt, network: _Network) -> None:
        self.trt, self.network = trt, network
        self.num_errors = 2

    def parse(self, model: bytes) -> bool:
        self.network.model = model
        return not self.trt.refuses

    def get_error(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(desc=lambda: f"{self.trt.refuses} {index}")


class _Runtime:
    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def deserialize_cuda_engine(self, engine: bytes) -> _Engine | None:
        told = json.loads(engine)
        return _Engine(told) if told["version"] == self.trt.__version__ else None


class _Engine:
    def __init__(self, told: dict) -> None:
        self.told = told

    def create_execution_context(self) -> _Context:
        return _Context(self.told)


class _Context:
    def __init__(self, told: dict) -> None:
        self.told, self.shapes, self.addresses = told, {}, {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.told["profile"][name]
        assert all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)), "outside of the profile"
        self.shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch, _, height, width = self.shapes["image"]
        return {"features": (batch, height // 2 * (width // 2), DIM), "mean": (batch, CHANNELS)}[name]

    def execute_async_v3(self, stream: int) -> bool:
        inputs = {name: self._memory(name, shape).copy() for name, shape in self.shapes.items()}
        for name in self.told["outputs"]:
            self._memory(name, self.get_tensor_shape(name))[...] = reference(inputs)[name]
        return stream == _Stream.cuda_stream

    def _memory(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        pointer = ctypes.cast(self.addresses[name], ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, shape)


class _Stream:
    cuda_stream = 7

    def wait_stream(self, other: _Stream) -> None:
        pass


def fake_border(version: str = "11.4.0.106", gpu: CudaDevice = RTX) -> TensorRtBorder:
    """A GPU that is the processor, with a TensorRT that is made up."""
    cuda = SimpleNamespace(
        Stream=lambda device: _Stream(), current_stream=lambda device: _Stream(), device=lambda device: nullcontext()
    )
    return TensorRtBorder(trt=FakeTensorRt(version), cuda=cuda, device=torch.device("cpu"), gpu=gpu)
