# SPDX-License-Identifier: Apache-2.0
"""Features at the occupied voxels of a batch of clouds, with what the layers of a network share about these voxels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xover_core.errors import ModelError, SensorDataError
from xover_core.networks.coordinate_keys import (
    first_of_runs,
    key_batches,
    pack_coordinates,
    strided_keys,
    unpack_coordinates,
)
from xover_core.networks.kernel_map import KernelMap, build_kernel_map


class CoordinateManager:
    """Voxel sets of all strides and the kernel maps between them, each made once.

    The set of stride s is floor(c / s) * s of the voxels c that it was made with, whatever layers lie between.
    """

    def __init__(self, keys: Tensor, batch_size: int) -> None:
        """Start from voxels of stride 1.

        Args:
            keys: (N,) int64, ascending and unique, see `coordinate_keys`.
            batch_size: B; each of the B clouds has a voxel.
        """
        self.batch_size = batch_size
        self._keys = {1: keys}
        self._maps: dict[tuple[int, int, int, int], KernelMap] = {}

    def keys(self, stride: int) -> Tensor:
        """(N,) sorted keys of the voxels of a stride."""
        if stride not in self._keys:
            finer = max(known for known in self._keys if stride % known == 0)
            self._keys[stride] = strided_keys(self._keys[finer], stride)
        return self._keys[stride]

    def kernel_map(self, in_stride: int, out_stride: int, kernel_size: int, dilation: int = 1) -> KernelMap:
        """Pairs of rows for a kernel from the voxels of one stride to those of another."""
        name = in_stride, out_stride, kernel_size, dilation
        if name not in self._maps:
            self._maps[name] = build_kernel_map(
                self.keys(in_stride),
                self.keys(out_stride),
                kernel_size=kernel_size,
                in_stride=in_stride,
                out_stride=out_stride,
                dilation=dilation,
            )
        return self._maps[name]

    def batch_rows(self, stride: int) -> Tensor:
        """(N,) int64, ascending: the cloud of each row."""
        return key_batches(self.keys(stride))


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseTensor:
    """Features of the voxels of one stride. Rows are ordered by batch, z, y, x.

    Attributes:
        features: (N, C).
        manager: the voxels.
        stride: in voxels; coordinates are multiples of it.
    """

    features: Tensor
    manager: CoordinateManager
    stride: int = 1

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int64: batch, x, y, z in voxels of stride 1."""
        return unpack_coordinates(self.manager.keys(self.stride))

    @property
    def batch_size(self) -> int:
        """Number of clouds."""
        return self.manager.batch_size

    def replace(self, features: Tensor, stride: int | None = None) -> SparseTensor:
        """Other features, at the same voxels or those of another stride."""
        return SparseTensor(features=features, manager=self.manager, stride=stride or self.stride)

    def to(self, device: torch.device | str) -> SparseTensor:
        """The same on another device, where kernel maps are made anew."""
        keys = self.manager.keys(1).to(device)
        manager = CoordinateManager(keys, self.batch_size)
        return SparseTensor(features=self.features.to(device), manager=manager, stride=self.stride)

    def __add__(self, other: SparseTensor) -> SparseTensor:
        """Sum of features at the same voxels.

        Raises:
            ModelError: the voxels are not the same.
        """
        if other.manager is not self.manager or other.stride != self.stride:
            raise ModelError(
                f"sum of sparse tensors: expected the same voxels, got strides {self.stride} and {other.stride}"
                f"{'' if other.manager is self.manager else ' of different clouds'}; add outputs of one network."
            )
        return self.replace(self.features + other.features)


def make_sparse_tensor(coordinates: Tensor, features: Tensor) -> SparseTensor:
    """Put features on voxels; the order of the rows does not matter.

    Args:
        coordinates: (N, 4) integers (batch, x, y, z), each voxel once, N >= 1, every batch index up to the largest.
        features: (N, C) float.

    Returns:
        A tensor of stride 1 with its rows sorted.

    Raises:
        SensorDataError: shapes or types are wrong, there is no voxel, one is there twice, or a cloud has none.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.dtype not in (torch.int32, torch.int64):
        raise SensorDataError(
            f"sparse tensor: expected int coordinates (N, 4), got {coordinates.dtype} {tuple(coordinates.shape)}."
        )
    if features.ndim != 2 or len(features) != len(coordinates) or not len(features):
        raise SensorDataError(
            f"sparse tensor: expected features ({len(coordinates)}, C) of at least one voxel, got"
            f" {tuple(features.shape)}; leave out clouds without points."
        )
    keys, order = pack_coordinates(coordinates).sort()
    if (keys[1:] == keys[:-1]).any():
        raise SensorDataError("sparse tensor: expected each voxel once, got one twice; use quantize_points.")
    batches = first_of_runs(key_batches(keys))
    if int(batches[-1]) + 1 != len(batches):
        raise SensorDataError(
            f"sparse tensor: expected a voxel for each of {int(batches[-1]) + 1} clouds, got some for {len(batches)};"
            " leave out clouds without points."
        )
    return SparseTensor(features=features[order], manager=CoordinateManager(keys, len(batches)))
