# SPDX-License-Identifier: Apache-2.0
"""Settings -> what runs a network: the backend that is named, or the fastest that is there. See docs/backends.md."""

from __future__ import annotations

from functools import cache, partial

from xover_core.config import InferenceSettings
from xover_core.inference.cuda_devices import CPU, find_cuda_devices, pick_device
from xover_core.inference.first_that_works import Candidate, FirstThatWorks
from xover_core.inference.graph_axes import BATCH
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import load_export
from xover_core.inference.session import Session
from xover_core.inference.session_makers import Exported, Way, make_by

AUTO, FP32, FP16 = "auto", "fp32", "fp16"
TORCH = "torch"
"""What alone needs no exported file."""
# Lengths of other axes change from call to call, and what is made for fixed lengths would be made again each time.
_STEADY_AXES = frozenset({BATCH, "rows", "cols"})
# Networks that OpenVINO runs faster than ONNX Runtime, see docs/backends.md.
_FASTER_BY_OPENVINO = ("dino",)


def make_session(
    graph: ModelGraph, settings: InferenceSettings | None = None, exported: Exported = load_export
) -> Session:
    """Make what runs a network.

    Args:
        graph: of the network.
        settings: a backend that is named there is taken or refused, never replaced.
        exported: finds exported files.

    Raises:
        BackendUnavailableError: the backend that is named cannot run here, or nothing can; says what to do.
        ModelError: weights or an exported file are missing or damaged.
    """
    settings = settings or InferenceSettings()
    exported = cache(exported)
    if settings.backend != AUTO:
        return make_by(_named_way(settings), graph, settings, exported)
    candidates = [
        Candidate(
            name=f"{way.backend} on {way.device}",
            make=partial(make_by, way, graph, settings, exported),
            is_extra=way.is_extra,
        )
        for way in ways_to_run(graph, settings, exported)
    ]
    return FirstThatWorks(graph, candidates)


def _named_way(settings: InferenceSettings) -> Way:
    """The way that the settings name."""
    only_cpu = settings.backend == "openvino" and settings.device == AUTO
    return Way(
        backend=settings.backend,
        device=CPU if only_cpu else pick_device(settings.device, find_cuda_devices()),
        precision=FP32 if settings.precision == AUTO else settings.precision,
        reason="as inference.backend says",
    )


def ways_to_run(
    graph: ModelGraph, settings: InferenceSettings | None = None, exported: Exported = load_export
) -> list[Way]:
    """All ways to run a network, fastest first: as measured on the CPU, and as libraries promise on a GPU.

    Args:
        graph: of the network.
        settings: whose device and precision count.
        exported: finds exported files.

    Raises:
        BackendUnavailableError: the settings name a device that is not there.
    """
    settings = settings or InferenceSettings()
    device = pick_device(settings.device, find_cuda_devices())
    is_steady = set(graph.axes) <= _STEADY_AXES
    ways = []
    if device != CPU:
        precision = settings.precision
        if precision == AUTO:
            precision = FP16 if exported(graph.name, FP16) is not None else FP32
        backends = ("tensorrt", "onnxruntime", TORCH) if is_steady else ("onnxruntime", TORCH)
        ways += _ways(backends, device, precision, has_file=exported(graph.name, precision) is not None)
    precision = FP32 if settings.precision == AUTO else settings.precision
    has_file = exported(graph.name, precision) is not None
    return ways + _ways(_on_cpu(graph, is_steady), CPU, precision, has_file=has_file)


def _on_cpu(graph: ModelGraph, is_steady: bool) -> tuple[str, ...]:
    """Backends for the CPU, fastest first."""
    if not is_steady:
        return "onnxruntime", TORCH
    if graph.name.startswith(_FASTER_BY_OPENVINO):
        return "openvino", "onnxruntime", TORCH
    return "onnxruntime", "openvino", TORCH


def _ways(backends: tuple[str, ...], device: str, precision: str, *, has_file: bool) -> list[Way]:
    """Those of some backends that can be, by whether the network was exported."""
    reason = f"the fastest that is here for {'the CPU' if device == CPU else 'a GPU'}"
    if not has_file:
        reason = f"as it has no exported file in {precision}, which faster ones need"
    return [
        Way(
            backend=backend,
            device=device,
            precision=precision,
            reason=reason,
            # torch and ONNX Runtime for the CPU are expected to be there; that others are missing is no news
            is_extra=backend != TORCH and (backend, device) != ("onnxruntime", CPU),
        )
        for backend in backends
        if has_file or backend == TORCH
    ]
