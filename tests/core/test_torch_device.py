# SPDX-License-Identifier: Apache-2.0
"""Where torch runs networks: what is named, else a GPU that it can use."""

from __future__ import annotations

import pytest
import torch
from fake_cuda_driver import RTX

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference import torch_device as module
from xover_core.inference.torch_device import torch_device


@pytest.fixture
def machine(monkeypatch):
    """Puts GPUs into this machine, and CUDA into torch."""

    def make(devices, has_cuda):
        monkeypatch.setattr(module, "find_cuda_devices", lambda: devices)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)

    return make


@pytest.mark.parametrize(
    ("wanted", "devices", "has_cuda", "device"),
    [
        ("auto", (), False, "cpu"),
        ("auto", (RTX,), False, "cpu"),
        ("auto", (RTX,), True, "cuda:0"),
        ("cpu", (RTX,), True, "cpu"),
        ("cuda", (RTX,), True, "cuda:0"),
    ],
)
def test_the_device(machine, wanted, devices, has_cuda, device):
    machine(devices, has_cuda)
    assert torch_device(InferenceSettings(device=wanted)) == device


@pytest.mark.parametrize(("devices", "message"), [((), "the driver shows no such GPU"), ((RTX,), "cannot use NVIDIA")])
def test_a_gpu_that_is_named_and_cannot_be_used_is_an_error(machine, devices, message):
    machine(devices, False)
    with pytest.raises(BackendUnavailableError, match=message):
        torch_device(InferenceSettings(device="cuda:0"))
