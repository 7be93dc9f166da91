# SPDX-License-Identifier: Apache-2.0
"""One way to run a network -> its session; libraries are loaded here, and only those that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import CPU
from xover_core.inference.engine_axes import parse_engine_axes
from xover_core.inference.engine_cache import EngineCache
from xover_core.inference.libraries import load_library
from xover_core.inference.machine_cache import machine_cache, make_machine_cache
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Session
from xover_core.inference.threads import num_threads_of

Exported = Callable[[str, str], bytes | None]
"""(name of a network, precision) -> contents of its exported file, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run a network.

    Attributes:
        backend: one of `BACKENDS`.
        device: cpu, or cuda:0 and so on.
        precision: one of `PRECISIONS`.
        reason: why it is taken, for a log.
        is_extra: a library that is not expected to be there.
    """

    backend: str
    device: str
    precision: str
    reason: str
    is_extra: bool = False


def make_by(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:
    """The session of one way.

    Raises:
        BackendUnavailableError: its library is missing, broken, or cannot do this.
        ModelError: weights or an exported file are missing or damaged.
    """
    return _MAKERS[way.backend](way, graph, settings, exported)


def _make_torch(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:  # noqa: ARG001
    load_library("torch")
    from xover_core.inference.torch_session import TorchSession

    return TorchSession(
        graph,
        backend=way.backend,
        device=way.device,
        precision=way.precision,
        num_threads=settings.num_threads,
        reason=way.reason,
    )


def _make_onnx(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:
    load_library("onnxruntime")
    if way.device != CPU:
        return _make_onnx_on_gpu(way, graph, settings, exported)
    from xover_core.inference.onnx_session import OnnxSession

    return OnnxSession(
        graph,
        _export_of(graph, way, exported),
        num_threads=num_threads_of(settings.num_threads),
        precision=way.precision,
        reason=way.reason,
    )


def _make_onnx_on_gpu(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:
    """With tensors that stay on the GPU where torch can keep them there, else with arrays alone."""
    from xover_core.inference.onnx_session import OnnxSession, cuda_providers

    # without a folder for its engines that provider would build them at every start, and is left out
    use_tensorrt = settings.use_tensorrt_provider
    folder = make_machine_cache(settings.cache_folder, "onnxruntime-tensorrt") if use_tensorrt else None
    make: Callable[..., Session] = OnnxSession
    reason = way.reason
    try:
        load_library("torch")
        from xover_core.inference.onnx_device_session import OnnxDeviceSession, open_cuda

        make = partial(OnnxDeviceSession, border=open_cuda(way.device))
    except BackendUnavailableError as error:
        reason = f"{reason}, its inputs and outputs copied through the processor ({error})"
    return make(
        graph,
        _export_of(graph, way, exported),
        providers=cuda_providers(way.device, precision=way.precision, tensorrt_folder=folder),
        num_threads=num_threads_of(settings.num_threads),
        precision=way.precision,
        reason=reason,
    )


def _make_openvino(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:
    if way.device != CPU:
        raise BackendUnavailableError(
            f"openvino runs on the CPU only, not on {way.device}; set inference.device to cpu."
        )
    load_library("openvino")
    from xover_core.inference.openvino_session import OpenVinoSession

    return OpenVinoSession(
        graph,
        _export_of(graph, way, exported),
        num_threads=num_threads_of(settings.num_threads),
        precision=way.precision,
        cache_folder=make_machine_cache(settings.cache_folder, "openvino"),
        reason=way.reason,
    )


def _make_tensorrt(way: Way, graph: ModelGraph, settings: InferenceSettings, exported: Exported) -> Session:
    if way.device == CPU:
        raise BackendUnavailableError("tensorrt runs on NVIDIA GPUs only; set inference.backend to auto.")
    load_library("torch")  # without one of its own, a sentence that says so
    from xover_core.inference.tensorrt_session import TensorRtSession, open_tensorrt

    border = open_tensorrt(way.device)
    return TensorRtSession(
        graph,
        _export_of(graph, way, exported),
        border=border,
        cache=EngineCache(machine_cache(settings.cache_folder, "engines")),
        ranges=parse_engine_axes(settings.engine_axes),
        precision=way.precision,
        reason=way.reason,
    )


def _export_of(graph: ModelGraph, way: Way, exported: Exported) -> bytes:
    """Contents of the exported file; BackendUnavailableError where there is none."""
    model = exported(graph.name, way.precision)
    if model is None:
        raise BackendUnavailableError(
            f"{way.backend} needs an exported file in {way.precision}, of which there is none; make one with"
            f" `xover export {graph.name.split('.')[0]} --precision {way.precision}`, or set inference.backend to"
            " torch."
        )
    return model


_MAKERS: dict[str, Callable[[Way, ModelGraph, InferenceSettings, Exported], Session]] = {
    "torch": _make_torch,
    "torch-compiled": _make_torch,
    "torch-cuda-graphs": _make_torch,
    "onnxruntime": _make_onnx,
    "openvino": _make_openvino,
    "tensorrt": _make_tensorrt,
}
