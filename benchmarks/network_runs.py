# SPDX-License-Identifier: Apache-2.0
"""Networks of models on the backends that are there: what `bench_backends.py` does in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from own_process import peak_memory_mb
from timing import Times, time_in_turns

from xover_core.config import InferenceSettings
from xover_core.errors import XoverError
from xover_core.inference.graph_axes import BATCH
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import load_export
from xover_core.inference.session import BACKENDS, PRECISIONS, Arrays, Session
from xover_core.inference.session_factory import make_session

SIZE = (240, 320)
"""(height, width) of pictures, px."""
BASELINE = "torch fp32"
WAYS = {f"{backend} {precision}": (backend, precision) for backend in BACKENDS for precision in PRECISIONS}
"""Backends and precisions by what tables call them."""
Answer = dict[str, object]


def export_here(model: str, folder: str) -> dict[str, dict[str, int | str]]:
    """Export what is not shipped into a folder.

    Returns:
        Graph -> precision -> bytes of the file, or why there is none.
    """
    return {graph.name: {one: _export(graph, one, Path(folder)) for one in PRECISIONS} for graph in graphs_of(model)}


def _export(graph: ModelGraph, precision: str, folder: Path) -> int | str:
    """Bytes of an exported file, which is made where none is shipped, or why there is none."""
    try:
        shipped = load_export(graph.name, precision)
        if shipped is not None:
            return len(shipped)
        from xover_core.inference.onnx_export import export_graph

        return export_graph(graph, _file_of(Path(folder), graph.name, precision), precision=precision).num_bytes
    except XoverError as error:
        return str(error)


def time_here(model: str, graph: str, device: str, num_threads: int, rounds: int, folder: str) -> Answer:
    """Time a network on all backends in turns, in this process.

    Returns:
        `times`: way -> [wall-clock ms, processor ms] of each call; `reasons`: way -> why it was not measured.
    """
    network, inputs = _network(model, graph)
    sessions: dict[str, Session] = {}
    reasons: dict[str, str] = {}
    for way in WAYS:
        try:
            session = open_session(network, way, device, num_threads, Path(folder))
            # some fail at the first inputs only, and some compile then
            session.run(inputs)
            sessions[way] = session
        except XoverError as error:
            reasons[way] = str(error)
    calls: dict[str, Callable[[], object]] = {way: partial(one.run, inputs) for way, one in sessions.items()}
    times = time_in_turns(calls, rounds)
    return {"times": {way: [one.wall_ms, one.processor_ms] for way, one in times.items()}, "reasons": reasons}


def memory_here(model: str, graph: str, way: str, device: str, folder: str) -> float | str:
    """Most memory of this process, MB, after it loaded a network and ran it; or why it could not."""
    network, inputs = _network(model, graph)
    try:
        session = open_session(network, way, device, 1, Path(folder))
        for _ in range(3):
            session.run(inputs)
    except XoverError as error:
        return str(error)
    return peak_memory_mb()


def open_session(graph: ModelGraph, way: str, device: str, num_threads: int, folder: Path) -> Session:
    """A network on one backend, from shipped files or those that `export_here` made.

    Raises:
        XoverError: it cannot run here.
    """
    backend, precision = WAYS[way]
    settings = InferenceSettings(backend=backend, precision=precision, device=device, num_threads=num_threads)
    return make_session(graph, settings, partial(_find_export, folder))


def times_of(answer: Answer) -> dict[str, Times]:
    """Times for each way from what `time_here` gave."""
    times = answer["times"]
    assert isinstance(times, dict)
    return {way: Times(tuple(wall), tuple(processor)) for way, (wall, processor) in times.items()}


def _network(model: str, name: str) -> tuple[ModelGraph, Arrays]:
    """A network for inputs of any size, and the usual ones: one picture of 320x240, one text, ..."""
    graph = next(one for one in graphs_of(model) if one.name == name)
    fixed = next(one for one in graphs_of(model, SIZE) if one.name == name)
    return graph, min(fixed.examples(), key=partial(_preference, fixed))


def _preference(graph: ModelGraph, inputs: Arrays) -> tuple[int, int]:
    """Few things at once come first, then those that are large."""
    batches = [
        inputs[spec.name].shape[spec.shape.index(BATCH)] for spec in graph.inputs if BATCH in spec.shape
    ]  # fmt: skip
    return max(batches, default=1), -sum(array.size for array in inputs.values())


def _find_export(folder: Path, graph: str, precision: str) -> bytes | None:
    """The file that is shipped, else the one made for this run."""
    file = _file_of(folder, graph, precision)
    return file.read_bytes() if file.is_file() else load_export(graph, precision)


def _file_of(folder: Path, graph: str, precision: str) -> Path:
    return folder / f"{graph}.{precision}.onnx"
