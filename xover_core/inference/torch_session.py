# SPDX-License-Identifier: Apache-2.0
"""torch behind `Session`: eager, compiled, or recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import CPU
from xover_core.inference.graph_border import Lengths
from xover_core.inference.graph_session import GraphSession
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, SessionInfo
from xover_core.inference.torch_cuda_graphs import CudaGraphs
from xover_core.inference.torch_half import compute_in_half

EAGER, COMPILED, CUDA_GRAPHS = "torch", "torch-compiled", "torch-cuda-graphs"
_Forward = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]


class TorchSession(GraphSession):
    """Implements `Session` by torch."""

    def __init__(
        self,
        graph: ModelGraph,
        *,
        backend: str = EAGER,
        device: str = CPU,
        precision: str = "fp32",
        num_threads: int = 0,
        reason: str = "",
    ) -> None:
        """Make the network.

        Args:
            graph: whose network it is.
            backend: torch, torch-compiled or torch-cuda-graphs.
            device: of torch.
            precision: fp32, or fp16: see `torch_half`.
            num_threads: on the CPU, of all networks in this process; 0 leaves them as they are.
            reason: why this backend.

        Raises:
            BackendUnavailableError: torch cannot compute so.
        """
        _require(backend, device, precision)
        if num_threads and device == CPU:
            torch.set_num_threads(num_threads)
        self._device = torch.device(device)
        module = graph.module().to(self._device)
        if precision == "fp16":
            compute_in_half(module, graph.reducible, self._device)
        self._forward = self._make_forward(module, backend)
        super().__init__(
            graph,
            SessionInfo(
                graph=graph.name,
                backend=backend,
                precision=precision,
                device=device,
                library=f"torch {torch.__version__}",
                reason=reason,
            ),
        )

    def run_tensors(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `DeviceSession.run_tensors`."""
        return self._forward(inputs)

    def _compute(self, inputs: Arrays, lengths: Lengths) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - as all sessions
        found = self._forward(tuple(tensor_of(inputs[spec.name]) for spec in self.inputs))
        return {
            spec.name: np.asarray(tensor.cpu().numpy(), spec.dtype)
            for spec, tensor in zip(self.outputs, found, strict=True)
        }

    def _make_forward(self, module: nn.Module, backend: str) -> _Forward:
        """What gives the outputs, on the device, for inputs on the CPU."""
        if backend == CUDA_GRAPHS:
            return CudaGraphs(module, self._device, torch.cuda).run
        runnable: Callable[..., tuple[Tensor, ...]] = torch.compile(module) if backend == COMPILED else module

        def forward(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                return runnable(*(tensor.to(self._device) for tensor in tensors))

        return forward


def tensor_of(array: NDArray[Any]) -> Tensor:
    """The array as a tensor, without a copy where that can be."""
    # torch warns of arrays that it may not write to
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _require(backend: str, device: str, precision: str) -> None:
    """Raise BackendUnavailableError for what torch cannot do."""
    if precision == "int8":
        raise BackendUnavailableError(
            f"{backend} runs no int8 networks; set inference.backend to onnxruntime, or inference.precision to fp32."
        )
    if device == CPU and backend == CUDA_GRAPHS:
        raise BackendUnavailableError(f"{backend} needs a GPU; set inference.backend to torch.")
    if device != CPU and not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"torch {torch.__version__} cannot use {device}; install a build of torch for the CUDA version that"
            " nvidia-smi shows, or set inference.device to cpu."
        )
