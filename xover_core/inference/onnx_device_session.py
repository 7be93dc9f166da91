# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on a GPU with torch's tensors in and out, bound by their addresses: nothing passes the processor.

Never run on real hardware so far; tests bind tensors of the processor, and put a made-up ONNX Runtime in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xover_core.inference.available import require_cuda_torch
from xover_core.inference.cuda_devices import find_cuda_devices
from xover_core.inference.graph_border import lengths_of, shapes_for
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_session import CPU_PROVIDER, OnnxSession, Provider
from xover_core.inference.session import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaBorder:
    """All of a GPU that a session touches by itself; tests put something else in its place.

    Attributes:
        cuda: the module torch.cuda.
        device: where torch keeps tensors.
    """

    cuda: Any
    device: torch.device


def open_cuda(device: str) -> CudaBorder:
    """What keeps tensors on a GPU.

    Args:
        device: such as `cuda:0`.

    Raises:
        BackendUnavailableError: there is no GPU, or no torch that can use it.
    """
    require_cuda_torch(find_cuda_devices())
    return CudaBorder(cuda=torch.cuda, device=torch.device(device))


class OnnxDeviceSession(OnnxSession):
    """Implements `DeviceSession` too."""

    def __init__(
        self,
        graph: ModelGraph,
        model: bytes,
        *,
        border: CudaBorder,
        providers: Sequence[Provider],
        num_threads: int = 0,
        precision: str = "fp32",
        reason: str = "",
    ) -> None:
        """Load an exported file; arguments and errors as for `OnnxSession`.

        Args:
            graph: that it was exported of.
            model: contents of the file.
            border: the GPU of the providers.
            providers: with that GPU first.
            num_threads: on the CPU.
            precision: of the file.
            reason: why this backend.
        """
        self._border = border
        # torch's own stream cannot be named to ONNX Runtime: its number 0 stands for none there
        self._stream = border.cuda.Stream(border.device)
        super().__init__(
            graph,
            model,
            providers=_on_stream(providers, str(self._stream.cuda_stream)),
            num_threads=num_threads,
            precision=precision,
            reason=reason,
        )

    def run_tensors(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `DeviceSession.run_tensors`."""
        with torch.inference_mode():
            placed = [tensor.to(self._border.device).contiguous() for tensor in inputs]
            outputs = self._make_outputs(placed)
        binding = self._session.io_binding()
        for spec, tensor in zip(self.inputs, placed, strict=True):
            binding.bind_input(*self._place(spec, tensor))
        for spec, tensor in zip(self.outputs, outputs, strict=True):
            binding.bind_output(*self._place(spec, tensor))
        # ONNX Runtime waits for nobody: it would read inputs that torch still writes
        torch_stream = self._border.cuda.current_stream(self._border.device)
        self._stream.wait_stream(torch_stream)
        self._session.run_with_iobinding(binding)
        # torch's waits too, and so memory is not taken too early
        torch_stream.wait_stream(self._stream)
        return outputs

    def _make_outputs(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Room for the outputs, whose shapes follow from those of the inputs."""
        found = {spec.name: tuple(tensor.shape) for spec, tensor in zip(self.inputs, inputs, strict=True)}
        shapes = shapes_for(self.outputs, lengths_of(self._graph, found))
        return tuple(
            torch.empty(shapes[spec.name], dtype=getattr(torch, spec.dtype), device=self._border.device)
            for spec in self.outputs
        )

    def _place(self, spec: TensorSpec, tensor: Tensor) -> tuple[Any, ...]:
        """Where a tensor lies, in the order of `bind_input` and `bind_output`."""
        device = self._border.device
        return spec.name, device.type, device.index or 0, np.dtype(spec.dtype), tuple(tensor.shape), tensor.data_ptr()


def _on_stream(providers: Sequence[Provider], stream: str) -> list[Provider]:
    """The same, computing on a stream of the GPU."""
    return [
        (name, options if name == CPU_PROVIDER else {**options, "user_compute_stream": stream})
        for name, options in providers
    ]
