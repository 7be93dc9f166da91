# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind `Session`, on the CPU: compiled once for each shape of the inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import ModelError
from xover_core.inference.cuda_devices import CPU
from xover_core.inference.graph_border import Lengths, shapes_for
from xover_core.inference.graph_session import GraphSession
from xover_core.inference.libraries import load_library, one_line
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_pruning import keep_outputs
from xover_core.inference.recent_items import RecentItems
from xover_core.inference.session import Arrays, SessionInfo

BACKEND = "openvino"
MAX_COMPILED = 4
"""Shapes that stay compiled; each holds the weights once more, laid out for its kernels."""
_DEVICE = "CPU"

_Lengths = tuple[tuple[str, int], ...]


class OpenVinoSession(GraphSession):
    """Implements `Session` by OpenVINO.

    Shapes are fixed before it compiles: with axes that may change, OpenVINO 2026.4 gave empty features of the compact
    encoder on one thread and an error on two, and it is faster so.
    """

    def __init__(
        self,
        graph: ModelGraph,
        model: bytes,
        *,
        num_threads: int = 0,
        precision: str = "fp32",
        cache_folder: Path | None = None,
        reason: str = "",
    ) -> None:
        """Read an exported file.

        Args:
            graph: that it was exported of.
            model: contents of the file.
            num_threads: 0 for one for each core.
            precision: of the file: fp32 or int8.
            cache_folder: where compiled networks are kept; None to keep none.
            reason: why this backend.

        Raises:
            ModelError: no such file, or one of another network.
            BackendUnavailableError: OpenVINO is missing or broken.
        """
        openvino = load_library("openvino")
        library = f"openvino {str(openvino.__version__).split('-')[0]}"
        self._core = openvino.Core()
        self._model = self._read(graph, model, library)
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": num_threads,
            # where the CPU has bfloat16, it would be taken unasked
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if cache_folder is not None:
            self._options["CACHE_DIR"] = str(cache_folder)
        self._compiled: RecentItems[_Lengths, Any] = RecentItems(self._compile, MAX_COMPILED)
        super().__init__(
            graph,
            SessionInfo(
                graph=graph.name,
                backend=BACKEND,
                precision=precision,
                device=CPU,
                library=library,
                reason=reason,
            ),
        )

    def _compute(self, inputs: Arrays, lengths: Lengths) -> dict[str, NDArray[Any]]:
        compiled = self._compiled.get(tuple(sorted(lengths.items())))
        found = compiled.infer([inputs[spec.name] for spec in self.inputs], share_inputs=True, share_outputs=False)
        return {spec.name: np.asarray(found[spec.name]) for spec in self.outputs}

    def _read(self, graph: ModelGraph, model: bytes, library: str) -> Any:
        """The network of a file, with the graph's outputs only; ModelError for what is no such file."""
        try:
            return self._core.read_model(keep_outputs(model, [spec.name for spec in graph.outputs]))
        except RuntimeError as error:
            raise ModelError(
                f"network {graph.name!r}, exported file of {len(model)} bytes: {library} cannot load it,"
                f" {one_line(error)}; export it again."
            ) from error

    def _compile(self, lengths: _Lengths) -> Any:
        """What runs the network for inputs of these lengths."""
        model = self._model.clone()
        model.reshape({name: list(shape) for name, shape in shapes_for(self.inputs, dict(lengths)).items()})
        return self._core.compile_model(model, _DEVICE, self._options).create_infer_request()
