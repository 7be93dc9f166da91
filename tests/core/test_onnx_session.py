# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind `Session`: what it gives, what it computes, what it refuses, and how a GPU is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from session_cases import NAME, TOLERANCE, examples, inputs_of, reference, small_graph, small_model

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.onnx_pruning import keep_outputs
from xover_core.inference.onnx_session import OnnxSession, cuda_providers


@pytest.fixture(scope="module")
def session():
    return OnnxSession(small_graph(), small_model(), num_threads=1, reason="a test")


def test_it_gives_what_the_network_gives_for_every_size(session):
    for inputs in (*examples(), inputs_of(3, 1, 1)):
        outputs = session.run(inputs)
        assert list(outputs) == ["features", "mean"]
        for name, expected in reference(inputs).items():
            np.testing.assert_allclose(outputs[name], expected, atol=TOLERANCE)


def test_it_says_what_it_is(session):
    info = session.info
    assert (info.graph, info.backend, info.precision, info.device) == (NAME, "onnxruntime", "fp32", "cpu")
    assert info.library.startswith("onnxruntime 1.")
    assert info.reason == "a test"
    assert [spec.name for spec in session.inputs] == ["image", "scale"]


def test_outputs_are_the_callers(session):
    first, second = (session.run(inputs_of(1, 2, 2, seed)) for seed in (1, 2))
    np.testing.assert_allclose(first["mean"], reference(inputs_of(1, 2, 2, 1))["mean"], atol=TOLERANCE)
    assert not np.shares_memory(first["mean"], second["mean"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": np.ones(1)}, r"input scale: expected C-contiguous float32, got float64"),
        ({"scale": np.ones(3, np.float32)}, r"expected shape \(batch\), got \(3,\) where batch = 1"),
        ({"image": np.ones((1, 4, 2, 2), np.float32)}, r"expected shape \(batch, 3, 2\*rows, 2\*cols\), got \(1, 4, 2"),
        ({"image": np.ones((1, 3, 3, 2), np.float32)}, r"got \(1, 3, 3, 2\)"),
        ({"image": np.ones((3, 4, 2), np.float32)}, r"got \(3, 4, 2\)"),
        ({"image": np.ones((1, 3, 4, 8), np.float32)[..., ::2]}, "not C-contiguous"),
        ({"other": np.ones(1, np.float32)}, r"expected inputs \['image', 'scale'\], got \['image', 'other', 'scale'\]"),
    ],
)
def test_inputs_of_another_name_type_or_shape_are_refused(session, change, message):
    with pytest.raises(ModelError, match=message):
        session.run(inputs_of(1, 2, 2) | change)


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match=r"exported file of 8 bytes: .* cannot load it.*export it again"):
        OnnxSession(small_graph(), b"no model")


def test_a_file_of_another_network_is_refused():
    other = small_graph(outputs=(small_graph().outputs[0].__class__(name="pose", dtype="float32", shape=("batch",)),))
    with pytest.raises(ModelError, match=r"expected outputs \['pose'\], it has \['extra', 'features', 'mean'\]"):
        OnnxSession(other, small_model())


def test_outputs_of_another_shape_than_promised_are_refused():
    graph = small_graph()
    wrong = small_graph(
        outputs=(graph.outputs[0], graph.outputs[1].__class__(name="mean", dtype="float32", shape=(1,)))
    )
    with pytest.raises(BackendUnavailableError, match=r"gave mean of shape \(1, 3\), expected \(1,\)"):
        OnnxSession(wrong, small_model(), num_threads=1).run(inputs_of(1, 2, 2))


def test_what_it_cannot_run_is_named():
    model = onnx.load_from_string(small_model())
    next(node for node in model.graph.node if "rows" in node.output).input[1] = "as_maps"
    with pytest.raises(BackendUnavailableError, match=f"network '{NAME}': onnxruntime .* cannot run it"):
        OnnxSession(small_graph(), model.SerializeToString(), num_threads=1).run(inputs_of(2, 2, 2))


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="onnxruntime is not installed; pip install onnxruntime"):
        OnnxSession(small_graph(), small_model())


