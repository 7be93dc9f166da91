#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What running a network costs: each network of each shipped model on each backend and in each precision, in turns.

    python benchmarks/bench_backends.py [--models locus-compact] [--threads 1 2]

Latency of one picture, cloud or text, size of the exported file, and most memory of a process that does nothing else;
torch, eager and in float32, is the baseline of all. Then whole encoders, preprocessing included, beside the weight-free
one. Networks that are not shipped as an exported file are exported for the run, which is not timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from environment import find_gpu
from made_up_inputs import HEIGHT, make_frame
from measurement import Measurement, NotMeasured, Row
from network_accuracy import accuracy_here
from network_runs import BASELINE, WAYS, export_here, memory_here, shipped_here, time_here, times_of
from own_process import run_apart
from section import Effort, run_section
from timing import Times, latency, time_in_turns

from xover_core.config import EncoderSettings
from xover_core.encoders.factory import ENCODER_KINDS, make_encoder
from xover_core.errors import ModelError
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_entries
from xover_core.inference.session import PRECISIONS

FILES, MEMORY = "exported files", "memory of a process with one network"
WEIGHT_FREE, COMPILED = "rootsift-pca64", "torch-compiled"
ACCURACY = "accuracy, mean average precision of patch retrieval"
ENCODERS = ("locus-compact",)
"""Of patches, whose network has their name."""
EVERY_FRAME = (*ENCODERS, "crossover-light.views")
"""Networks that the localizer runs for each frame."""
Graphs = list[tuple[str, str]]
"""(model, network)."""
Reasons = dict[tuple[str, str, str], str]
"""(network, device, way) -> why it was not measured."""


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """All networks, then all encoders."""
    models = args.models or [name for name in model_entries() if is_network(name)]
    graphs: Graphs = []
    reasons: Reasons = {}
    with tempfile.TemporaryDirectory(prefix="xover_bench_") as folder:
        # where this process and those that it starts find exported files beside those that are shipped
        os.environ[MODELS_DIR_VARIABLE] = folder
        for model in models:
            for graph, sizes in run_apart(shipped_here, model=model).items():
                graphs.append((model, graph))
                yield from measure_files(model, graph, sizes, args.effort)
        for device, threads in places(args.threads):
            for model, graph in graphs_for(graphs, threads, args.effort):
                yield from measure_network(model, graph, device, threads, args.effort, reasons)
        for model, graph in frequent(graphs, args.effort):
            yield from measure_memory(model, graph, reasons)
        yield from measure_encoders(args.threads, args.effort)
        for model in ENCODERS if args.effort is not Effort.QUICK else ():
            if model in models:
                yield from measure_accuracy(model, args.effort, reasons)
    yield from rows_of_reasons(reasons, len(graphs))


def measure_accuracy(model: str, effort: Effort, reasons: Reasons) -> Iterator[Row]:
    """Patch retrieval with features that were computed in each way."""
    ways = [way for way in ways_of(model, "cpu", Effort.QUICK) if (model, "cpu", way) not in reasons]
    found = run_apart(accuracy_here, model=model, ways=ways, num_batches=effort.pick(1, 3, 12))
    for way, precision in found.items():
        if way != BASELINE:
            yield Measurement(
                area=ACCURACY, name=model, variant=way, value=precision, unit="%",
                baseline="torch eager", baseline_value=found[BASELINE],
            )  # fmt: skip


def is_network(model: str) -> bool:
    """Whether a model has something that a backend can run."""
    try:
        return bool(graphs_of(model))
    except ModelError:
        return False


def places(threads: list[int]) -> list[tuple[str, int]]:
    """Devices and numbers of threads."""
    return [("cpu", number) for number in threads] + ([("cuda:0", 1)] if find_gpu() else [])


def measure_files(model: str, graph: str, shipped: Mapping[str, int], effort: Effort) -> Iterator[Row]:
    """Sizes of exported files beside float32; those that are not shipped are made, as far as there is time for it."""
    wanted = [precision for precision in precisions_of(graph, effort) if precision not in shipped]
    exported = _export(model, graph, wanted)
    for precision, reason in exported.items():
        if isinstance(reason, str):
            yield NotMeasured(area=FILES, name=f"{graph}, {precision}", reason=reason)
    sizes = {**shipped, **{precision: size for precision, size in exported.items() if isinstance(size, int)}}
    for precision in sorted(set(sizes) - {"fp32"}):
        if "fp32" in sizes:
            yield Measurement(
                area=FILES, name=graph, variant=precision, value=sizes[precision] / 1e6, unit="MB",
                baseline="fp32", baseline_value=sizes["fp32"] / 1e6,
            )  # fmt: skip


def _export(model: str, graph: str, precisions: Sequence[str]) -> dict[str, int | str]:
    """Bytes by precision, or why there is no file; together, or one by one where one ends the process."""
    if not precisions:
        return {}
    found: dict[str, int | str] | str = _ask(export_here, model=model, graph=graph, precisions=list(precisions))
    if isinstance(found, dict):
        return found
    if len(precisions) == 1:
        return {precisions[0]: found}
    return {precision: one for wanted in precisions for precision, one in _export(model, graph, [wanted]).items()}


