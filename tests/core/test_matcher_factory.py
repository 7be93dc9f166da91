# SPDX-License-Identifier: Apache-2.0
"""Which matcher the settings and this machine's devices make."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from xover_core.config import InferenceSettings, XoverSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import CudaDevice
from xover_core.localization import matcher_factory
from xover_core.localization.matcher_factory import make_point_matcher, make_view_matcher
from xover_core.localization.point_matcher import ProcessorPointMatcher
from xover_core.localization.processor_matcher import ProcessorMatcher

GPU = CudaDevice(index=0, name="made-up GPU", compute_capability=(8, 9))


def settings_for(device: str) -> XoverSettings:
    return XoverSettings(inference=InferenceSettings(device=device))


@pytest.fixture
def _gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher_factory, "find_cuda_devices", lambda: (GPU,))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """With what matchers for the GPU were made."""
    from xover_core.localization import torch_point_matcher, torch_view_matcher

    calls: list[tuple[Any, ...]] = []

    class MadeUpMatcher:
        def __init__(self, *arguments: object) -> None:
            calls.append(arguments)

    monkeypatch.setattr(torch_view_matcher, "TorchViewMatcher", MadeUpMatcher)
    monkeypatch.setattr(torch_point_matcher, "TorchPointMatcher", MadeUpMatcher)
    return calls


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_the_processor_matches(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher_factory, "find_cuda_devices", lambda: ())
    assert isinstance(make_view_matcher(settings_for(device)), ProcessorMatcher)
    assert isinstance(make_point_matcher(settings_for(device)), ProcessorPointMatcher)


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_on_a_gpu_it_matches_where_it_encodes(
    device: str, made: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matcher_factory, "require_cuda_torch", lambda devices: None)
    settings = settings_for(device)
    assert not isinstance(make_view_matcher(settings), ProcessorMatcher)
    assert not isinstance(make_point_matcher(settings), ProcessorPointMatcher)
    assert made == [(settings.matching, "cuda:0", settings.matching.device_cache_mb)] * 2


@pytest.mark.usefixtures("_gpu")
def test_beside_a_gpu_the_processor_can_be_named(made: list[tuple[Any, ...]]) -> None:
    assert isinstance(make_view_matcher(settings_for("cpu")), ProcessorMatcher)
    assert not made


@pytest.mark.usefixtures("_gpu")
def test_a_torch_without_cuda_leaves_it_to_the_processor_and_says_so(
    made: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(devices: object) -> None:
        raise BackendUnavailableError("torch cannot use it.")

    monkeypatch.setattr(matcher_factory, "require_cuda_torch", refuse)
    with caplog.at_level(logging.WARNING):
        assert isinstance(make_view_matcher(settings_for("auto")), ProcessorMatcher)
    assert caplog.messages == ["patches are matched on the processor: torch cannot use it."]
    assert not made


@pytest.mark.usefixtures("_gpu")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BackendUnavailableError, match="cuda:1"):
        make_view_matcher(settings_for("cuda:1"))
