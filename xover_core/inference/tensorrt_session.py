# SPDX-License-Identifier: Apache-2.0
"""TensorRT behind `Session`: an engine for each profile, built here or loaded from this machine's cache.

torch keeps the arrays on the GPU. Never run on real hardware so far; tests put a made-up TensorRT in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.inference.available import require_tensorrt
from xover_core.inference.cuda_devices import CudaDevice, cuda_index, find_cuda_devices
from xover_core.inference.engine_axes import AxisRange, Profile, profile_for
from xover_core.inference.engine_cache import EngineCache, make_engine_key
from xover_core.inference.graph_border import Lengths, lengths_of
from xover_core.inference.graph_session import GraphSession
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_pruning import keep_outputs
from xover_core.inference.recent_items import RecentItems
from xover_core.inference.session import Arrays, SessionInfo, TensorSpec
from xover_core.inference.tensorrt_builder import build_engine, require_version
from xover_core.inference.torch_session import tensor_of

BACKEND = "tensorrt"
MAX_ENGINES = 4
"""Each holds the weights and its own working memory on the GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRtBorder:
    """All of NVIDIA's that a session touches; tests put something else in its place.

    Attributes:
        trt: the module tensorrt.
        cuda: the module torch.cuda.
        device: where torch keeps arrays.
        gpu: the same, as the driver calls it.
    """

    trt: Any
    cuda: Any
    device: torch.device
    gpu: CudaDevice


def open_tensorrt(device: str) -> TensorRtBorder:
    """Load TensorRT; only where there is a GPU, since without one it can end the process.

    Args:
        device: such as `cuda:0`.

    Raises:
        BackendUnavailableError: there is no such GPU, no torch that can use it, or no TensorRT that is new enough.
    """
    devices = find_cuda_devices()
    trt = require_tensorrt(devices)
    require_version(trt)
    return TensorRtBorder(trt=trt, cuda=torch.cuda, device=torch.device(device), gpu=devices[cuda_index(device)])


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An engine that is ready; what it came from must live as long."""

    runtime: Any
    engine: Any
    context: Any


class TensorRtSession(GraphSession):
    """Implements `Session` by TensorRT."""

    def __init__(
        self,
        graph: ModelGraph,
        model: bytes,
        *,
        border: TensorRtBorder,
        cache: EngineCache,
        ranges: dict[str, AxisRange],
        precision: str = "fp32",
        reason: str = "",
    ) -> None:
        """Build nothing yet: an engine is for the lengths of the inputs, which come later.

        Args:
            graph: that the file was exported of.
            model: contents of the file, in which stands what is computed in which precision.
            border: TensorRT and the GPU.
            cache: where engines are kept.
            ranges: lengths of axes to build engines for, by name.
            precision: of the file.
            reason: why this backend.

        Raises:
            ModelError: the file is damaged, or of another network.
        """
        self._border = border
        self._cache = cache
        self._ranges = ranges
        self._model = keep_outputs(model, [spec.name for spec in graph.outputs])
        self._stream = border.cuda.Stream(border.device)
        self._loaded: RecentItems[Profile, _Loaded] = RecentItems(self._open, MAX_ENGINES)
        super().__init__(
            graph,
            SessionInfo(
                graph=graph.name,
                backend=BACKEND,
                precision=precision,
                device=f"cuda:{border.gpu.index}",
                library=f"tensorrt {border.trt.__version__}",
                reason=reason,
            ),
        )

    def run_tensors(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `DeviceSession.run_tensors`."""
        # TensorRT builds, loads and runs on the device that is the current one
        with self._border.cuda.device(self._border.device), torch.inference_mode():
            return self._run_here(inputs)

    def _run_here(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """As `run_tensors`, where its device is the current one."""
        shapes = {spec.name: tuple(tensor.shape) for spec, tensor in zip(self.inputs, inputs, strict=True)}
        context = self._loaded.get(profile_for(lengths_of(self._graph, shapes), self._ranges)).context
        placed = [tensor.to(self._border.device).contiguous() for tensor in inputs]
        for spec, tensor in zip(self.inputs, placed, strict=True):
            context.set_input_shape(spec.name, tuple(tensor.shape))
            context.set_tensor_address(spec.name, tensor.data_ptr())
        outputs = tuple(self._make_output(context, spec) for spec in self.outputs)
        # TensorRT is slow on the default stream; torch's waits for it, and so memory is not taken too early
        torch_stream = self._border.cuda.current_stream(self._border.device)
        self._stream.wait_stream(torch_stream)
        if not context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("its engine did not run")
        torch_stream.wait_stream(self._stream)
        return outputs

    def _compute(self, inputs: Arrays, lengths: Lengths) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - as all sessions
        found = self.run_tensors(tuple(tensor_of(inputs[spec.name]) for spec in self.inputs))
        return {spec.name: tensor.cpu().numpy() for spec, tensor in zip(self.outputs, found, strict=True)}

    def _make_output(self, context: Any, spec: TensorSpec) -> Tensor:
        """Room for an output."""
        shape = tuple(context.get_tensor_shape(spec.name))
        output = torch.empty(shape, dtype=getattr(torch, spec.dtype), device=self._border.device)
        context.set_tensor_address(spec.name, output.data_ptr())
        return output

    def _open(self, profile: Profile) -> _Loaded:
        """What runs the engine of a profile: of the cache, or built now."""
        trt, gpu = self._border.trt, self._border.gpu
        key = make_engine_key(
            graph=self._graph.name,
            weights_sha256=self._graph.weights_sha256,
            model=self._model,
            precision=self._info.precision,
            profile=profile,
            gpu=gpu,
            tensorrt=str(trt.__version__),
        )
        kept = self._cache.load(key)
        loaded = None if kept is None else self._deserialize(kept)
        if loaded is not None:
            return loaded
        timings = self._cache.load_timings(gpu, key.tensorrt)
        built, timings = build_engine(
            trt, self._graph, self._model, profile, precision=self._info.precision, timings=timings
        )
        self._cache.store(key, built)
        self._cache.store_timings(gpu, key.tensorrt, timings)
        loaded = self._deserialize(built)
        if loaded is None:
            raise RuntimeError("it does not take the engine that it has just built")
        return loaded

    def _deserialize(self, engine: bytes) -> _Loaded | None:
        """What runs an engine; None where TensorRT does not take it, as after a change of the driver."""
        runtime = self._border.trt.Runtime(self._border.trt.Logger(self._border.trt.Logger.WARNING))
        loaded = runtime.deserialize_cuda_engine(engine)
        return None if loaded is None else _Loaded(runtime, loaded, loaded.create_execution_context())
