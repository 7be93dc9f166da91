# SPDX-License-Identifier: Apache-2.0
"""A network's work on the GPU, recorded once for each shape of its inputs and played again: one launch for hundreds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xover_core.inference.recent_items import RecentItems

MAX_RECORDINGS = 4
"""Each keeps the memory of a whole pass."""
# A network's first passes choose kernels and ask for memory, which cannot be recorded.
_WARM_UP_PASSES = 3

_Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recorded pass, and the tensors that it reads and writes each time."""

    graph: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class CudaGraphs:
    """Runs a network by recordings of its work. Not thread-safe."""

    def __init__(self, module: nn.Module, device: torch.device, cuda: Any) -> None:
        """Record nothing yet.

        Args:
            module: on the device, in evaluation mode; takes and gives tuples of tensors.
            device: a GPU.
            cuda: `torch.cuda`, or what stands for it.
        """
        self._module = module
        self._device = device
        self._cuda = cuda
        self._dtypes: tuple[torch.dtype, ...] = ()
        self._recordings: RecentItems[_Shapes, _Recording] = RecentItems(self._record, MAX_RECORDINGS)

    def run(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Compute the outputs; the caller's, for what was recorded is written to again."""
        self._dtypes = tuple(tensor.dtype for tensor in tensors)
        # what is recorded is recorded on the device that is the current one
        with self._cuda.device(self._device), torch.inference_mode():
            recording = self._recordings.get(tuple(tuple(tensor.shape) for tensor in tensors))
            for static, tensor in zip(recording.inputs, tensors, strict=True):
                static.copy_(tensor)
            recording.graph.replay()
            return tuple(output.clone() for output in recording.outputs)

    def _record(self, shapes: _Shapes) -> _Recording:
        """Record a pass for inputs of these shapes."""
        inputs = tuple(
            torch.ones(shape, dtype=dtype, device=self._device)
            for shape, dtype in zip(shapes, self._dtypes, strict=True)
        )
        side = self._cuda.Stream(self._device)
        side.wait_stream(self._cuda.current_stream(self._device))
        with self._cuda.stream(side):
            for _ in range(_WARM_UP_PASSES):
                self._module(*inputs)
        self._cuda.current_stream(self._device).wait_stream(side)
        graph = self._cuda.CUDAGraph()
        with self._cuda.graph(graph):
            outputs = self._module(*inputs)
        return _Recording(graph, inputs, outputs)
