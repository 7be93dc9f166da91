# SPDX-License-Identifier: Apache-2.0
"""The same 3^3 convolution in several libraries, for `bench_sparse.py`; each is imported only when it is measured.

All weights are alike for every offset, so that the order in which a library stores its kernel does not matter and sums
of squares of the outputs can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Convolution = Callable[[Tensor], Tensor]
MAX_DENSE_CELLS = 5_000_000


class LeftOut(Exception):  # noqa: N818 - no error, but a reason that is printed
    """Why a library is left out."""


def make_weights(channels: int) -> Tensor:
    """(27, C, C), the same for each offset."""
    weights = torch.randn(channels, channels, generator=torch.Generator().manual_seed(1)) / (27 * channels) ** 0.5
    return weights.expand(27, channels, channels).contiguous()


def make_xover(coordinates: Tensor, channels: int) -> Convolution:
    """This project, in plain torch."""
    from xover_core.networks.sparse_convolution import SparseConvolution
    from xover_core.networks.sparse_tensor import make_sparse_tensor

    layer = SparseConvolution(channels, channels, 3)
    layer.kernel.data = make_weights(channels)
    start = make_sparse_tensor(coordinates, torch.zeros(len(coordinates), 1))
    return lambda features: layer(start.replace(features)).features


def make_dense(coordinates: Tensor, channels: int) -> Convolution:
    """The conv3d of torch, on all cells of the bounding box."""
    x, y, z = coordinates[:, 1:].T
    shape = [int(axis.amax()) + 1 for axis in (x, y, z)]
    num_cells = shape[0] * shape[1] * shape[2]
    if num_cells > MAX_DENSE_CELLS:
        raise LeftOut(f"{num_cells:,} cells are too many")
    layer = torch.nn.Conv3d(channels, channels, 3, padding=1, bias=False)
    layer.weight.data = make_weights(channels).reshape(3, 3, 3, channels, channels).permute(4, 3, 0, 1, 2).contiguous()

    def convolve(features: Tensor) -> Tensor:
        grid = features.new_zeros(1, channels, *shape)
        grid[0, :, x, y, z] = features.T
        return layer(grid)[0, :, x, y, z].T

    return convolve


def make_minkowski(coordinates: Tensor, channels: int) -> Convolution:
    """MinkowskiEngine."""
    import collections
    import collections.abc

    # its last release (2021) still looks for this name, which Python 3.10 removed
    collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    import MinkowskiEngine

    layer = MinkowskiEngine.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=3)
    layer.kernel.data = make_weights(channels)
    start = MinkowskiEngine.SparseTensor(torch.zeros(len(coordinates), 1), coordinates.int())
    voxels = {"coordinate_map_key": start.coordinate_map_key, "coordinate_manager": start.coordinate_manager}
    return lambda features: layer(MinkowskiEngine.SparseTensor(features, **voxels)).F


def make_spconv(coordinates: Tensor, channels: int) -> Convolution:
    """What spconv has for CPU."""
    import spconv.pytorch
    import spconv.pytorch.ops

    if torch.get_num_threads() > 1:
        raise LeftOut("its results on CPU are wrong with more than one thread")
    # on CPU its backward asks for a CUDA stream that it does not use
    spconv.pytorch.ops.get_current_stream = lambda: 0
    algorithm = spconv.pytorch.ConvAlgo.Native
    layer = spconv.pytorch.SubMConv3d(channels, channels, 3, bias=False, indice_key="same", algo=algorithm)
    weights = make_weights(channels)[0].T if layer.weight.shape[0] == channels else make_weights(channels)[0]
    layer.weight.data = _like_each_offset(layer.weight, weights)
    indices = coordinates[:, [0, 3, 2, 1]].int().contiguous()
    shape = (indices[:, 1:].amax(0) + 1).tolist()
    start = spconv.pytorch.SparseConvTensor(torch.zeros(len(indices), channels), indices, shape, 1)
    return lambda features: layer(start.replace_feature(features)).features


def make_open3d(coordinates: Tensor, channels: int) -> Convolution:
    """Open3D's layer; it finds neighbours anew in every call."""
    import open3d.ml.torch

    layer = open3d.ml.torch.layers.SparseConv(channels, channels, [3, 3, 3], use_bias=False)
    layer.kernel.data = make_weights(channels).reshape(layer.kernel.shape)
    positions = coordinates[:, 1:].float() + 0.5
    voxel_size = torch.tensor(1.0)
    return lambda features: layer(features, positions, positions, voxel_size)


def _like_each_offset(stored: Tensor, weights: Tensor) -> Tensor:
    """`weights` for every offset, in a layout with (out, 3, 3, 3, in) or (3, 3, 3, in, out)."""
    if stored.shape[0] == len(weights) and stored.shape[1] == 3:
        return weights[:, None, None, None].expand(stored.shape).contiguous()
    return weights.expand(stored.shape).contiguous()


LIBRARIES: dict[str, Callable[[Tensor, int], Convolution]] = {
    "xover": make_xover,
    "MinkowskiEngine": make_minkowski,
    "spconv": make_spconv,
    "Open3D": make_open3d,
    "dense conv3d": make_dense,
}
