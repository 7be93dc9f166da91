# SPDX-License-Identifier: Apache-2.0
"""Export to ONNX: what the file promises, its precisions, and what is not let through."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_cases import PATCH, Tokens, examples, make_graph
from torch import nn

from xover_core.errors import BackendUnavailableError, ConfigError, ModelError
from xover_core.inference import onnx_export
from xover_core.inference.compact_graph import make_compact_graph
from xover_core.inference.graph_axes import patch_axes
from xover_core.inference.onnx_export import METADATA_PREFIX, export_graph
from xover_core.inference.onnx_trace import OPSET
from xover_core.networks import metric_stem
from xover_core.networks.compact_encoder import CompactEncoder

# Eleven bits of half precision, and seven of int8, through three layers whose outputs are at most about 1.
HALF_TOLERANCE, INT8_TOLERANCE = 1e-2, 0.2


def shape_of(value):
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


def run(path, image):
    return onnxruntime.InferenceSession(path).run(None, {"image": image})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    return export_graph(make_graph(), path)


def test_the_file_says_what_it_is(exported):
    model = onnx.load(exported.path)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {
        f"{METADATA_PREFIX}{key}": value
        for key, value in {
            "graph": "tiny.tokens",
            "weights_sha256": "ab" * 32,
            "precision": "fp32",
            "opset": str(OPSET),
        }.items()
    }
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
    assert {node.domain for node in model.graph.node} <= {""}
    assert exported.num_bytes == exported.path.stat().st_size


def test_axes_have_the_names_of_the_graph(exported):
    graph = onnx.load(exported.path).graph
    assert [value.name for value in graph.input] == ["image"]
    assert shape_of(graph.input[0]) == ["batch", 3, "4*rows", "4*cols"]
    assert {value.name: shape_of(value) for value in graph.output} == {
        "tokens": ["batch", "rows*cols", 8],
        "mean": ["batch", 8],
    }


@pytest.mark.parametrize("shape", [(1, 4, 9), (3, 6, 5)])
def test_batches_and_pictures_of_any_size_are_run(exported, shape):
    batch, rows, cols = shape
    image = np.random.default_rng(1).random((batch, 3, PATCH * rows, PATCH * cols), dtype=np.float32)
    with torch.inference_mode():
        expected = Tokens().eval()(torch.from_numpy(image))
    for found, values in zip(run(exported.path, image), expected, strict=True):
        np.testing.assert_allclose(found, values.numpy(), atol=make_graph().tolerance)


def test_a_fixed_size_is_fixed(tmp_path):
    graph = make_graph((16, 24))
    report = export_graph(graph, tmp_path / "fixed.onnx")
    model = onnx.load(report.path).graph
    assert shape_of(model.input[0]) == ["batch", 3, 16, 24]
    assert shape_of(model.output[0]) == ["batch", 24, 8]


@pytest.mark.parametrize("size", [(16, 25), (8, 24)])
def test_a_size_that_does_not_fit_is_refused(size):
    with pytest.raises(ConfigError, match=r"expected sides that are multiples of 4 px from 16 to 2048, got"):
        make_graph(size)


def test_every_output_is_compared(exported):
    assert exported.differences.keys() == {"tokens", "mean"}
    assert 0 < max(exported.differences.values()) <= exported.tolerance == make_graph().tolerance


def test_it_says_nothing_about_the_machine(exported):
    data = exported.path.read_bytes()
    assert b"site-packages" not in data
    assert b".py" not in data
    assert b"/" not in b"".join(node.name.encode() for node in onnx.load(exported.path).graph.node)


def test_half_precision_has_half_the_weights_and_float32_borders(tmp_path, exported):
    report = export_graph(make_graph(), tmp_path / "half.onnx", precision="fp16")
    model = onnx.load(report.path).graph
    assert all(v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for v in (*model.input, *model.output))
    weights = {t.data_type for t in model.initializer if t.data_type != onnx.TensorProto.INT64}
    assert weights == {onnx.TensorProto.FLOAT16}
    assert report.tolerance is None
    assert exported.tolerance < max(report.differences.values()) < HALF_TOLERANCE


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_parts_that_need_float32_keep_it(tmp_path, precision):
    report = export_graph(make_graph(reducible=("head.3",)), tmp_path / "part.onnx", precision=precision)
    kept = [t for t in onnx.load(report.path).graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert {tuple(t.dims) for t in kept} >= {(16, 3, PATCH, PATCH), (16, 32)}
    assert (32, 8) not in {tuple(t.dims) for t in kept}


def test_int8_finds_its_scales_while_it_runs(tmp_path):
    report = export_graph(make_graph(), tmp_path / "int8.onnx", precision="int8")
    kinds = {node.op_type for node in onnx.load(report.path).graph.node}
    assert {"DynamicQuantizeLinear", "MatMulInteger", "Conv"} <= kinds
    assert make_graph().tolerance < max(report.differences.values()) < INT8_TOLERANCE


def test_int8_that_is_calibrated_has_them(tmp_path):
    seen = []

    def calibration():
        for one in examples(patch_axes("tiny", PATCH, None), count=1):
            seen.append(one)
            yield one

    report = export_graph(make_graph(), tmp_path / "int8.onnx", precision="int8", calibration=calibration())
    kinds = {node.op_type for node in onnx.load(report.path).graph.node}
    assert "QuantizeLinear" in kinds
    assert "DynamicQuantizeLinear" not in kinds
    assert len(seen) == 2
    assert max(report.differences.values()) < INT8_TOLERANCE


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "x.onnx"
    export_graph(make_graph(), path)
    other = onnx.load(path)
    weight = next(t for t in other.graph.initializer if tuple(t.dims) == (32, 8))
    weight.raw_data = (onnx.numpy_helper.to_array(weight) + np.float32(0.1)).tobytes()
    monkeypatch.setattr(onnx_export, "trace_graph", lambda *_: other)
    with pytest.raises(ModelError, match=r"tiny\.tokens: expected \w+ within 0\.0001 of torch, got a difference"):
        export_graph(make_graph(), path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_half_precision_does_not_have_are_noticed(tmp_path):
    def large():
        network = Tokens()
        nn.init.constant_(network.stem.bias, 6e4)
        nn.init.constant_(network.stem.weight, 3e3)
        return network.eval()

    with pytest.raises(ModelError, match="is no number; export it in fp32"):
        export_graph(make_graph(module=large), tmp_path / "x.onnx", precision="fp16")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cannot_convert_is_named(tmp_path):
    class Branch(Tokens):
        def forward(self, image):
            return super().forward(image if image.sum() > 0 else -image)

    with pytest.raises(ModelError, match=r"network tiny\.tokens: torch .* cannot convert it to ONNX"):
        export_graph(make_graph(module=lambda: Branch().eval()), tmp_path / "x.onnx")


def test_weights_of_several_gigabytes_get_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_MAX_WEIGHTS", 1000)
    report = export_graph(make_graph(), tmp_path / "large.onnx")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["large.onnx", "large.onnx.data"]
    assert report.num_bytes == sum(file.stat().st_size for file in files)
    with pytest.raises(ModelError, match="too large to be converted to int8"):
        export_graph(make_graph(), tmp_path / "other.onnx", precision="int8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "expected one of fp32, fp16, int8, got 'int4'"),
        ({"precision": "fp16", "calibration": []}, "calibration: it is for int8, got fp16"),
    ],
)
def test_other_wishes_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        export_graph(make_graph(), tmp_path / "x.onnx", **options)


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_missing_libraries_are_named(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BackendUnavailableError, match=rf"needs {library}, .* pip install 'xover\[onnx\]'"):
        export_graph(make_graph(), tmp_path / "x.onnx")


def test_the_compact_encoder_is_exported(tmp_path, monkeypatch):
    # one level of its pyramid and one radius: all of them take a minute
    monkeypatch.setattr(metric_stem, "NUM_LEVELS", 1)
    network = CompactEncoder((0.2,), gradient_dim=24, other_dim=5, width=12, num_blocks=1, feature_dim=16)
    nn.init.normal_(network.context_heads[0].weight)
    graph = make_compact_graph(
        lambda: network, name="small", radii=(0.2,), feature_dim=16, weights_sha256="cd", size=(64, 80)
    )
    report = export_graph(graph, tmp_path / "small.onnx")
    assert report.differences.keys() == {"features_0.2m"}
    assert shape_of(onnx.load(report.path).graph.output[0]) == ["batch", 80, 16]


def test_a_file_that_breaks_the_rules_is_refused_and_removed(tmp_path, monkeypatch):
    def unsorted(model, is_chosen):
        model.graph.node.reverse()
        return model

    monkeypatch.setattr(onnx_export, "halve_nodes", unsorted)
    with pytest.raises(ModelError, match=r"no valid ONNX, .*sorted"):
        export_graph(make_graph(), tmp_path / "half.onnx", precision="fp16")
    assert list(tmp_path.iterdir()) == []
