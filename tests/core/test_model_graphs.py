# SPDX-License-Identifier: Apache-2.0
"""Graphs of models: what they say of themselves, and the files of them that are shipped."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import load_export, model_entry, model_folders
from xover_core.inference.onnx_parity import check_parity, largest_differences

COMPACT = "locus-compact"


def shipped_exports():
    manifest = yaml.safe_load((model_folders()[-1] / "manifest.yaml").read_text())
    return sorted(manifest["exports"])


def run_onnx(data):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(data)
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def graph_of(name):
    model = name if name in {"locus-compact"} else name.rpartition(".")[0]
    return next(graph for graph in graphs_of(model) if graph.name == name)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("key", shipped_exports())
def test_a_shipped_export_is_of_the_shipped_weights(key):
    name, _, precision = key.rpartition("/")
    graph, data = graph_of(name), load_export(name, precision)
    assert data is not None
    if precision == "fp32":
        check_parity(graph, run_onnx(data))
    else:
        assert max(largest_differences(graph, run_onnx(data)).values()) < np.inf


def test_an_export_of_other_weights_is_noticed():
    graph, run = graphs_of(COMPACT)[0], run_onnx(load_export(COMPACT, "fp32"))
    other = graph.module()
    torch.nn.init.normal_(other.network.base_heads[0].weight)
    with pytest.raises(ModelError, match=r"network locus-compact: expected features_0\.05m within 0\.001 of torch"):
        check_parity(graph, run, other)


def test_the_compact_encoder_says_what_it_takes_and_gives():
    (graph,) = graphs_of(COMPACT)
    assert graph.name == COMPACT
    assert graph.weights_sha256 == model_entry(COMPACT).sha256
    assert {spec.name: spec.shape for spec in graph.inputs} == {
        "image": ("batch", 3, "8*rows", "8*cols"),
        "depth": ("batch", "8*rows", "8*cols"),
        "intrinsics": ("batch", 4),
    }
    assert [spec.name for spec in graph.outputs] == [f"features_{r:g}m" for r in model_entry(COMPACT).radii]
    assert {spec.shape for spec in graph.outputs} == {("batch", "rows*cols", 128)}


def test_a_size_is_fixed_when_it_is_given():
    (graph,) = graphs_of(COMPACT, (120, 160))
    assert graph.inputs[0].shape == ("batch", 3, 120, 160)
    assert graph.outputs[0].shape == ("batch", 300, 128)
    assert set(graph.axes) == {"batch"}
    with pytest.raises(ConfigError, match=r"multiples of 8 px from 32 to 4096, got 120x161"):
        graphs_of(COMPACT, (120, 161))


def test_torch_is_not_needed_to_know_a_graph():
    code = "from xover_core.inference.model_graphs import graphs_of; import sys; graphs_of('locus-compact')"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_what_is_no_network_is_refused():
    with pytest.raises(ModelError, match="of kind 'rootsift', which is no network"):
        graphs_of("rootsift-pca64")
    with pytest.raises(ModelError, match="not in any manifest"):
        graphs_of("nobody")
