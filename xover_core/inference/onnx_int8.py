# SPDX-License-Identifier: Apache-2.0
"""Parts of an ONNX model with weights in int8, the rest as it was; inputs and outputs stay float32."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xover_core.inference.session import Arrays

_WITH_WEIGHTS = ("MatMul", "Gemm")


def quantize_nodes(model: Any, is_chosen: Callable[[Any], bool], calibration: Iterable[Arrays] | None) -> Any:
    """Round weights to int8, each output channel with a scale of its own; sums are in int32.

    Convolutions take part only where there is a calibration: runtimes have no fast kernel for one whose scale is found
    while it runs.

    Args:
        model: an `onnx.ModelProto`.
        is_chosen: of a node.
        calibration: inputs such as the network will see, by which the scales of what comes between are fixed; None:
            they are found anew for each input.

    Returns:
        An `onnx.ModelProto`.
    """
    import onnx
    from onnxruntime import quantization

    kinds = _WITH_WEIGHTS if calibration is None else (*_WITH_WEIGHTS, "Conv")
    common: dict[str, Any] = {
        "op_types_to_quantize": list(kinds),
        "nodes_to_quantize": [n.name for n in model.graph.node if n.op_type in kinds and is_chosen(n)],
        "per_channel": True,
        "weight_type": quantization.QuantType.QInt8,
    }
    with tempfile.TemporaryDirectory(prefix="xover-export-") as folder, _only_errors():
        path = Path(folder) / "int8.onnx"
        if calibration is None:
            quantization.quantize_dynamic(model, path, extra_options={"MatMulConstBOnly": True}, **common)
        else:
            quantization.quantize_static(
                model,
                path,
                _Reader(calibration),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QInt8,
                # symmetric: TensorRT knows no other
                extra_options={"MatMulConstBOnly": True, "ActivationSymmetric": True},
                **common,
            )
        return onnx.load(path)


class _Reader:
    """Implements the library's `CalibrationDataReader`, which asks until there is None."""

    def __init__(self, examples: Iterable[Arrays]) -> None:
        self._examples = iter(examples)

    def get_next(self) -> Arrays | None:
        """The next inputs, or None."""
        return next(self._examples, None)


@contextmanager
def _only_errors() -> Iterator[None]:
    """Without the advice that the library logs to the root, each time."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
