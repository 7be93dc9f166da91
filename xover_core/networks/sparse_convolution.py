# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution as gather, matrix product and scatter, one product for each offset of the kernel.

The definition is MinkowskiEngine's, so that its weights can be loaded: for every output voxel u,
out(u) = sum over offsets i with an input voxel there of in(u + i * stride * dilation) @ kernel[i].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from xover_core.errors import ModelError
from xover_core.networks.kernel_map import KernelMap
from xover_core.networks.sparse_tensor import SparseTensor

_CACHED_ROWS = 4096


class SparseConvolution(nn.Module):
    """Convolution over voxels, without bias; `kernel` is (k^3, in, out), x fastest, or (in, out) for k = stride = 1."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> None:
        """Make a convolution with random weights for inputs that a ReLU follows.

        Args:
            in_channels: C of the input.
            out_channels: C of the output.
            kernel_size: k along each axis; odd kernels are centred, even ones reach from 0 to k - 1.
            stride: output coordinates are floor(c / s) * s with s = stride * stride of the input.
            dilation: distance of neighbouring offsets, in units of the input's stride.

        Raises:
            ModelError: a size is not positive.
        """
        super().__init__()
        sizes = (in_channels, out_channels, kernel_size, stride, dilation)
        if min(sizes) < 1:
            raise ModelError(
                f"sparse convolution: expected positive channels, kernel, stride and dilation, got {sizes}."
            )
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        shape = (in_channels, out_channels)
        self.is_pointwise = kernel_size == 1 and stride == 1
        self.kernel = nn.Parameter(torch.empty(shape if self.is_pointwise else (kernel_size**3, *shape)))
        nn.init.normal_(self.kernel, std=math.sqrt(2 / (in_channels * kernel_size**3)))

    def forward(self, tensor: SparseTensor) -> SparseTensor:
        """(N, in) at the input's stride -> (M, out) at `stride` times it."""
        if self.is_pointwise:
            return tensor.replace(tensor.features @ self.kernel)
        out_stride = tensor.stride * self.stride
        kernel_map = tensor.manager.kernel_map(tensor.stride, out_stride, self.kernel_size, self.dilation)
        return tensor.replace(convolve(tensor.features, self.kernel, kernel_map), out_stride)


def convolve(features: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
    """Sum of products over all pairs of a kernel map, with gradients for both factors.

    Args:
        features: (N, in).
        kernel: (K, in, out).
        kernel_map: pairs for K offsets.

    Returns:
        (M, out).
    """
    if torch.is_grad_enabled() and (features.requires_grad or kernel.requires_grad):
        result: Tensor = _Convolve.apply(features, kernel, kernel_map)  # type: ignore[no-untyped-call]
        return result
    return _sum_products(features, kernel, kernel_map)


class _Convolve(torch.autograd.Function):
    """The sum of products as one node of the graph: intermediate products are neither kept nor differentiated."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.kernel_map = kernel_map
        return _sum_products(features, kernel, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, kernel = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        gradient = gradient.contiguous()
        of_features = of_kernel = None
        if ctx.needs_input_grad[0]:
            of_features = _sum_products(gradient, kernel.transpose(1, 2), kernel_map.transposed())
        if ctx.needs_input_grad[1]:
            of_kernel = _kernel_gradient(features, gradient, kernel_map)
        return of_features, of_kernel, None


def _sum_products(features: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
    """(M, out): each output row gets the sum of its input rows times the matrices of their offsets."""
    result = features.new_empty(kernel_map.num_outputs, kernel.shape[2])
    if kernel_map.identity is None:
        result.zero_()
    else:
        torch.mm(features, kernel[kernel_map.identity], out=result)
    num_rows = _rows_at_once(features, kernel_map)
    # All products land in the same memory: fresh memory costs more than what is written to it.
    gathered, products = features.new_empty(num_rows, features.shape[1]), result.new_empty(num_rows, result.shape[1])
    for offset, inputs, outputs in _split_pairs(kernel_map, num_rows):
        rows = torch.index_select(features, 0, inputs, out=gathered[: len(inputs)])
        result.index_add_(0, outputs, torch.mm(rows, kernel[offset], out=products[: len(inputs)]))
    return result


def _kernel_gradient(features: Tensor, gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """(K, in, out): for each offset the sum over its pairs of input row times gradient row."""
    result = features.new_zeros(len(kernel_map.inputs), features.shape[1], gradient.shape[1])
    if kernel_map.identity is not None:
        torch.mm(features.T, gradient, out=result[kernel_map.identity])
    num_rows = _rows_at_once(features, kernel_map)
    left, right = (rows.new_empty(num_rows, rows.shape[1]) for rows in (features, gradient))
    for offset, inputs, outputs in _split_pairs(kernel_map, num_rows):
        left_rows = torch.index_select(features, 0, inputs, out=left[: len(inputs)])
        right_rows = torch.index_select(gradient, 0, outputs, out=right[: len(inputs)])
        result[offset].addmm_(left_rows.T, right_rows)
    return result


def _rows_at_once(features: Tensor, kernel_map: KernelMap) -> int:
    """So many rows are gathered that their products find them in the cache; a GPU takes all of an offset."""
    most = max(len(inputs) for inputs in kernel_map.inputs)
    return min(most, _CACHED_ROWS) if features.device.type == "cpu" else most


def _split_pairs(kernel_map: KernelMap, num_rows: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Offset, rows of inputs, rows of outputs, at most so many; without the offset that pairs rows with themselves."""
    for offset, (inputs, outputs) in enumerate(zip(kernel_map.inputs, kernel_map.outputs, strict=True)):
        if offset != kernel_map.identity and len(inputs):
            for some_inputs, some_outputs in zip(
                torch.split(inputs, num_rows), torch.split(outputs, num_rows), strict=True
            ):
                yield offset, some_inputs, some_outputs
