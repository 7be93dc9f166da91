# SPDX-License-Identifier: Apache-2.0
"""Points -> voxels: floor(point / voxel size), one point or the mean of all for each voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xover_core.errors import SensorDataError
from xover_core.networks.coordinate_keys import pack_coordinates, starts_of_runs
from xover_core.networks.sparse_tensor import CoordinateManager, SparseTensor


def quantize_points(
    points: Sequence[Tensor],
    features: Sequence[Tensor],
    voxel_size: float,
    *,
    is_averaged: bool = False,
    is_shifted: bool = True,
) -> SparseTensor:
    """Put a batch of clouds on voxels.

    Args:
        points: for each cloud (N, 3) metres, N >= 1, finite.
        features: for each cloud (N, C) float.
        voxel_size: side of a voxel, metres.
        is_averaged: a voxel gets the mean of the features of its points; otherwise those of its first point.
        is_shifted: move each cloud by whole voxels so that its smallest coordinates are 0, as CrossOver does. Where
            coarser voxels begin depends on it.

    Returns:
        A tensor of stride 1.

    Raises:
        SensorDataError: there is no cloud, a cloud has no point, shapes do not fit, or the voxel size is not positive.
    """
    _check_clouds(points, features, voxel_size)
    coordinates = torch.cat(
        [_voxel_coordinates(cloud, voxel_size, number, is_shifted) for number, cloud in enumerate(points)]
    )
    keys, order = pack_coordinates(coordinates).sort(stable=True)
    starts = starts_of_runs(keys)
    values = torch.cat(list(features))[order]
    if is_averaged:
        counts = torch.diff(starts, append=starts.new_tensor([len(keys)]))
        voxels = torch.arange(len(starts), device=starts.device).repeat_interleave(counts)
        chosen = values.new_zeros(len(starts), values.shape[1]).index_add(0, voxels, values) / counts[:, None]
    else:
        chosen = values[starts]
    return SparseTensor(features=chosen, manager=CoordinateManager(keys[starts], len(points)))


def _voxel_coordinates(cloud: Tensor, voxel_size: float, number: int, is_shifted: bool) -> Tensor:
    """(N, 4) int64 of one cloud."""
    voxels = (cloud / voxel_size).floor().long()
    if is_shifted:
        voxels = voxels - voxels.amin(0)
    return torch.nn.functional.pad(voxels, (1, 0), value=number)


def _check_clouds(points: Sequence[Tensor], features: Sequence[Tensor], voxel_size: float) -> None:
    """Raise SensorDataError unless clouds and features fit together."""
    if not voxel_size > 0:
        raise SensorDataError(f"voxel size: expected a positive number of metres, got {voxel_size}.")
    if not points or len(points) != len(features):
        raise SensorDataError(
            f"point clouds: expected at least one and features for each, got {len(points)} and {len(features)}."
        )
    for number, (cloud, values) in enumerate(zip(points, features, strict=True)):
        if cloud.ndim != 2 or cloud.shape[1] != 3 or not len(cloud) or values.ndim != 2 or len(values) != len(cloud):
            raise SensorDataError(
                f"point cloud {number}: expected (N, 3) points, N >= 1, and (N, C) features, got"
                f" {tuple(cloud.shape)} and {tuple(values.shape)}."
            )
        if not cloud.isfinite().all():
            raise SensorDataError(f"point cloud {number}: expected finite positions, got NaN or infinity.")
