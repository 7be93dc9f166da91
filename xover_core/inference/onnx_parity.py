# SPDX-License-Identifier: Apache-2.0
"""How far the outputs of whatever runs a graph are from those of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import ModelError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays

if TYPE_CHECKING:
    from torch import nn

Run = Callable[[Arrays], Mapping[str, NDArray[Any]]]
"""What `Session.run` is."""


def largest_differences(graph: ModelGraph, run: Run, module: nn.Module | None = None) -> dict[str, float]:
    """Compare on all examples of a graph.

    Args:
        graph: whose examples are taken.
        run: gives the outputs by name.
        module: what `graph.module` makes, if it was made already.

    Returns:
        For each output the largest difference of a number from torch in float32; infinite where shapes differ or
        something is no number.
    """
    reference = graph.module() if module is None else module
    worst = {spec.name: 0.0 for spec in graph.outputs}
    for inputs, expected in torch_outputs(graph, reference):
        outputs = run(inputs)
        for name, values in expected.items():
            worst[name] = max(worst[name], _difference(np.asarray(outputs[name]), values))
    return worst


def check_parity(graph: ModelGraph, run: Run, module: nn.Module | None = None) -> dict[str, float]:
    """As `largest_differences`, refusing what is above the graph's tolerance.

    Raises:
        ModelError: an output differs by more.
    """
    differences = largest_differences(graph, run, module)
    name, worst = max(differences.items(), key=lambda item: item[1])
    if not worst <= graph.tolerance:
        raise ModelError(
            f"network {graph.name}: expected {name} within {graph.tolerance:g} of torch, got a difference of"
            f" {worst:.2g}; do not use this export, and try another version of torch or onnxruntime."
        )
    return differences


def torch_outputs(graph: ModelGraph, module: nn.Module) -> Iterator[tuple[Arrays, dict[str, NDArray[Any]]]]:
    """Each example of a graph, with what torch gives for it."""
    import torch

    for inputs in graph.examples():
        with torch.inference_mode():
            outputs = module(*(torch.from_numpy(inputs[spec.name]) for spec in graph.inputs))
        yield inputs, {spec.name: out.numpy() for spec, out in zip(graph.outputs, outputs, strict=True)}


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest difference of two arrays; infinite where they cannot be compared."""
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0))
