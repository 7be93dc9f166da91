# SPDX-License-Identifier: Apache-2.0
"""Who computes a sparse network: this project in plain torch, or MinkowskiEngine. Parameters have the same names."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from xover_core.config import Settings, setting
from xover_core.errors import BackendUnavailableError
from xover_core.networks.sparse_convolution import SparseConvolution
from xover_core.networks.sparse_layers import SparseAveragePooling, SparseBatchNorm, SparseReLU, global_max, global_mean
from xover_core.networks.sparse_tensor import SparseTensor

_LOGGER = logging.getLogger(__name__)
_MINKOWSKI = "MinkowskiEngine"


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseSettings(Settings):
    """Sparse networks."""

    sparse_backend: str = setting(
        "auto",
        "who computes sparse convolutions: torch, minkowski (MinkowskiEngine), or auto: MinkowskiEngine if installed",
        choices=("auto", "torch", "minkowski"),
    )


class SparseLayers(Protocol):
    """Layers of one library. They take and give that library's tensors, which can be added."""

    def enter(self, cloud: SparseTensor) -> Any:
        """What the layers take."""
        ...

    def convolution(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Module:
        """Convolution without bias, see `SparseConvolution`."""
        ...

    def batch_norm(self, channels: int) -> nn.Module:
        """Batch normalisation with parameters below `bn`."""
        ...

    def relu(self) -> nn.Module:
        """max(x, 0)."""
        ...

    def average_pooling(self, kernel_size: int, *, stride: int) -> nn.Module:
        """Mean over existing voxels."""
        ...

    def global_mean(self, tensor: Any) -> Tensor:
        """(B, C)."""
        ...

    def global_max(self, tensor: Any) -> Tensor:
        """(B, C)."""
        ...


class TorchSparseLayers:
    """Layers in plain torch."""

    def enter(self, cloud: SparseTensor) -> SparseTensor:
        """The cloud itself."""
        return cloud

    def convolution(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Module:
        """See `SparseConvolution`."""
        return SparseConvolution(in_channels, out_channels, kernel_size, stride=stride)

    def batch_norm(self, channels: int) -> nn.Module:
        """See `SparseBatchNorm`."""
        return SparseBatchNorm(channels)

    def relu(self) -> nn.Module:
        """See `SparseReLU`."""
        return SparseReLU()

    def average_pooling(self, kernel_size: int, *, stride: int) -> nn.Module:
        """See `SparseAveragePooling`."""
        return SparseAveragePooling(kernel_size, stride)

    def global_mean(self, tensor: SparseTensor) -> Tensor:
        """(B, C) mean over each cloud."""
        return global_mean(tensor)

    def global_max(self, tensor: SparseTensor) -> Tensor:
        """(B, C) maximum over each cloud."""
        return global_max(tensor)


class MinkowskiLayers:
    """Layers of MinkowskiEngine."""

    def __init__(self) -> None:
        """Import MinkowskiEngine.

        Raises:
            BackendUnavailableError: it cannot be imported.
        """
        try:
            self._engine: Any = importlib.import_module(_MINKOWSKI)
        except ImportError as error:
            raise BackendUnavailableError(
                f"sparse backend minkowski: expected an importable {_MINKOWSKI}, got: {error};"
                " install it or set sparse_backend: torch."
            ) from error

    def enter(self, cloud: SparseTensor) -> Any:
        """A tensor of MinkowskiEngine."""
        return self._engine.SparseTensor(features=cloud.features, coordinates=cloud.coordinates.int())

    def convolution(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Module:
        """MinkowskiConvolution."""
        layer: nn.Module = self._engine.MinkowskiConvolution(
            in_channels, out_channels, kernel_size=kernel_size, stride=stride, bias=False, dimension=3
        )
        return layer

    def batch_norm(self, channels: int) -> nn.Module:
        """MinkowskiBatchNorm."""
        layer: nn.Module = self._engine.MinkowskiBatchNorm(channels)
        return layer

    def relu(self) -> nn.Module:
        """MinkowskiReLU."""
        layer: nn.Module = self._engine.MinkowskiReLU()
        return layer

    def average_pooling(self, kernel_size: int, *, stride: int) -> nn.Module:
        """MinkowskiAvgPooling."""
        layer: nn.Module = self._engine.MinkowskiAvgPooling(kernel_size=kernel_size, stride=stride, dimension=3)
        return layer

    def global_mean(self, tensor: Any) -> Tensor:
        """(B, C) mean over each cloud."""
        pooled: Tensor = self._engine.MinkowskiGlobalAvgPooling()(tensor).F
        return pooled

    def global_max(self, tensor: Any) -> Tensor:
        """(B, C) maximum over each cloud."""
        pooled: Tensor = self._engine.MinkowskiGlobalMaxPooling()(tensor).F
        return pooled


def make_sparse_layers(settings: SparseSettings | None = None) -> SparseLayers:
    """Layers of the library that the settings name; `auto` is MinkowskiEngine where it can be imported.

    Raises:
        BackendUnavailableError: MinkowskiEngine is asked for and cannot be imported.
    """
    backend = (settings or SparseSettings()).sparse_backend
    if backend == "minkowski":
        return MinkowskiLayers()
    if backend == "auto" and importlib.util.find_spec(_MINKOWSKI) is not None:
        try:
            return MinkowskiLayers()
        except BackendUnavailableError as error:
            _LOGGER.warning("%s is installed but unusable, so plain torch computes: %s", _MINKOWSKI, error)
    return TorchSparseLayers()
