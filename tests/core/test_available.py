# SPDX-License-Identifier: Apache-2.0
"""What is said of each backend: there, missing, broken, or without the hardware."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from fake_cuda_driver import RTX

from xover_core.inference import available
from xover_core.inference.available import available_backends
from xover_core.inference.session import BACKENDS


@pytest.fixture
def statuses(monkeypatch):
    """Calls `available_backends` with the GPUs that a test gives, and finds one backend."""

    def find(name, devices=()):
        monkeypatch.setattr(available, "find_cuda_devices", lambda: devices)
        return next(status for status in available_backends() if status.name == name)

    return find


def fake_torch(has_cuda):
    return SimpleNamespace(__version__="9.9", cuda=SimpleNamespace(is_available=lambda: has_cuda))


def test_every_backend_has_a_status():
    found = available_backends()
    assert tuple(status.name for status in found) == BACKENDS
    assert all(status.reason.endswith(".") for status in found)
    assert all(bool(status.version) == status.available for status in found)


def test_what_is_installed_here_is_available(statuses):
    for name in ("torch", "onnxruntime", "openvino"):
        assert statuses(name).available, statuses(name).reason


@pytest.mark.parametrize(
    ("name", "install"),
    [("torch", r"pip install 'xover[torch]'"), ("onnxruntime", "pip install onnxruntime"), ("openvino", "[openvino]'")],
)
def test_a_missing_library_is_named_with_what_to_install(statuses, monkeypatch, name, install):
    monkeypatch.setitem(sys.modules, name, None)
    status = statuses(name)
    assert not status.available
    assert status.reason.startswith(f"{name} is not installed; ")
    assert install in status.reason


def test_a_broken_library_is_told_from_a_missing_one(statuses, monkeypatch, tmp_path):
    (tmp_path / "openvino.py").write_text("raise RuntimeError('libtbb.so.12:\\n wrong version')")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    status = statuses("openvino")
    assert not status.available
    assert "installed but cannot be loaded, RuntimeError: libtbb.so.12: wrong version" in status.reason


def test_a_library_whose_own_needs_are_missing_says_which(statuses, monkeypatch, tmp_path):
    (tmp_path / "openvino.py").write_text("import openvino_needs_this")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert "installed, but openvino_needs_this, which it needs, is not" in statuses("openvino").reason


def test_without_a_gpu_tensorrt_is_not_even_loaded(statuses, monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise SystemExit('loaded without a GPU')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "no NVIDIA GPU was found" in statuses("tensorrt").reason


def test_a_gpu_that_torch_cannot_use_is_named(statuses, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(has_cuda=False))
    for name in ("torch-cuda-graphs", "tensorrt"):
        assert "torch 9.9 cannot use NVIDIA GeForce RTX 4090" in statuses(name, (RTX,)).reason
    assert statuses("torch", (RTX,)).reason == "runs on the CPU."


def test_with_a_gpu_all_that_can_use_it_say_so(statuses, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(has_cuda=True))
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.9"))
    assert statuses("torch", (RTX,)).reason == "runs on the CPU and cuda:0 (NVIDIA GeForce RTX 4090)."
    assert statuses("torch-cuda-graphs", (RTX,)).reason == "runs on cuda:0 (NVIDIA GeForce RTX 4090)."
    assert statuses("tensorrt", (RTX,)).version == "10.9"


def test_onnx_runtime_for_the_cpu_beside_a_gpu_says_what_is_missing(statuses):
    assert statuses("onnxruntime", (RTX,)).reason.endswith("For the GPU, pip install onnxruntime-gpu instead.")


def test_without_a_compiler_nothing_is_compiled(statuses, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler, which was not found" in statuses("torch-compiled").reason
