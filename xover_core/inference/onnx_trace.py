# SPDX-License-Identifier: Apache-2.0
"""A graph in torch -> an ONNX model in float32, whose changing axes have their names."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import TensorSpec

if TYPE_CHECKING:
    from torch import nn

OPSET = 18
_SCOPES = "pkg.torch.onnx.name_scopes"


def require_onnx() -> None:
    """Check that ONNX can be written.

    Raises:
        BackendUnavailableError: onnx or onnxscript is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BackendUnavailableError(
            f"exporting to ONNX needs {error.name}, which is not installed; pip install 'xover[onnx]'."
        ) from error


def trace_graph(graph: ModelGraph, module: nn.Module) -> Any:
    """Convert a network; most of the time goes into sizes of pictures in symbols.

    Args:
        graph: says which axes may change.
        module: what `graph.module` makes.

    Returns:
        An `onnx.ModelProto`; its nodes still say which part of the network they are from, see `part_of`.

    Raises:
        ModelError: torch cannot convert it.
    """
    first = next(graph.examples())
    inputs = tuple(torch.from_numpy(first[spec.name]) for spec in graph.inputs)
    lengths = {name: torch.export.Dim(name, min=low, max=high) for name, (low, high) in graph.axes.items()}
    with _quiet(), torch.no_grad():  # no_grad: what networks switch on the way would become subgraphs
        try:
            program = torch.export.export(
                module,
                inputs,
                dynamic_shapes=tuple(_changing_axes(spec, lengths) for spec in graph.inputs),
                strict=False,
            )
            converted = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                optimize=False,  # see _fold_constants
                opset_version=OPSET,
                input_names=[spec.name for spec in graph.inputs],
                output_names=[spec.name for spec in graph.outputs],
            )
        # torch's own errors have no common root
        except Exception as error:
            raise ModelError(
                f"network {graph.name}: torch {torch.__version__} cannot convert it to ONNX, {type(error).__name__}:"
                f" {' '.join(str(error).split())[:300]}; try another version of torch."
            ) from error
    if converted is None:
        raise ModelError(f"network {graph.name}: torch gave no ONNX model; try another version of torch.")
    with _quiet():
        _fold_constants(converted.model)
    model = converted.model_proto
    _name_axes(model.graph.input, graph.inputs)
    _name_axes(model.graph.output, graph.outputs)
    return model


def part_of(node: Any) -> str:
    """The part of the network, as `named_modules` calls it, that a node was made of; empty when that is not known."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            # from the outermost part to the innermost, then the operator itself
            scopes = [str(scope) for scope in ast.literal_eval(entry.value)]
            return scopes[-2] if len(scopes) > 1 else ""
    return ""


def _fold_constants(model: Any) -> None:
    """Compute what does not depend on inputs; the numbers of an `onnx_ir.Model` become weights.

    Not by torch's own optimisation, whose rules (of onnxscript 0.7) take a sum with 1e-10 for one with 0: so an epsilon
    under a root was lost.
    """
    import onnxscript.optimizer
    from onnx_ir.passes import Sequential, common

    onnxscript.optimizer.fold_constants(model, onnx_shape_inference=True)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    )(model)


def _changing_axes(spec: TensorSpec, lengths: Mapping[str, Any]) -> dict[int, Any]:
    """Axis -> its length in symbols, for axes that may change."""
    axes = {}
    for axis, length in enumerate(spec.shape):
        if isinstance(length, str):
            factor, _, name = length.rpartition("*")
            axes[axis] = int(factor) * lengths[name] if factor else lengths[name]
    return axes


def _name_axes(values: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
    """Give inputs or outputs the lengths of their specification; torch has names of its own."""
    for value, spec in zip(values, specs, strict=True):
        for size, length in zip(value.type.tensor_type.shape.dim, spec.shape, strict=True):
            if isinstance(length, str):
                size.dim_param = length
            else:
                size.dim_value = length


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries say of themselves, and of operators of other libraries that are not installed."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
