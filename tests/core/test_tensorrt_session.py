# SPDX-License-Identifier: Apache-2.0
"""TensorRT behind `Session`, with a made-up TensorRT: when engines are built, for what, and when they are loaded."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_tensorrt import RTX, fake_border
from session_cases import TOLERANCE, examples, inputs_of, reference, small_graph, small_model

from xover_core.errors import BackendUnavailableError, ConfigError, ModelError
from xover_core.inference import available, tensorrt_builder, tensorrt_session
from xover_core.inference.cuda_devices import CudaDevice
from xover_core.inference.engine_axes import parse_engine_axes
from xover_core.inference.engine_cache import EngineCache
from xover_core.inference.graph_outputs import select_outputs
from xover_core.inference.tensorrt_session import MAX_ENGINES, TensorRtSession, open_tensorrt


@pytest.fixture
def make(tmp_path):
    """Makes sessions that share a cache."""

    def make_one(border=None, graph=None, axes="", **changes):
        return TensorRtSession(
            graph or small_graph(),
            small_model(),
            border=border or fake_border(),
            cache=EngineCache(tmp_path / "engines"),
            ranges=parse_engine_axes(axes),
            **changes,
        )

    return make_one


def test_it_gives_what_the_network_gives(make):
    border = fake_border()
    session = make(border, reason="a test")
    for inputs in (*examples(), *examples()):
        for name, expected in reference(inputs).items():
            np.testing.assert_allclose(session.run(inputs)[name], expected, atol=TOLERANCE)
    assert border.trt.num_built == 2
    info = session.info
    assert (info.backend, info.device, info.library) == ("tensorrt", "cuda:0", "tensorrt 11.4.0.106")


def test_tensors_on_the_device_are_taken_and_given(make):
    session, inputs = make(), inputs_of(1, 2, 3)
    features, mean = session.run_tensors(tuple(torch.from_numpy(array) for array in inputs.values()))
    np.testing.assert_allclose(features.numpy(), reference(inputs)["features"], atol=TOLERANCE)
    np.testing.assert_allclose(mean.numpy(), reference(inputs)["mean"], atol=TOLERANCE)


def test_networks_are_strongly_typed_and_float32_is_float32(make):
    border = fake_border()
    make(border).run(inputs_of(1, 2, 2))
    assert border.trt.flags == [1 << 1]
    assert border.trt.cleared == ["TF32"]


def test_an_engine_is_built_once_and_then_loaded(make):
    make().run(inputs_of(1, 2, 2))
    again = fake_border()
    outputs = make(again).run(inputs_of(1, 2, 2, seed=3))
    assert again.trt.num_built == 0
    np.testing.assert_allclose(outputs["mean"], reference(inputs_of(1, 2, 2, seed=3))["mean"], atol=TOLERANCE)


OTHER_GPU = CudaDevice(index=0, name="Orin", compute_capability=(8, 7))
SAME_NAME = CudaDevice(index=0, name=RTX.name, compute_capability=(9, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"border": ("11.4.0.107", RTX)},
        {"border": ("11.4.0.106", OTHER_GPU)},
        {"border": ("11.4.0.106", SAME_NAME)},
        {"graph": {"weights_sha256": "1" * 64}},
        {"graph": {"name": "other"}},
        {"precision": "fp16"},
        {"axes": "rows=1:2:4"},
    ],
    ids=["tensorrt", "gpu", "capability", "weights", "name", "precision", "profile"],
)
def test_what_an_engine_depends_on_makes_another_one(make, changes):
    make().run(inputs_of(1, 2, 2))
    border = fake_border(*changes.get("border", ()))
    graph = small_graph(**changes.get("graph", {}))
    rest = {name: value for name, value in changes.items() if name not in ("border", "graph")}
    make(border, graph, **rest).run(inputs_of(1, 2, 2))
    assert border.trt.num_built == 1


def test_other_outputs_are_another_engine_that_computes_only_those(make):
    make().run(inputs_of(1, 2, 2))
    border = fake_border()
    outputs = make(border, select_outputs(small_graph(), ["mean"])).run(inputs_of(1, 2, 2))
    assert list(outputs) == ["mean"]
    assert border.trt.num_built == 1


def test_an_engine_that_tensorrt_does_not_take_is_built_again(make, monkeypatch):
    make().run(inputs_of(1, 2, 2))
    border = fake_border()
    runtime = border.trt.Runtime(border.trt.Logger(2)).__class__
    deserialize, calls = runtime.deserialize_cuda_engine, []

    def refuse_once(self, engine):
        calls.append(engine)
        return None if len(calls) == 1 else deserialize(self, engine)

    monkeypatch.setattr(runtime, "deserialize_cuda_engine", refuse_once)
    np.testing.assert_allclose(
        make(border).run(inputs_of(1, 2, 2))["mean"], reference(inputs_of(1, 2, 2))["mean"], atol=TOLERANCE
    )
    assert (border.trt.num_built, len(calls)) == (1, 2)


def test_a_range_of_the_settings_makes_one_engine_for_all_of_it(make):
    border = fake_border()
    session = make(border, axes="rows=1:3:6, cols=1:4:8, batch=1:1:2")
    for inputs in (*examples(), inputs_of(1, 6, 8), inputs_of(2, 1, 1)):
        np.testing.assert_allclose(session.run(inputs)["features"], reference(inputs)["features"], atol=TOLERANCE)
    assert border.trt.num_built == 1
    session.run(inputs_of(1, 7, 8))  # outside of it: an engine of its own
    assert border.trt.num_built == 2


def test_so_many_engines_are_kept_in_memory_and_the_others_on_disk(make):
    border = fake_border()
    session = make(border)
    for rows in (*range(1, MAX_ENGINES + 3), 1):
        session.run(inputs_of(1, rows, 2))
    assert border.trt.num_built == MAX_ENGINES + 2


def test_what_was_measured_of_kernels_is_used_again(make):
    make().run(inputs_of(1, 2, 2))
    border = fake_border()
    make(border).run(inputs_of(1, 3, 2))
    assert border.trt.timings == [b"timed "]
    other = fake_border("11.5")
    make(other).run(inputs_of(1, 3, 2))
    assert other.trt.timings == [b""]


def test_building_says_what_it_does_and_how_far_it_is(make, monkeypatch, caplog):
    monkeypatch.setattr(tensorrt_builder, "_PROGRESS_S", 0.001)
    border = fake_border()
    monkeypatch.setattr(border.trt, "Builder", _slow(border.trt.Builder, caplog))
    with caplog.at_level(logging.WARNING):
        make(border).run(inputs_of(1, 2, 2))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "building the engine of small.part in fp32 on this GPU; takes minutes, once"
    assert lines[1].startswith("still building the engine of small.part in fp32, ")
    assert lines[-1].startswith("the engine of small.part in fp32 is built, ")


def _slow(make_builder, caplog):
    """A builder that takes until something was said of it."""

    def make_slow(logger):
        builder = make_builder(logger)
        build = builder.build_serialized_network

        def build_slowly(*arguments):
            while not any("still" in record.getMessage() for record in caplog.records):
                pass
            return build(*arguments)

        builder.build_serialized_network = build_slowly
        return builder

    return make_slow


def test_a_file_that_it_cannot_read_is_refused_with_all_that_it_says(make):
    border = fake_border()
    border.trt.refuses = "no such operator"
    with pytest.raises(
        BackendUnavailableError, match=r"cannot read its exported file in fp32, no such operator 0; no such operator 1"
    ):
        make(border).run(inputs_of(1, 2, 2))


def test_an_engine_that_cannot_be_built_is_refused(make):
    border = fake_border()
    border.trt.fails = True
    with pytest.raises(BackendUnavailableError, match=r"network 'small.part': .* cannot build an engine in fp32"):
        make(border).run(inputs_of(1, 2, 2))


def test_wrong_inputs_are_refused_before_anything_is_built(make):
    border = fake_border()
    with pytest.raises(ModelError, match="input scale"):
        make(border).run(inputs_of(1, 2, 2) | {"scale": np.ones(2, np.float32)})
    assert border.trt.num_built == 0


@pytest.mark.parametrize("axes", ["rows=2:1:4", "rows=0:1:2", "rows=1:5:4"])
def test_ranges_that_do_not_ascend_are_refused(axes):
    with pytest.raises(ConfigError, match="expected least, usual and most of rows to ascend from 1"):
        parse_engine_axes(axes)


def test_without_a_gpu_tensorrt_is_not_loaded(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise SystemExit('loaded without a GPU')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tensorrt_session, "find_cuda_devices", lambda: ())
    with pytest.raises(BackendUnavailableError, match="no NVIDIA GPU was found"):
        open_tensorrt("cuda:0")


def test_the_border_is_opened_where_all_is_there(monkeypatch):
    monkeypatch.setattr(tensorrt_session, "find_cuda_devices", lambda: (RTX,))
    torch_with_cuda = SimpleNamespace(__version__="9.9", cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(available, "load_library", {"torch": torch_with_cuda, "tensorrt": fake_border().trt}.get)
    border = open_tensorrt("cuda:0")
    assert (border.gpu, border.device) == (RTX, torch.device("cuda:0"))


def test_a_tensorrt_without_strong_types_is_too_old(monkeypatch):
    monkeypatch.setattr(tensorrt_session, "find_cuda_devices", lambda: (RTX,))
    monkeypatch.setattr(tensorrt_session, "require_tensorrt", lambda devices: fake_border("8.6.2").trt)
    with pytest.raises(BackendUnavailableError, match=r"TensorRT 8\.6\.2 is too old, 10\.0 or newer is needed"):
        open_tensorrt("cuda:0")


def test_a_missing_tensorrt_says_what_to_install(monkeypatch):
    monkeypatch.setattr(tensorrt_session, "find_cuda_devices", lambda: (RTX,))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailableError, match="tensorrt is not installed; pip install tensorrt"):
        open_tensorrt("cuda:0")
