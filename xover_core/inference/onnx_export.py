# SPDX-License-Identifier: Apache-2.0
"""A graph as one ONNX file, in float32, half precision or int8, compared with torch before anybody uses it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.libraries import load_library, one_line
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_half import halve_nodes
from xover_core.inference.onnx_int8 import quantize_nodes
from xover_core.inference.onnx_parity import Run, check_parity, largest_differences
from xover_core.inference.onnx_trace import OPSET, part_of, require_onnx, trace_graph
from xover_core.inference.session import PRECISIONS, Arrays

if TYPE_CHECKING:
    from torch import nn

METADATA_PREFIX = "xover."
DATA_SUFFIX = ".data"
"""Of a second file with the weights, where they are too many for one."""
# A file of ONNX ends at 2 GiB.
_MAX_WEIGHTS = 2_000_000_000
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written.

    Attributes:
        graph: name of the network.
        precision: one of `PRECISIONS`.
        path: of the file.
        num_bytes: of the file, and of the second one with the weights if there is one.
        differences: largest difference of each output from torch in float32.
        tolerance: of the differences; None where the accuracy of the whole task decides.
    """

    graph: str
    precision: str
    path: Path
    num_bytes: int
    differences: Mapping[str, float]
    tolerance: float | None


@dataclass(frozen=True, slots=True)
class TracedGraph:
    """A graph's network, and the same in ONNX, from which files in several precisions are made."""

    module: nn.Module
    model: Any


def trace(graph: ModelGraph) -> TracedGraph:
    """Make a graph's network and convert it.

    Raises:
        BackendUnavailableError: onnx or onnxscript is missing.
        ModelError: weights are missing or damaged, or torch cannot convert the network.
    """
    require_onnx()
    module = graph.module()
    return TracedGraph(module, trace_graph(graph, module))


def export_graph(
    graph: ModelGraph,
    path: Path,
    *,
    precision: str = "fp32",
    calibration: Iterable[Arrays] | None = None,
    traced: TracedGraph | None = None,
) -> ExportReport:
    """Write a graph as ONNX.

    Args:
        graph: to export; axes that have a name may have any length in the file.
        path: of the file; a file that is there is replaced.
        precision: one of `PRECISIONS`.
        calibration: for int8, inputs such as the network will see; without, scales are found anew for each input.
        traced: of the same graph, if it was traced already.

    Raises:
        BackendUnavailableError: onnx, onnxscript or onnxruntime is missing.
        ConfigError: an unknown precision, or a calibration for another one than int8.
        ModelError: the network cannot be converted, or ONNX Runtime does not give what torch gives; no file is left.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if calibration is not None and precision != "int8":
        raise ConfigError(f"calibration: it is for int8, got {precision}; leave it out.")
    traced = trace(graph) if traced is None else traced
    model = _reduce(copy.deepcopy(traced.model), graph, precision, calibration)
    _describe(model, graph, precision)
    try:
        num_bytes = _write(model, path)
        run = open_exported(graph, path)
        if precision == "fp32":
            differences = check_parity(graph, run, traced.module)
        else:
            differences = _require_numbers(graph, precision, largest_differences(graph, run, traced.module))
    except ModelError:
        _remove(path)
        raise
    return ExportReport(
        graph=graph.name,
        precision=precision,
        path=path,
        num_bytes=num_bytes,
        differences=differences,
        tolerance=graph.tolerance if precision == "fp32" else None,
    )


def open_exported(graph: ModelGraph, path: Path) -> Run:
    """What runs an exported file, with its weights in a second one too, by ONNX Runtime on the CPU.

    Raises:
        BackendUnavailableError: ONNX Runtime is missing.
        ModelError: it cannot be loaded.
    """
    onnxruntime = load_library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY  # warnings are about how it optimizes its own graph
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # its errors have no root of their own but RuntimeError, and some derive from Exception alone
    except Exception as error:
        raise ModelError(
            f"exported file {path}: ONNX Runtime {onnxruntime.__version__} cannot load it, {one_line(error)}; try"
            " another version of it."
        ) from error
    names = [spec.name for spec in graph.outputs]

    def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run


def _reduce(model: Any, graph: ModelGraph, precision: str, calibration: Iterable[Arrays] | None) -> Any:
    """The model in another precision."""
    if precision == "fp32":
        return model

    def is_chosen(node: Any) -> bool:
        part = part_of(node)
        return not graph.reducible or any(f"{part}.".startswith(f"{one}.") for one in graph.reducible)

    if precision == "fp16":
        return halve_nodes(model, is_chosen)
    if _weight_bytes(model) > _MAX_WEIGHTS:
        raise ModelError(f"network {graph.name}: too large to be converted to int8; export it in fp16.")
    return quantize_nodes(model, is_chosen, calibration)


def _describe(model: Any, graph: ModelGraph, precision: str) -> None:
    """Put into the file what it is, and take out source lines and folders of this machine."""
    import onnx

    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    facts = {
        "graph": graph.name,
        "weights_sha256": graph.weights_sha256,
        "precision": precision,
        "opset": str(OPSET),
    }
    onnx.helper.set_model_props(model, {METADATA_PREFIX + key: value for key, value in facts.items()})


def _write(model: Any, path: Path) -> int:
    """Write a model, its weights into a second file where one does not hold all; returns the bytes.

    Raises:
        ModelError: it breaks the rules of ONNX.
    """
    import onnx

    _remove(path)
    is_large = _weight_bytes(model) > _MAX_WEIGHTS
    data = path.with_name(path.name + DATA_SUFFIX)
    onnx.save_model(model, path, save_as_external_data=is_large, location=data.name)
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"exported file {path}: it is no valid ONNX, {one_line(error)}; try fp32.") from error
    return path.stat().st_size + (data.stat().st_size if is_large else 0)


def _remove(path: Path) -> None:
    """Remove an exported file, and its second one."""
    for one in (path, path.with_name(path.name + DATA_SUFFIX)):
        one.unlink(missing_ok=True)


def _weight_bytes(model: Any) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _require_numbers(graph: ModelGraph, precision: str, differences: dict[str, float]) -> dict[str, float]:
    """Refuse outputs that are no numbers, or of other shapes: what a task's accuracy need not be asked about."""
    for name, difference in differences.items():
        if not np.isfinite(difference):
            raise ModelError(
                f"network {graph.name} in {precision}: {name} has another shape than in torch or is no number; export"
                " it in fp32."
            )
    return differences
