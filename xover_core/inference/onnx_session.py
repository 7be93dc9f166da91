# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind `Session`: on the CPU, or on an NVIDIA GPU by its providers for CUDA and TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.available import CUDA_PROVIDER, TENSORRT_PROVIDER
from xover_core.inference.cuda_devices import CPU, CUDA, cuda_index
from xover_core.inference.graph_border import Lengths
from xover_core.inference.graph_session import GraphSession
from xover_core.inference.libraries import load_library, one_line
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.onnx_pruning import keep_outputs
from xover_core.inference.session import Arrays, SessionInfo

BACKEND = "onnxruntime"
CPU_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3

Provider = tuple[str, dict[str, Any]]
CPU_PROVIDERS: tuple[Provider, ...] = ((CPU_PROVIDER, {}),)


class OnnxSession(GraphSession):
    """Implements `Session` by ONNX Runtime."""

    def __init__(
        self,
        graph: ModelGraph,
        model: bytes,
        *,
        providers: Sequence[Provider] = CPU_PROVIDERS,
        num_threads: int = 0,
        precision: str = "fp32",
        reason: str = "",
    ) -> None:
        """Load an exported file.

        Args:
            graph: that it was exported of; where the file has more outputs, they are not computed.
            model: contents of the file.
            providers: of ONNX Runtime with their options, the first that can is taken for each operation.
            num_threads: on the CPU; 0 for one for each core.
            precision: of the file.
            reason: why this backend.

        Raises:
            ModelError: no such file, or one of another network.
            BackendUnavailableError: ONNX Runtime is missing, broken, or without the first provider.
        """
        runtime = load_library("onnxruntime")
        library = f"onnxruntime {runtime.__version__}"
        wanted, options = providers[0]
        _require_provider(wanted, runtime.get_available_providers(), library)
        try:
            self._session = _open(runtime, model, [spec.name for spec in graph.outputs], providers, num_threads)
        # its errors have no root of their own but RuntimeError, and some derive from Exception alone
        except Exception as error:
            raise ModelError(
                f"network {graph.name!r}, exported file of {len(model)} bytes: {library} cannot load it,"
                f" {one_line(error)}; export it again."
            ) from error
        _require_provider(wanted, self._session.get_providers(), library)
        device = CPU if wanted == CPU_PROVIDER else f"{CUDA}:{options['device_id']}"
        super().__init__(
            graph,
            SessionInfo(
                graph=graph.name,
                backend=BACKEND,
                precision=precision,
                device=device,
                library=library,
                reason=reason,
            ),
        )

    def _compute(self, inputs: Arrays, lengths: Lengths) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - as all sessions
        names = [spec.name for spec in self.outputs]
        found = self._session.run(names, dict(inputs))
        return {name: np.asarray(array) for name, array in zip(names, found, strict=True)}


def cuda_providers(device: str, *, precision: str, tensorrt_folder: Path | None = None) -> tuple[Provider, ...]:
    """Providers for an NVIDIA GPU, with the CPU for what they cannot do.

    Args:
        device: such as `cuda:0`.
        precision: of the network.
        tensorrt_folder: where its TensorRT provider keeps engines and timings; None to do without this provider, whose
            first start takes minutes.
    """
    index = cuda_index(device)
    # float32 shall be float32: with TensorFloat-32 products have 10 bits
    cuda: Provider = (CUDA_PROVIDER, {"device_id": index, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"})
    rest: tuple[Provider, ...] = (cuda, *CPU_PROVIDERS)
    if tensorrt_folder is None:
        return rest
    options = {
        "device_id": index,
        "trt_fp16_enable": precision == "fp16",
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(tensorrt_folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(tensorrt_folder),
    }
    return ((TENSORRT_PROVIDER, options), *rest)


def _require_provider(wanted: str, found: Sequence[str], library: str) -> None:
    """Raise BackendUnavailableError for a provider that is not among those that were found."""
    if wanted not in found:
        raise BackendUnavailableError(
            f"{library} cannot use its {wanted}, only {', '.join(found)}; pip install onnxruntime-gpu in its place, of"
            " the versions of CUDA and cuDNN (and TensorRT) that are there."
        )


def _open(runtime: Any, model: bytes, outputs: Sequence[str], providers: Sequence[Provider], num_threads: int) -> Any:
    """An `onnxruntime.InferenceSession` that computes these outputs."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # waiting threads that spin cost two thirds more processor time, and slow down whatever runs beside
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY  # warnings are about how it optimizes its own graph
    return runtime.InferenceSession(
        keep_outputs(model, outputs),
        options,
        providers=[name for name, _ in providers],
        provider_options=[o for _, o in providers],
    )
