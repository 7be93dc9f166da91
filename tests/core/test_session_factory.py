# SPDX-License-Identifier: Apache-2.0
"""Settings to sessions: what is taken, in which order, what is said, and what is refused."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda_driver import RTX
from fake_tensorrt import fake_border
from session_cases import NAME, TOLERANCE, SmallNetwork, inputs_of, reference, small_graph, small_model

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference import first_that_works, session_factory, tensorrt_session
from xover_core.inference.onnx_session import OnnxSession
from xover_core.inference.session_factory import make_session
from xover_core.inference.torch_session import TorchSession


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """No GPU, one thread, a cache of its own, and nothing said yet."""
    torch.set_num_threads(1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(session_factory, "find_cuda_devices", lambda: ())
    first_that_works._tell.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    """One GPU, which neither torch nor ONNX Runtime of this machine can use."""
    monkeypatch.setattr(session_factory, "find_cuda_devices", lambda: (RTX,))


@pytest.fixture
def tensorrt(monkeypatch):
    """A TensorRT that works, where there is a GPU."""
    border = fake_border()
    monkeypatch.setattr(tensorrt_session, "open_tensorrt", lambda device: border)
    return border.trt


def exported(graph, precision):
    """The network's files: fp32 only."""
    assert graph == NAME
    return small_model() if precision == "fp32" else None


def in_all_precisions(graph, precision):
    return small_model()


def make(backend="auto", files=exported, graph=None, **settings):
    return make_session(graph or small_graph(), InferenceSettings(backend=backend, **settings), files)


def check(session):
    inputs = inputs_of(2, 3, 4)
    for name, expected in reference(inputs).items():
        np.testing.assert_allclose(session.run(inputs)[name], expected, atol=TOLERANCE)


def levels(caplog):
    return [record.levelname for record in caplog.records]


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_the_backend_that_is_named_is_taken(backend):
    session = make(backend)
    check(session)
    assert session.info.backend == backend
    assert session.info.reason == "as inference.backend says"


def test_settings_are_the_defaults_where_there_are_none():
    assert make_session(small_graph(), exported=exported).info.backend == "onnxruntime"


def test_auto_takes_onnx_runtime_on_the_cpu_and_says_so_once(caplog):
    with caplog.at_level(logging.INFO, "xover_core"):
        check(make())
        make()
    assert [record.getMessage().partition("onnxruntime ")[0] for record in caplog.records] == [
        f"network '{NAME}': run by "
    ]
    assert caplog.text.rstrip().endswith("on cpu in fp32, the fastest that is here for the CPU")


def test_auto_takes_openvino_for_networks_that_it_runs_faster():
    graph = small_graph(name="dino-vits8")
    assert make(graph=graph, files=in_all_precisions).info.backend == "openvino"


def test_auto_does_without_openvino_and_says_nothing_loudly(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "openvino", None)
    graph = small_graph(name="dino-vits8")
    assert make(graph=graph, files=in_all_precisions).info.backend == "onnxruntime"
    assert caplog.records == []


def test_auto_takes_nothing_made_for_lengths_where_lengths_change_all_the_time(gpu, tensorrt):
    graph = small_graph(name="dino-words", axes={"batch": (1, 8), "words": (1, 500)})
    assert make(graph=graph, files=in_all_precisions).info.backend == "onnxruntime"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_without_an_exported_file_a_named_backend_says_how_to_make_one(backend):
    with pytest.raises(
        BackendUnavailableError,
        match=rf"{backend} needs an exported file in fp16.*xover export small --precision fp16",
    ):
        make(backend, precision="fp16")


def test_without_an_exported_file_torch_runs_it_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "xover_core"):
        session = make(files=lambda *_: None)
    check(session)
    assert session.info.backend == "torch"
    assert levels(caplog) == ["INFO"]
    assert "run by torch" in caplog.text
    assert "as it has no exported file in fp32" in caplog.text


def test_a_named_backend_that_is_missing_is_an_error_and_not_replaced(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="onnxruntime is not installed; pip install onnxruntime"):
        make("onnxruntime")


def test_missing_libraries_are_told_before_files_are_looked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailableError, match="openvino is not installed"):
        make("openvino", files=lambda *_: pytest.fail("looked for a file"))


def test_with_nothing_at_all_every_reason_is_told(monkeypatch):
    for name in ("onnxruntime", "openvino", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        BackendUnavailableError,
        match=rf"network '{NAME}': nothing here can run it: onnxruntime is not installed.* torch is not installed",
    ):
        make()


def test_a_damaged_export_is_told_and_torch_runs_it(caplog):
    session = make(files=lambda *_: b"damaged")
    assert session.info.backend == "torch"
    assert "cannot load it" in caplog.text


