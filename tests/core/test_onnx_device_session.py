# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime with torch's tensors bound by their addresses: for real on the processor, and as a GPU is asked."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda_driver import RTX
from session_cases import TOLERANCE, examples, inputs_of, reference, small_graph, small_model

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference import available, onnx_device_session, session_factory
from xover_core.inference.device_frames import DeviceFrames
from xover_core.inference.device_session import DeviceSession
from xover_core.inference.graph_outputs import select_outputs
from xover_core.inference.onnx_device_session import CudaBorder, OnnxDeviceSession, open_cuda
from xover_core.inference.onnx_session import CPU_PROVIDERS, OnnxSession, cuda_providers
from xover_core.inference.session_factory import make_session

ON_GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
STREAM, TORCH_STREAM = 77, 0


class FakeStream:
    """Remembers in what order it is waited for."""

    def __init__(self, number, events):
        self.cuda_stream, self.events = number, events

    def wait_stream(self, other):
        self.events.append((self.cuda_stream, "waits for", other.cuda_stream))


def fake_border(device="cpu", events=None):
    """A GPU that is the processor, or nothing at all."""
    events = [] if events is None else events
    cuda = SimpleNamespace(
        Stream=lambda device: FakeStream(STREAM, events),
        current_stream=lambda device: FakeStream(TORCH_STREAM, events),
    )
    return CudaBorder(cuda=cuda, device=torch.device(device))


@pytest.fixture
def session():
    return OnnxDeviceSession(
        small_graph(), small_model(), border=fake_border(), providers=CPU_PROVIDERS, num_threads=1, reason="a test"
    )


def tensors(inputs):
    return tuple(torch.from_numpy(array) for array in inputs.values())


def test_bound_tensors_give_what_the_network_gives_for_every_size(session):
    for inputs in (*examples(), inputs_of(3, 1, 1)):
        features, mean = session.run_tensors(tensors(inputs))
        np.testing.assert_allclose(features.numpy(), reference(inputs)["features"], atol=TOLERANCE)
        np.testing.assert_allclose(mean.numpy(), reference(inputs)["mean"], atol=TOLERANCE)
        assert features.dtype == torch.float32


def test_it_takes_and_gives_arrays_too(session):
    inputs = inputs_of(2, 3, 4)
    for name, expected in reference(inputs).items():
        np.testing.assert_allclose(session.run(inputs)[name], expected, atol=TOLERANCE)
    assert (session.info.backend, session.info.device, session.info.reason) == ("onnxruntime", "cpu", "a test")


def test_outputs_are_the_callers(session):
    first, second = (session.run_tensors(tensors(inputs_of(1, 2, 2, seed)))[1] for seed in (1, 2))
    np.testing.assert_allclose(first.numpy(), reference(inputs_of(1, 2, 2, 1))["mean"], atol=TOLERANCE)
    assert first.data_ptr() != second.data_ptr()


def test_tensors_that_lie_otherwise_in_memory_are_laid_out(session):
    inputs = inputs_of(1, 2, 3)
    image, scale = tensors(inputs)
    turned = image.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    features, _ = session.run_tensors((turned, scale))
    np.testing.assert_allclose(features.numpy(), reference(inputs)["features"], atol=TOLERANCE)


def test_tensors_of_another_shape_are_refused_before_their_memory_is_read(session):
    with pytest.raises(ModelError, match=r"input scale: expected shape \(batch\), got \(2,\) where batch = 1"):
        session.run_tensors((torch.ones(1, 3, 4, 4), torch.ones(2)))


def test_other_outputs_are_not_bound():
    graph = select_outputs(small_graph(), ["mean"])
    session = OnnxDeviceSession(graph, small_model(), border=fake_border(), providers=CPU_PROVIDERS, num_threads=1)
    (mean,) = session.run_tensors(tensors(inputs_of(1, 2, 2)))
    np.testing.assert_allclose(mean.numpy(), reference(inputs_of(1, 2, 2))["mean"], atol=TOLERANCE)


def test_frames_stay_on_the_device_of_this_one_only(session):
    assert DeviceFrames(session).find() is session
    assert isinstance(session, DeviceSession)
    assert DeviceFrames(OnnxSession(small_graph(), small_model(), num_threads=1)).find() is None


