# SPDX-License-Identifier: Apache-2.0
"""How long an exported file takes beside torch, both on this machine's CPU and in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_parity import Run
from xover_core.inference.session import Arrays

if TYPE_CHECKING:
    from torch import nn

_MAX_RUNS, _MAX_SECONDS = 20, 5.0


def time_against_torch(graph: ModelGraph, run: Run, module: nn.Module) -> float:
    """Median time of one call of `run` over that of the network in torch, eager and in float32.

    Both have the threads that their library takes. The inputs are the graph's example with the least numbers: a single
    frame, where there is one.

    Args:
        graph: of both.
        run: runs an exported file.
        module: what `graph.module` makes.
    """
    import torch

    inputs = min(graph.examples(), key=_num_numbers)
    tensors = [torch.from_numpy(inputs[spec.name]) for spec in graph.inputs]

    def run_torch() -> None:
        with torch.inference_mode():
            module(*tensors)

    def run_exported() -> None:
        run(inputs)

    return _ratio(run_exported, run_torch)


def _ratio(call: Callable[[], None], other: Callable[[], None]) -> float:
    """Median time of a call over that of another; the first of each only warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + _MAX_SECONDS
    for turn in range(_MAX_RUNS + 1):
        for one, seconds in zip((call, other), times, strict=True):
            start = time.perf_counter()
            one()
            if turn:
                seconds.append(time.perf_counter() - start)
        if turn and time.perf_counter() > end:
            break
    return median(times[0]) / median(times[1])


def _num_numbers(inputs: Arrays) -> int:
    return sum(array.size for array in inputs.values())
