# SPDX-License-Identifier: Apache-2.0
"""Export to ONNX: the graph, what is kept of it, and what is not let through."""

from __future__ import annotations

import sys

import onnx
import pytest
import torch

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference import onnx_export
from xover_core.inference.compact_checkpoint import load_compact
from xover_core.inference.model_store import load_onnx, load_weights, model_entry
from xover_core.inference.onnx_export import PARITY_TOLERANCE, check_parity, export_compact
from xover_core.networks import metric_stem
from xover_core.networks.compact_encoder import CompactEncoder

MODEL = "locus-compact"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small network and its export; with two pyramid levels, since all eight take half a minute."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_stem, "NUM_LEVELS", 2)
        network = CompactEncoder((0.2, 0.65), gradient_dim=24, other_dim=5, width=12, num_blocks=1, feature_dim=16)
        torch.nn.init.normal_(network.context_heads[0].weight)
        export_compact(network.eval(), path)
        worst = check_parity(network, path.read_bytes())
    return onnx.load(path), worst


def shape_of(value):
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


def test_inputs_and_outputs_are_those_that_are_promised(exported):
    graph = exported[0].graph
    assert [value.name for value in graph.input] == ["image", "depth", "intrinsics"]
    assert [value.name for value in graph.output] == ["features_0.2m", "features_0.65m"]
    image, depth, camera = (shape_of(value) for value in graph.input)
    assert (image[:2], depth[:1], camera) == ([1, 3], [1], [1, 4])
    assert all(isinstance(size, str) for size in (*image[2:], *depth[1:]))
    assert shape_of(graph.output[0])[1] == 16
    assert all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in (*graph.input, *graph.output))


def test_it_gives_what_torch_gives(exported):
    assert exported[1] <= PARITY_TOLERANCE


def test_it_needs_no_operators_beside_those_of_onnx(exported):
    assert {node.domain for node in exported[0].graph.node} <= {""}
    assert {entry.domain: entry.version for entry in exported[0].opset_import}[""] == onnx_export.OPSET


def test_it_says_nothing_about_the_machine(exported):
    data = exported[0].SerializeToString()
    assert b"site-packages" not in data
    assert b".py" not in data


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_convert", lambda *_: onnx.load_from_string(load_onnx(MODEL)))
    kept, refused = tmp_path / "kept.onnx", tmp_path / "refused.onnx"
    export_compact(load_compact(load_weights(MODEL)), kept)
    assert kept.is_file()
    with pytest.raises(ModelError, match="expected features within"):
        export_compact(CompactEncoder(model_entry(MODEL).radii).eval(), refused)
    assert not refused.exists()


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_missing_libraries_are_named(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BackendUnavailableError, match=rf"needs {library}, .* pip install 'xover\[onnx\]'"):
        export_compact(CompactEncoder(), tmp_path / "x.onnx")
