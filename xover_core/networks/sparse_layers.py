# SPDX-License-Identifier: Apache-2.0
"""What a sparse network needs beside convolutions: normalisation, ReLU and pooling, as MinkowskiEngine defines them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xover_core.networks.sparse_tensor import SparseTensor


class SparseBatchNorm(nn.Module):
    """Batch normalisation over all voxels of a batch; parameters are `bn.weight`, `bn.bias` and so on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, tensor: SparseTensor) -> SparseTensor:
        """Same shape."""
        return tensor.replace(self.bn(tensor.features))


class SparseReLU(nn.Module):
    """max(x, 0)."""

    def forward(self, tensor: SparseTensor) -> SparseTensor:
        """Same shape."""
        return tensor.replace(functional.relu(tensor.features))


class SparseAveragePooling(nn.Module):
    """Mean over the voxels that exist under the kernel, not over its volume; no voxel gives 0."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, tensor: SparseTensor) -> SparseTensor:
        """(N, C) at the input's stride -> (M, C) at `stride` times it."""
        inputs, outputs, shape, stride = _pooling_pairs(tensor, self.kernel_size, self.stride)
        sums = tensor.features.new_zeros(shape).index_add(0, outputs, tensor.features.index_select(0, inputs))
        counts = outputs.bincount(minlength=shape[0]).clamp_min(1)
        return tensor.replace(sums / counts[:, None], stride)


class SparseMaxPooling(nn.Module):
    """Maximum over the voxels that exist under the kernel; no voxel gives 0, equal ones share the gradient."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, tensor: SparseTensor) -> SparseTensor:
        """(N, C) at the input's stride -> (M, C) at `stride` times it."""
        inputs, outputs, shape, stride = _pooling_pairs(tensor, self.kernel_size, self.stride)
        return tensor.replace(_max_by_row(tensor.features.index_select(0, inputs), outputs, shape[0]), stride)


def global_mean(tensor: SparseTensor) -> Tensor:
    """(B, C) mean over the voxels of each cloud."""
    batches = tensor.manager.batch_rows(tensor.stride)
    sums = tensor.features.new_zeros(tensor.batch_size, tensor.features.shape[1])
    counts = batches.bincount(minlength=tensor.batch_size)
    return sums.index_add(0, batches, tensor.features) / counts[:, None]


def global_max(tensor: SparseTensor) -> Tensor:
    """(B, C) maximum over the voxels of each cloud."""
    return _max_by_row(tensor.features, tensor.manager.batch_rows(tensor.stride), tensor.batch_size)


def _pooling_pairs(tensor: SparseTensor, kernel_size: int, stride: int) -> tuple[Tensor, Tensor, tuple[int, int], int]:
    """Rows of inputs and outputs of all pairs, shape of the output, its stride."""
    out_stride = tensor.stride * stride
    pairs = tensor.manager.kernel_map(tensor.stride, out_stride, kernel_size)
    shape = pairs.num_outputs, tensor.features.shape[1]
    return torch.cat(pairs.inputs), torch.cat(pairs.outputs), shape, out_stride


def _max_by_row(values: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """(num_rows, C) maximum of the values that belong to each row, 0 for none."""
    result = values.new_zeros(num_rows, values.shape[1])
    return result.scatter_reduce(0, rows[:, None].expand_as(values), values, "amax", include_self=False)
