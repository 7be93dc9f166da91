# SPDX-License-Identifier: Apache-2.0
"""Which library computes sparse networks, and that parameters have the same names in both.

A stand-in with the names and arguments of MinkowskiEngine 0.5 takes its place; it computes nothing.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path

import pytest
import torch

from xover_core.errors import BackendUnavailableError, ConfigError
from xover_core.networks.light_cloud_network import LightCloudNetwork
from xover_core.networks.sparse_backend import (
    MinkowskiLayers,
    SparseSettings,
    TorchSparseLayers,
    make_sparse_layers,
)
from xover_core.networks.sparse_quantization import quantize_points

NAME = "MinkowskiEngine"
# float32 sums in another order
TOLERANCE = 1e-4
STAND_IN = """
import torch
from torch import nn


class SparseTensor:
    def __init__(self, features, coordinates):
        assert coordinates.dtype == torch.int32 and coordinates.shape[1] == 4
        self.F, self.C = features, coordinates


class _Layer(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options


class MinkowskiConvolution(_Layer):
    def __init__(self, in_channels, out_channels, kernel_size=-1, stride=1, dilation=1, bias=False, dimension=None):
        super().__init__(kernel_size=kernel_size, stride=stride, bias=bias, dimension=dimension)
        shape = (in_channels, out_channels)
        volume = kernel_size**dimension
        self.kernel = nn.Parameter(torch.zeros(shape if volume == stride == 1 else (volume, *shape)))
        self.bias = nn.Parameter(torch.zeros(1, out_channels)) if bias else None


class MinkowskiBatchNorm(nn.Module):
    def __init__(self, num_features):
        super().__init__()
        self.bn = nn.BatchNorm1d(num_features)


class MinkowskiReLU(_Layer):
    pass


class MinkowskiAvgPooling(_Layer):
    def __init__(self, kernel_size=-1, stride=1, dilation=1, kernel_generator=None, dimension=None):
        super().__init__(kernel_size=kernel_size, stride=stride, dimension=dimension)


class MinkowskiGlobalAvgPooling(_Layer):
    def forward(self, tensor):
        return SparseTensor(tensor.F.mean(0, keepdim=True), tensor.C[:1])


class MinkowskiGlobalMaxPooling(_Layer):
    def forward(self, tensor):
        return SparseTensor(tensor.F.amax(0, keepdim=True), tensor.C[:1])
"""


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Make the module importable for one test."""
    (folder / f"{NAME}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, NAME, raising=False)


@pytest.fixture
def _engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    install(monkeypatch, tmp_path, STAND_IN)
    yield
    sys.modules.pop(NAME, None)


def hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == NAME else found(name))
    monkeypatch.setitem(sys.modules, NAME, None)


def test_without_the_engine_auto_is_torch(monkeypatch):
    hide(monkeypatch)
    assert isinstance(make_sparse_layers(), TorchSparseLayers)


def test_without_the_engine_asking_for_it_says_what_to_do(monkeypatch):
    hide(monkeypatch)
    with pytest.raises(BackendUnavailableError, match=r"install it or set sparse_backend: torch\."):
        make_sparse_layers(SparseSettings(sparse_backend="minkowski"))


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize(
    ("backend", "kind"), [("auto", MinkowskiLayers), ("minkowski", MinkowskiLayers), ("torch", TorchSparseLayers)]
)
def test_with_the_engine_the_setting_decides(backend, kind):
    assert isinstance(make_sparse_layers(SparseSettings(sparse_backend=backend)), kind)


def test_an_engine_that_cannot_be_imported_is_passed_over_with_a_warning(monkeypatch, tmp_path, caplog):
    install(monkeypatch, tmp_path, "raise ImportError('cannot import name Sequence')")
    with caplog.at_level(logging.WARNING):
        assert isinstance(make_sparse_layers(), TorchSparseLayers)
    assert "cannot import name Sequence" in caplog.text


def test_unknown_backends_are_refused():
    with pytest.raises(ConfigError, match="auto, torch, minkowski"):
        SparseSettings(sparse_backend="spconv")


@pytest.mark.usefixtures("_engine")
def test_names_and_shapes_are_the_same_in_both():
    torch_layers, engine_layers = TorchSparseLayers(), MinkowskiLayers()
    ours = LightCloudNetwork(4, (8, 12), (1, 2), torch_layers)
    theirs = LightCloudNetwork(4, (8, 12), (1, 2), engine_layers)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for layers in (torch_layers, engine_layers):
        shapes = [tuple(layers.convolution(2, 3, *kernel).kernel.shape) for kernel in ((1,), (3,))]
        shapes.append(tuple(layers.convolution(2, 3, 1, stride=2).kernel.shape))
        assert shapes == [(2, 3), (27, 2, 3), (1, 2, 3)]


@pytest.mark.usefixtures("_engine")
def test_engine_layers_get_the_right_arguments():
    layers = MinkowskiLayers()
    assert layers.convolution(2, 3, 5, stride=2).options == {
        "kernel_size": 5,
        "stride": 2,
        "bias": False,
        "dimension": 3,
    }
    assert layers.average_pooling(2, stride=2).options == {"kernel_size": 2, "stride": 2, "dimension": 3}
    points = torch.tensor([[0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    cloud = layers.enter(quantize_points([points], [points], 1.0))
    assert cloud.C.tolist() == [[0, 0, 0, 0], [0, 3, 1, 2]]
    assert layers.global_mean(cloud).tolist() == [[1.5, 0.5, 1.0]]
    assert layers.global_max(cloud).tolist() == [[3.0, 1.0, 2.0]]


@pytest.mark.skipif(importlib.util.find_spec(NAME) is None, reason="needs MinkowskiEngine, which is no dependency")
@pytest.mark.filterwarnings("default")
def test_both_compute_the_same():
    torch.manual_seed(0)
    points = [torch.rand(400, 3), torch.rand(300, 3)]
    cloud = quantize_points(points, points, 0.05)
    ours, theirs = (
        LightCloudNetwork(3, (8, 12), (1, 1), layers) for layers in (TorchSparseLayers(), MinkowskiLayers())
    )
    theirs.load_state_dict(ours.state_dict(), strict=True)
    torch.testing.assert_close(theirs(cloud), ours(cloud), atol=TOLERANCE, rtol=TOLERANCE)