def _ask(function: Callable[..., Any], **arguments: Any) -> Any:
    """What a function gives in a process of its own, or why it gives nothing: a library may end its process."""
    try:
        return run_apart(function, **arguments)
    except ChildProcessError as error:
        return str(error)


def precisions_of(graph: str, effort: Effort) -> Sequence[str]:
    """In what to export a network that is not shipped so; an export takes some ten seconds."""
    if effort is Effort.FULL or (effort is Effort.NORMAL and graph in EVERY_FRAME):
        return PRECISIONS
    return PRECISIONS[:1] if effort is Effort.NORMAL else ()


def measure_network(
    model: str, graph: str, device: str, threads: int, effort: Effort, reasons: Reasons
) -> Iterator[Row]:
    """One network in all ways; why some did not run goes to `reasons`."""
    area = f"networks, {device}, {count(threads)}" if device == "cpu" else f"networks, {device}"
    settings: dict[str, Any] = {"model": model, "graph": graph, "device": device}
    settings |= {
        "num_threads": threads,
        "rounds": effort.pick(5, 20, 100),
        "ways": ways_of(graph, device, effort, threads),
    }
    answer = _ask(time_here, threads=threads, **settings)
    if isinstance(answer, str):
        yield NotMeasured(area=area, name=graph, reason=answer)
        return
    reasons |= {(graph, device, way): reason for way, reason in answer["reasons"].items()}
    times = times_of(answer)
    if BASELINE not in times:
        yield NotMeasured(area=area, name=graph, reason=answer["reasons"][BASELINE])
        return
    baseline = times.pop(BASELINE)
    for percent in (50, 95):
        for way, own in times.items():
            yield latency(
                f"{area}, p{percent}", graph, own, "torch eager", baseline, percent=percent, variant=way
            )  # fmt: skip


def ways_of(graph: str, device: str, effort: Effort, threads: int = 1) -> list[str]:
    """What to try: on the CPU, compiling takes a minute, and with several threads what it makes waits for seconds."""
    compiled = {Effort.QUICK: (), Effort.NORMAL: (f"{COMPILED} fp32",) if graph in ENCODERS else (), Effort.FULL: WAYS}
    tried = compiled[effort] if threads == 1 else ()
    return [way for way in WAYS if device != "cpu" or not way.startswith(COMPILED) or way in tried]


def rows_of_reasons(reasons: Reasons, num_networks: int) -> Iterator[Row]:
    """One for each device and way: what is said of the first network that could not be run so."""
    found: dict[tuple[str, str], list[str]] = {}
    for (_, device, way), reason in reasons.items():
        found.setdefault((device, way), []).append(reason)
    for (device, way), told in found.items():
        which = f"{way}, {len(told)} of {num_networks} networks" if len(told) < num_networks else way
        yield NotMeasured(area=f"networks, {device}", name=which, reason=told[0])


def graphs_for(graphs: Graphs, threads: int, effort: Effort) -> Graphs:
    """Networks that are timed: all by one thread, of the small ones the others cost more than they bring."""
    return graphs if threads == 1 else frequent(graphs, effort)


def frequent(graphs: Graphs, effort: Effort) -> Graphs:
    """Networks of each frame, or all, with their models."""
    return [(model, graph) for model, graph in graphs if effort is Effort.FULL or graph in EVERY_FRAME]


def measure_memory(model: str, graph: str, reasons: Reasons) -> Iterator[Row]:
    """A process for each backend that could run the network."""
    peaks: dict[str, float] = {}
    for way in ways_of(graph, "cpu", Effort.QUICK):
        if (graph, "cpu", way) not in reasons:
            found = _ask(memory_here, model=model, graph=graph, way=way, device="cpu")
            if not isinstance(found, str):
                peaks[way] = found
    for way, peak in peaks.items():
        if way != BASELINE and BASELINE in peaks:
            yield Measurement(
                area=MEMORY, name=graph, variant=way, value=peak, unit="MB",
                baseline="torch eager", baseline_value=peaks[BASELINE],
            )  # fmt: skip


def measure_encoders(threads: list[int], effort: Effort) -> Iterator[Row]:
    """Whole frames by each shipped patch encoder."""
    entries = model_entries().items()
    models = [WEIGHT_FREE, *(name for name, entry in entries if entry.kind in ENCODER_KINDS and is_network(name))]
    for number in threads:
        found = run_apart(encode_here, threads=number, models=models, rounds=effort.pick(5, 15, 50))
        times = {name: Times(tuple(wall), tuple(processor)) for name, (wall, processor) in found.items()}
        for name in models:
            if name != WEIGHT_FREE:
                yield latency(f"encoders, {count(number)}", name, times[name], WEIGHT_FREE, times[WEIGHT_FREE])


def encode_here(models: list[str], rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """Encoders by name -> [wall-clock ms, processor ms] of each frame, in turns, in this process."""
    frame = make_frame()
    encoders = {name: make_encoder(EncoderSettings(model=name, image_height=HEIGHT)) for name in models}
    times = time_in_turns({name: lambda e=e: e.encode(frame) for name, e in encoders.items()}, rounds)  # type: ignore[misc]
    return {name: [one.wall_ms, one.processor_ms] for name, one in times.items()}


def count(threads: int) -> str:
    """Threads in words."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which models and how many threads."""
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: all of the manifest that are networks")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="on the CPU (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
