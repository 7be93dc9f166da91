# SPDX-License-Identifier: Apache-2.0
"""GPUs as the driver shows them, and which one a setting means."""

from __future__ import annotations

import pytest
from fake_cuda_driver import ORIN, RTX, FakeCudaDriver

from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import find_cuda_devices, pick_device


def test_names_and_capabilities_are_those_of_the_driver():
    assert find_cuda_devices(FakeCudaDriver(RTX, ORIN).load) == (RTX, ORIN)


def test_no_driver_is_no_gpu():
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    assert find_cuda_devices(load) == ()


def test_a_driver_without_a_gpu_is_no_gpu():
    assert find_cuda_devices(FakeCudaDriver(init=100).load) == ()
    assert find_cuda_devices(FakeCudaDriver().load) == ()


@pytest.mark.parametrize(
    ("wanted", "devices", "picked"),
    [
        ("auto", (), "cpu"),
        ("auto", (RTX, ORIN), "cuda:0"),
        ("cpu", (RTX,), "cpu"),
        ("cuda", (RTX,), "cuda:0"),
        ("cuda:1", (RTX, ORIN), "cuda:1"),
    ],
)
def test_the_device_of_a_setting(wanted, devices, picked):
    assert pick_device(wanted, devices) == picked


@pytest.mark.parametrize(("wanted", "devices"), [("cuda", ()), ("cuda:1", (RTX,))])
def test_a_gpu_that_is_not_there_is_an_error_that_says_what_is(wanted, devices):
    found = r"cuda:0 \(NVIDIA GeForce RTX 4090\)" if devices else "none"
    with pytest.raises(
        BackendUnavailableError, match=rf"device '{wanted}': .* it shows {found}; set inference\.device"
    ):
        pick_device(wanted, devices)
