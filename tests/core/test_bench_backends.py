# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of backends tries, and what it makes of the answers of its processes."""

from __future__ import annotations

from dataclasses import dataclass

import bench_backends
import numpy as np
import pytest
from measurement import Measurement, NotMeasured
from network_runs import BASELINE, WAYS, usual_inputs
from section import Effort

from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.session import TensorSpec


@dataclass
class MadeUpGraph:
    """As much of a graph as inputs are made of."""

    inputs: tuple[TensorSpec, ...]
    example: dict[str, np.ndarray]

    def examples(self):
        yield self.example


@pytest.fixture
def answer(monkeypatch):
    """Replaces processes by what they would give; an exception is raised."""

    def replace(**answers) -> list[dict[str, object]]:
        asked: list[dict[str, object]] = []

        def run_apart(function, **arguments):
            asked.append(arguments)
            found = answers[function.__name__]
            found = found(**arguments) if callable(found) else found
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(bench_backends, "run_apart", run_apart)
        return asked

    return replace


def test_inputs_have_usual_lengths_and_numbers_of_the_example():
    specs = (
        TensorSpec(name="image", dtype="float32", shape=("batch", 3, "8*rows", "8*cols")),
        TensorSpec(name="words", dtype="int64", shape=("batch", "words", "grams")),
    )
    example = {"image": np.float32([[[[0.0, 0.5]]]]), "words": np.array([[[7, 0], [9, 0]]])}
    inputs = usual_inputs(MadeUpGraph(specs, example))
    assert inputs["image"].shape == (1, 3, 240, 320)
    assert inputs["image"].dtype == np.float32
    assert set(np.unique(inputs["image"])) == {0.0, 0.5}
    assert inputs["words"].shape == (1, 21, 12)
    assert set(np.unique(inputs["words"])) == {7, 9}


def test_the_shipped_encoder_is_asked_for_a_picture_of_320x240():
    (graph,) = graphs_of("locus-compact")
    assert usual_inputs(graph)["image"].shape == (1, 3, 240, 320)


@pytest.mark.parametrize(
    ("effort", "graph", "device", "is_compiled"),
    [
        (Effort.QUICK, "locus-compact", "cpu", False),
        (Effort.NORMAL, "locus-compact", "cpu", True),
        (Effort.NORMAL, "crossover-light.text", "cpu", False),
        (Effort.FULL, "crossover-light.text", "cpu", True),
        (Effort.QUICK, "crossover-light.text", "cuda:0", True),
    ],
)
def test_what_takes_minutes_to_compile_is_left_to_long_runs(effort, graph, device, is_compiled):
    ways = bench_backends.ways_of(graph, device, effort)
    assert BASELINE in ways
    assert set(ways) <= set(WAYS)
    assert any(way.startswith("torch-compiled") for way in ways) == is_compiled


def test_what_is_not_shipped_is_exported_and_a_crash_is_told(answer):
    def export(precisions: list[str], **_):
        return ChildProcessError("exit code -11") if "fp16" in precisions else dict.fromkeys(precisions, 500_000)

    asked = answer(export_here=export)
    rows = list(bench_backends.measure_files("locus-compact", "locus-compact", {"fp32": 2_000_000}, Effort.FULL))
    # together first, and one by one when that ended the process
    assert [arguments["precisions"] for arguments in asked] == [["fp16", "int8"], ["fp16"], ["int8"]]
    sizes = {row.variant: row.ratio for row in rows if isinstance(row, Measurement)}
    assert sizes == {"int8": 0.25}
    assert [row.reason for row in rows if isinstance(row, NotMeasured)] == ["exit code -11"]


def test_small_networks_are_timed_by_one_thread_but_in_full_runs():
    graphs = [("locus-compact", "locus-compact"), ("crossover-light", "crossover-light.text")]
    assert bench_backends.graphs_for(graphs, 1, Effort.NORMAL) == graphs
    assert bench_backends.graphs_for(graphs, 2, Effort.NORMAL) == graphs[:1]
    assert bench_backends.graphs_for(graphs, 2, Effort.FULL) == graphs


def test_a_quick_run_exports_nothing(answer):
    asked = answer()
    assert list(bench_backends.measure_files("m", "m", {}, Effort.QUICK)) == []
    assert asked == []


def test_ways_stand_beside_torch_and_reasons_are_kept(answer):
    times = {BASELINE: [[10.0, 20.0], [1.0, 1.0]], "onnxruntime fp32": [[5.0, 5.0], [1.0, 1.0]]}
    answer(time_here={"times": times, "reasons": {"tensorrt fp32": "no GPU"}})
    reasons: bench_backends.Reasons = {}
    rows = list(bench_backends.measure_network("m", "m.part", "cpu", 2, Effort.QUICK, reasons))
    assert {(row.area, row.variant): row.value for row in rows} == {
        ("networks, cpu, 2 threads, p50", "onnxruntime fp32"): 5.0,
        ("networks, cpu, 2 threads, p95", "onnxruntime fp32"): 5.0,
    }
    assert rows[0].baseline_value == 15.0
    (told,) = bench_backends.rows_of_reasons(reasons, 2)
    assert (told.name, told.reason) == ("tensorrt fp32, 1 of 2 networks", "no GPU")
    (told,) = bench_backends.rows_of_reasons(reasons, 1)
    assert told.name == "tensorrt fp32"


def test_a_network_whose_process_ends_is_told_of(answer):
    answer(time_here=ChildProcessError("exit code -9"))
    (row,) = bench_backends.measure_network("m", "m.part", "cpu", 1, Effort.QUICK, {})
    assert (row.name, row.reason) == ("m.part", "exit code -9")


def test_accuracy_is_only_of_ways_that_ran(answer):
    asked = answer(accuracy_here={BASELINE: 50.0, "onnxruntime int8": 45.0})
    reasons = {("locus-compact", "cpu", "tensorrt fp32"): "no GPU"}
    (row,) = bench_backends.measure_accuracy("locus-compact", Effort.NORMAL, reasons)
    assert (row.variant, row.value, row.ratio) == ("onnxruntime int8", 45.0, 0.9)
    assert "tensorrt fp32" not in asked[0]["ways"]
    assert "onnxruntime int8" in asked[0]["ways"]