def test_a_library_that_fails_at_the_first_run_is_replaced_then(monkeypatch, caplog):
    def fail(self, inputs, lengths):
        raise RuntimeError("illegal instruction")

    monkeypatch.setattr(OnnxSession, "_compute", fail)
    session = make()
    assert session.info.backend == "onnxruntime"
    check(session)
    assert session.info.backend == "openvino"
    assert "onnxruntime 1" in caplog.text
    assert "cannot run it, RuntimeError: illegal instruction" in caplog.text
    assert levels(caplog) == ["WARNING"]


def test_a_library_that_has_worked_is_not_replaced_later(monkeypatch):
    session = make()
    check(session)

    def fail(self, inputs, lengths):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(OnnxSession, "_compute", fail)
    with pytest.raises(BackendUnavailableError, match="out of memory"):
        session.run(inputs_of(1, 2, 2))
    assert session.info.backend == "onnxruntime"


def test_wrong_inputs_are_no_librarys_fault():
    session = make()
    with pytest.raises(ModelError, match="input scale"):
        session.run(inputs_of(1, 2, 2) | {"scale": np.ones(2, np.float32)})
    assert session.info.backend == "onnxruntime"


def test_when_all_fail_at_the_first_run_every_reason_is_told():
    class Failing(SmallNetwork):
        def forward(self, image, scale):
            raise ValueError("no way")

    session = make(files=lambda *_: None, graph=small_graph(module=Failing))
    said = set()
    for _ in range(3):
        with pytest.raises(BackendUnavailableError, match=r"nothing here can run it: .* ValueError: no way") as error:
            session.run(inputs_of(1, 2, 2))
        said.add(str(error.value))
    assert len(said) == 1


def test_auto_takes_tensorrt_on_a_gpu(gpu, tensorrt, caplog):
    session = make(files=in_all_precisions)
    check(session)
    info = session.info
    assert (info.backend, info.device, info.precision) == ("tensorrt", "cuda:0", "fp16")
    assert tensorrt.num_built == 1


def test_half_precision_is_taken_only_where_a_network_was_exported_so(gpu, tensorrt):
    assert make().info.precision == "fp32"
    assert make(precision="fp32", files=in_all_precisions).info.precision == "fp32"


def test_axes_and_the_cache_of_the_settings_reach_the_engine(gpu, tensorrt, tmp_path):
    session = make(engine_axes="rows=1:3:6, cols=1:4:8, batch=1:1:2", cache_folder=str(tmp_path / "mine"))
    for rows in range(1, 7):
        session.run(inputs_of(1, rows, 5))
    assert tensorrt.num_built == 1
    assert list((tmp_path / "mine" / "engines").glob("*.engine"))


def test_a_tensorrt_that_refuses_the_network_is_replaced_with_a_line(gpu, tensorrt, caplog):
    tensorrt.refuses = "no such operator"
    session = make()
    check(session)
    assert (session.info.backend, session.info.device) == ("onnxruntime", "cpu")
    assert "cannot read its exported file in fp32, no such operator" in caplog.text
    assert levels(caplog) == ["WARNING"]


def test_a_gpu_that_nothing_can_use_leaves_the_cpu_and_is_told(gpu, caplog):
    session = make()
    check(session)
    assert (session.info.backend, session.info.device) == ("onnxruntime", "cpu")
    assert levels(caplog) == ["WARNING"]
    assert "cannot use cuda:0" in caplog.text


def test_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(BackendUnavailableError, match="the driver shows no such GPU"):
        make(device="cuda:0")


def test_on_the_cpu_by_setting_a_gpu_is_left_alone(gpu, tensorrt):
    assert make(device="cpu").info.device == "cpu"
    assert tensorrt.num_built == 0


@pytest.mark.parametrize(
    ("backend", "settings", "message"),
    [
        ("tensorrt", {"device": "cpu"}, "tensorrt runs on NVIDIA GPUs only"),
        ("openvino", {"device": "cuda:0"}, "openvino runs on the CPU only, not on cuda:0"),
        ("torch", {"precision": "int8"}, "torch runs no int8 networks"),
        ("torch-cuda-graphs", {"device": "cpu"}, "torch-cuda-graphs needs a GPU"),
        ("onnxruntime", {"device": "cuda:0"}, "cannot use its CUDAExecutionProvider"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(gpu, backend, settings, message):
    with pytest.raises(BackendUnavailableError, match=message):
        make(backend, **settings)


def test_openvino_by_name_runs_on_the_cpu_beside_a_gpu(gpu):
    assert make("openvino").info.device == "cpu"


def test_onnx_runtime_hands_to_tensorrt_where_the_settings_say_so(gpu, monkeypatch, tmp_path):
    asked = []

    def remember(graph, model, *, providers, **_):
        asked.append([name for name, _ in providers])
        return SimpleNamespace()

    monkeypatch.setattr("xover_core.inference.onnx_session.OnnxSession", remember)
    make("onnxruntime")
    make("onnxruntime", use_tensorrt_provider=True)
    assert asked == [
        ["CUDAExecutionProvider", "CPUExecutionProvider"],
        ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
    ]


def test_threads_of_the_settings_reach_torch():
    try:
        session = make("torch", num_threads=2)
        assert isinstance(session, TorchSession)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