def test_a_provider_that_is_not_there_is_refused_before_it_falls_back_by_itself():
    providers = cuda_providers("cuda:0", precision="fp32")
    with pytest.raises(BackendUnavailableError, match=r"cannot use its CUDAExecutionProvider, only .*onnxruntime-gpu"):
        OnnxSession(small_graph(), small_model(), providers=providers)


class FakeRuntime:
    """ONNX Runtime for a GPU, which remembers how it was asked."""

    __version__ = "1.99"

    def __init__(self, available, used):
        self.available, self.used, self.asked = available, used, {}

    def get_available_providers(self):
        return self.available

    class SessionOptions:  # noqa: D106 - the library's name
        def add_session_config_entry(self, key, value):
            pass

    def InferenceSession(self, model, options, *, providers, provider_options):  # noqa: N802 - the library's name
        self.asked = dict(zip(providers, provider_options, strict=True))
        return self

    def get_providers(self):
        return self.used


ON_GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_the_gpu_that_is_named_is_asked_for_with_full_float32(monkeypatch):
    runtime = FakeRuntime(ON_GPU, ON_GPU[1:])
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    made = OnnxSession(small_graph(), small_model(), providers=cuda_providers("cuda:1", precision="fp32"))
    assert list(runtime.asked) == ON_GPU[1:]
    assert (
        runtime.asked["CUDAExecutionProvider"] | {"device_id": 1, "use_tf32": 0}
        == runtime.asked["CUDAExecutionProvider"]
    )
    assert made.info.device == "cuda:1"


def test_tensorrt_as_a_provider_keeps_its_engines(monkeypatch):
    runtime = FakeRuntime(ON_GPU, ON_GPU)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    providers = cuda_providers("cuda:0", precision="fp16", tensorrt_folder=Path("/cache/trt"))
    OnnxSession(small_graph(), small_model(), providers=providers, precision="fp16")
    options = runtime.asked["TensorrtExecutionProvider"]
    assert options["trt_fp16_enable"]
    assert options["trt_engine_cache_enable"]
    assert (options["trt_engine_cache_path"], options["trt_timing_cache_path"]) == ("/cache/trt", "/cache/trt")


def test_a_provider_that_did_not_start_is_noticed(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", FakeRuntime(ON_GPU, ON_GPU[2:]))
    with pytest.raises(
        BackendUnavailableError, match="cannot use its CUDAExecutionProvider, only CPUExecutionProvider"
    ):
        OnnxSession(small_graph(), small_model(), providers=cuda_providers("cuda:0", precision="fp32"))


def test_what_an_output_does_not_need_is_left_out():
    pruned = onnx.load_from_string(keep_outputs(small_model(), ["mean"]))
    onnx.checker.check_model(pruned)
    assert [node.op_type for node in pruned.graph.node] == ["ReduceMean"]
    assert [tensor.name for tensor in pruned.graph.initializer] == ["sides"]
    assert [value.name for value in pruned.graph.output] == ["mean"]
    assert [value.name for value in pruned.graph.input] == ["image", "scale"]


def test_keeping_all_outputs_changes_nothing():
    assert keep_outputs(small_model(), ["mean", "features", "extra"]) == small_model()


def test_what_inner_graphs_read_is_kept():
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["outer"], ["negative"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("negative", 1, [1])],
    )
    nodes = [
        onnx.helper.make_node("Exp", ["x"], ["outer"]),
        onnx.helper.make_node("Log", ["x"], ["lost"]),
        onnx.helper.make_node("If", ["is_wanted"], ["y"], then_branch=branch, else_branch=branch),
    ]
    x, y, lost = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in ("x", "y", "lost"))
    wanted = onnx.helper.make_tensor_value_info("is_wanted", onnx.TensorProto.BOOL, [])
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "outer", [x, wanted], [y, lost]))
    pruned = onnx.load_from_string(keep_outputs(model.SerializeToString(), ["y"]))
    assert [node.op_type for node in pruned.graph.node] == ["Exp", "If"]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_file_that_ends_too_early_is_refused(cut):
    with pytest.raises(ModelError, match=r"damaged.*export it again"):
        keep_outputs(small_model()[: -len(small_model()) // (1 + cut)], ["mean"])
