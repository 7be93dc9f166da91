# SPDX-License-Identifier: Apache-2.0
"""Voxels as sorted integers: batch, z, y and x of a voxel packed into one int64.

A shift of a voxel is then one addition, a set of voxels is a sorted vector, and to look a voxel up is a binary search;
all of that runs alike on CPU and CUDA. x has the lowest bits, so that neighbours along x are neighbours in the vector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xover_core.errors import SensorDataError

_AXIS_BITS = 17
_BATCH_BITS = 12
_BIAS = 1 << (_AXIS_BITS - 1)
_AXIS_MASK = (1 << _AXIS_BITS) - 1
_AXIS_SHIFTS = (0, _AXIS_BITS, 2 * _AXIS_BITS)
_BATCH_SHIFT = 3 * _AXIS_BITS

MAX_REACH = 1 << 12
"""Offsets of a kernel plus a stride stay below this many voxels: a shifted key never runs into the next field."""
MAX_COORDINATE = _BIAS - MAX_REACH - 1
"""Largest absolute coordinate, voxels: 1.2 km at 2 cm."""
MAX_BATCH_SIZE = 1 << _BATCH_BITS


def pack_coordinates(coordinates: Tensor) -> Tensor:
    """(N, 4) integers (batch, x, y, z) -> (N,) int64 keys, ordered by batch, z, y, x.

    Raises:
        SensorDataError: a coordinate or batch index does not fit into its bits.
    """
    batch, axes = coordinates[:, 0].long(), coordinates[:, 1:].long()
    if len(axes) and (axes.abs().amax() > MAX_COORDINATE or batch.amin() < 0 or batch.amax() >= MAX_BATCH_SIZE):
        raise SensorDataError(
            f"voxel coordinates: expected at most {MAX_COORDINATE} in size and batch indices from 0 to"
            f" {MAX_BATCH_SIZE - 1}, got {int(axes.abs().amax())} and {int(batch.amin())} to {int(batch.amax())};"
            " move the points to the origin, or take larger voxels or smaller batches."
        )
    return _pack(batch, axes)


def unpack_coordinates(keys: Tensor) -> Tensor:
    """(N,) keys -> (N, 4) int64 (batch, x, y, z)."""
    axes = [((keys >> shift) & _AXIS_MASK) - _BIAS for shift in _AXIS_SHIFTS]
    return torch.stack([key_batches(keys), *axes], dim=1)


def key_batches(keys: Tensor) -> Tensor:
    """(N,) keys -> (N,) int64 batch indices."""
    return keys >> _BATCH_SHIFT


def strided_keys(keys: Tensor, stride: int) -> Tensor:
    """Sorted, unique keys of the voxels floor(c / stride) * stride."""
    coordinates = unpack_coordinates(keys)
    axes = coordinates[:, 1:].div(stride, rounding_mode="floor") * stride
    # voxels of one coarse voxel follow each other in runs along x: fewer to sort
    shortened = first_of_runs(_pack(coordinates[:, 0], axes))
    return first_of_runs(shortened.sort().values)


def first_of_runs(keys: Tensor) -> Tensor:
    """Each run of equal keys shortened to one."""
    return keys[starts_of_runs(keys)]


def starts_of_runs(keys: Tensor) -> Tensor:
    """(R,) rows at which runs of equal keys start."""
    is_start = torch.ones_like(keys, dtype=torch.bool)
    is_start[1:] = keys[1:] != keys[:-1]
    return is_start.nonzero().squeeze(1)


def key_offsets(kernel_size: int, step: int) -> list[int]:
    """What to add to a key for each offset of a cubic kernel, x fastest; odd kernels are centred, even ones start at 0.

    Args:
        kernel_size: k, along each axis.
        step: voxels between neighbouring offsets.

    Returns:
        k^3 numbers.
    """
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    line = [(first + number) * step for number in range(kernel_size)]
    shift_x, shift_y, shift_z = _AXIS_SHIFTS
    return [(x << shift_x) + (y << shift_y) + (z << shift_z) for z in line for y in line for x in line]


def _pack(batch: Tensor, axes: Tensor) -> Tensor:
    """Keys of coordinates that are known to fit."""
    keys = batch << _BATCH_SHIFT
    for axis, shift in enumerate(_AXIS_SHIFTS):
        keys = keys | ((axes[:, axis] + _BIAS) << shift)
    return keys