class FakeRuntime:
    """ONNX Runtime for a GPU: its session and its binding, which remember what they were told."""

    __version__ = "1.99"

    def __init__(self):
        self.asked, self.bound, self.events = {}, [], []

    def get_available_providers(self):
        return ON_GPU

    get_providers = get_available_providers

    class SessionOptions:  # noqa: D106 - the library's name
        def add_session_config_entry(self, key, value):
            pass

    def InferenceSession(self, model, options, *, providers, provider_options):  # noqa: N802 - the library's name
        self.asked = dict(zip(providers, provider_options, strict=True))
        return self

    def io_binding(self):
        return self

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        self.bound.append(("input", name, device_type, device_id, element_type, shape))

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None):
        self.bound.append(("output", name, device_type, device_id, element_type, shape))

    def run_with_iobinding(self, binding):
        assert binding is self
        self.events.append("runs")


@pytest.fixture
def runtime(monkeypatch):
    runtime = FakeRuntime()
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return runtime


def make_on_gpu(runtime, tmp_path):
    """A session on a second GPU; `meta` is torch's device without any memory."""
    providers = cuda_providers("cuda:1", precision="fp32", tensorrt_folder=tmp_path)
    border = fake_border("meta:1", runtime.events)
    return OnnxDeviceSession(small_graph(), small_model(), border=border, providers=providers)


def test_inputs_and_outputs_are_bound_where_they_lie(runtime, tmp_path):
    outputs = make_on_gpu(runtime, tmp_path).run_tensors(tensors(inputs_of(2, 3, 4)))
    assert runtime.bound == [
        ("input", "image", "meta", 1, np.float32, (2, 3, 6, 8)),
        ("input", "scale", "meta", 1, np.float32, (2,)),
        ("output", "features", "meta", 1, np.float32, (2, 12, 5)),
        ("output", "mean", "meta", 1, np.float32, (2, 3)),
    ]
    assert [output.device.type for output in outputs] == ["meta", "meta"]


def test_it_waits_for_what_torch_writes_and_torch_for_what_it_writes(runtime, tmp_path):
    make_on_gpu(runtime, tmp_path).run_tensors(tensors(inputs_of(1, 2, 2)))
    assert runtime.events == [(STREAM, "waits for", TORCH_STREAM), "runs", (TORCH_STREAM, "waits for", STREAM)]


def test_every_provider_of_the_gpu_computes_on_that_stream(runtime, tmp_path):
    session = make_on_gpu(runtime, tmp_path)
    assert {name: options.get("user_compute_stream") for name, options in runtime.asked.items()} == {
        "TensorrtExecutionProvider": str(STREAM),
        "CUDAExecutionProvider": str(STREAM),
        "CPUExecutionProvider": None,
    }
    assert runtime.asked["CUDAExecutionProvider"]["use_tf32"] == 0
    assert session.info.device == "cuda:1"


@pytest.fixture
def _gpu(monkeypatch, tmp_path):
    """One GPU, for which there is an ONNX Runtime."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(session_factory, "find_cuda_devices", lambda: (RTX,))
    monkeypatch.setattr(onnx_device_session, "find_cuda_devices", lambda: (RTX,))


def make_by_settings():
    settings = InferenceSettings(backend="onnxruntime", num_threads=1)
    return make_session(small_graph(), settings, lambda name, precision: small_model())


@pytest.mark.usefixtures("_gpu", "runtime")
def test_it_is_made_where_torch_can_use_the_gpu(monkeypatch):
    monkeypatch.setattr(onnx_device_session, "open_cuda", lambda device: fake_border(device))
    session = make_by_settings()
    assert isinstance(session, OnnxDeviceSession)
    assert session.info.reason == "as inference.backend says"


@pytest.mark.usefixtures("_gpu", "runtime")
def test_without_torch_for_the_gpu_arrays_are_copied_and_it_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    session = make_by_settings()
    assert type(session) is OnnxSession
    assert "copied through the processor (torch" in session.info.reason
    assert RTX.name in session.info.reason


def test_the_border_is_opened_where_all_is_there(monkeypatch):
    monkeypatch.setattr(onnx_device_session, "find_cuda_devices", lambda: (RTX,))
    torch_with_cuda = SimpleNamespace(__version__="9.9", cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(available, "load_library", lambda name: torch_with_cuda)
    assert open_cuda("cuda:1").device == torch.device("cuda:1")
    monkeypatch.setattr(onnx_device_session, "find_cuda_devices", lambda: ())
    with pytest.raises(BackendUnavailableError, match="no NVIDIA GPU was found"):
        open_cuda("cuda:0")
