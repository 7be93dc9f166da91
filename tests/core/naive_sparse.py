# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution and pooling by their definition: loops over a dictionary of voxels, nothing shared with ours."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Voxel = tuple[int, int, int, int]
Cloud = dict[Voxel, NDArray[np.float64]]


def random_cloud(
    seed: int, channels: int, *, num_batches: int = 2, extent: int = 5, share: float = 0.4, lowest: int = -3
) -> Cloud:
    """Voxels of some cubes in random order, as unlike a sorted list as can be."""
    random = np.random.default_rng(seed)
    axis = range(lowest, lowest + extent)
    voxels = list(itertools.product(range(num_batches), axis, axis, axis))
    chosen = random.permutation(len(voxels))[: int(share * len(voxels))]
    return {voxels[row]: random.normal(size=channels) for row in chosen}


def kernel_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """(x, y, z) for each index, x fastest."""
    first = -((kernel_size - 1) // 2) if kernel_size % 2 == 1 else 0
    return [
        (first + index % kernel_size, first + index // kernel_size % kernel_size, first + index // kernel_size**2)
        for index in range(kernel_size**3)
    ]


def output_voxels(cloud: Cloud, step: int) -> set[Voxel]:
    """Voxels whose coordinates are rounded down to multiples of `step`."""
    return {(b, x // step * step, y // step * step, z // step * step) for b, x, y, z in cloud}


def neighbours(cloud: Cloud, voxel: Voxel, kernel_size: int, step: int) -> list[tuple[int, Voxel]]:
    """(index of the offset, voxel of the cloud) for all that exist."""
    b, x, y, z = voxel
    candidates = (
        (i, (b, x + dx * step, y + dy * step, z + dz * step))
        for i, (dx, dy, dz) in enumerate(kernel_offsets(kernel_size))
    )
    return [(index, candidate) for index, candidate in candidates if candidate in cloud]


def convolve(
    cloud: Cloud,
    kernel: NDArray[np.float64],
    kernel_size: int,
    *,
    in_stride: int = 1,
    stride: int = 1,
    dilation: int = 1,
) -> Cloud:
    """Sparse convolution; `kernel` is (k^3, in, out)."""
    result = {}
    for voxel in output_voxels(cloud, in_stride * stride):
        total = np.zeros(kernel.shape[2])
        for index, neighbour in neighbours(cloud, voxel, kernel_size, in_stride * dilation):
            total = total + cloud[neighbour] @ kernel[index]
        result[voxel] = total
    return result


def pool(cloud: Cloud, kernel_size: int, stride: int, how: str) -> Cloud:
    """Mean or maximum over existing neighbours, 0 without any."""
    channels = len(next(iter(cloud.values())))
    result = {}
    for voxel in output_voxels(cloud, stride):
        found = [cloud[neighbour] for _, neighbour in neighbours(cloud, voxel, kernel_size, 1)]
        values = np.array(found) if found else np.zeros((1, channels))
        result[voxel] = values.mean(0) if how == "mean" else values.max(0)
    return result
