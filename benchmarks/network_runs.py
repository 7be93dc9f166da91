# SPDX-License-Identifier: Apache-2.0
"""Networks of models on the backends that are there: what `bench_backends.py` does in processes of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from own_process import peak_memory_mb
from timing import Times, time_in_turns

from xover_core.config import InferenceSettings
from xover_core.errors import XoverError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_export
from xover_core.inference.session import BACKENDS, PRECISIONS, Session
from xover_core.inference.session_factory import make_session

USUAL = {
    **{"rows": 30, "cols": 40, "views": 10, "height": 112, "width": 112},
    **{"words": 21, "grams": 12, "objects": 20, "points": 512},
}
"""Lengths of axes that may change: a picture of 320x240, views of a room, a sentence; of others one."""
BASELINE = "torch fp32"
WAYS = {f"{backend} {precision}": (backend, precision) for backend in BACKENDS for precision in PRECISIONS}
"""Backends and precisions by what tables call them."""
Answer = dict[str, object]


def shipped_here(model: str) -> dict[str, dict[str, int]]:
    """Network of a model -> precision -> bytes of the exported file that is shipped."""
    found = {graph.name: {one: load_export(graph.name, one) for one in PRECISIONS} for graph in graphs_of(model)}
    return {name: {one: len(file) for one, file in files.items() if file is not None} for name, files in found.items()}


def export_here(model: str, graph: str, precisions: list[str]) -> dict[str, int | str]:
    """Export a network into the models folder of this process; gives bytes by precision, or why there are none."""
    from xover_core.inference.export_install import export_into
    from xover_core.inference.onnx_export import trace

    folder, network = Path(os.environ[MODELS_DIR_VARIABLE]), find_network(model, graph)
    try:
        traced = trace(network)
    except XoverError as error:
        return dict.fromkeys(precisions, str(error))
    found: dict[str, int | str] = {}
    for precision in precisions:
        try:
            found[precision] = export_into(folder, network, precision=precision, traced=traced).num_bytes
        except XoverError as error:
            found[precision] = str(error)
    return found


def time_here(model: str, graph: str, device: str, num_threads: int, rounds: int, ways: list[str]) -> Answer:
    """Time a network in several ways in turns, in this process.

    Returns:
        `times`: way -> [wall-clock ms, processor ms] of each call; `reasons`: way -> why it was not measured.
    """
    network = find_network(model, graph)
    inputs = usual_inputs(network)
    sessions: dict[str, Session] = {}
    reasons: dict[str, str] = {}
    for way in ways:
        try:
            session = open_session(network, way, device, num_threads)
            # some fail at the first inputs only, and some compile then
            session.run(inputs)
            sessions[way] = session
        except XoverError as error:
            reasons[way] = str(error)
    calls: dict[str, Callable[[], object]] = {way: partial(one.run, inputs) for way, one in sessions.items()}
    times = time_in_turns(calls, rounds)
    return {"times": {way: [one.wall_ms, one.processor_ms] for way, one in times.items()}, "reasons": reasons}


def memory_here(model: str, graph: str, way: str, device: str) -> float | str:
    """Most memory of this process, MB, after it loaded a network and ran it; or why it could not."""
    network = find_network(model, graph)
    inputs = usual_inputs(network)
    try:
        session = open_session(network, way, device, 1)
        for _ in range(3):
            session.run(inputs)
    except XoverError as error:
        return str(error)
    return peak_memory_mb()


def open_session(graph: ModelGraph, way: str, device: str, num_threads: int) -> Session:
    """A network on one backend.

    Raises:
        XoverError: it cannot run here.
    """
    backend, precision = WAYS[way]
    settings = InferenceSettings(backend=backend, precision=precision, device=device, num_threads=num_threads)
    return make_session(graph, settings)


def times_of(answer: Answer) -> dict[str, Times]:
    """Times for each way from what `time_here` gave."""
    times = answer["times"]
    assert isinstance(times, dict)
    return {way: Times(tuple(wall), tuple(processor)) for way, (wall, processor) in times.items()}


def find_network(model: str, name: str) -> ModelGraph:
    """A network of a model, for inputs of any size."""
    return next(graph for graph in graphs_of(model) if graph.name == name)


def usual_inputs(graph: ModelGraph) -> dict[str, NDArray[Any]]:
    """Inputs of usual lengths with the numbers of the first example over and over."""
    example = next(graph.examples())
    return {spec.name: _resized(example[spec.name], [_length(axis) for axis in spec.shape]) for spec in graph.inputs}


def _length(axis: int | str) -> int:
    """Of an axis: a number, a name, or a product of them such as `8*rows`."""
    if isinstance(axis, int):
        return axis
    return math.prod(int(factor) if factor.isdigit() else USUAL.get(factor, 1) for factor in axis.split("*"))


def _resized(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """The same numbers over and over; of ids, those that are not padding."""
    values = array[array > 0] if np.issubdtype(array.dtype, np.integer) else array
    return np.ascontiguousarray(np.resize(values, shape))
