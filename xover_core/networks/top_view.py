# SPDX-License-Identifier: Apache-2.0
"""Clouds seen from above, as drawings show rooms: few rooms are enough to learn from that what stands where."""

from __future__ import annotations

import torch
from torch import Tensor

from xover_core.networks.sparse_tensor import SparseTensor

TOP_VIEW_SIZE = 96
TOP_VIEW_CHANNELS = 4
# Layers of a room between these heights above the floor, m: what one steps over, tables, cupboards.
_LAYERS_M = ((0.15, 0.6), (0.6, 1.2), (1.2, 2.0))


def top_views(cloud: SparseTensor) -> Tensor:
    """Voxels whose fourth feature is the height above the floor -> (B, 4, 96, 96) as seen from above.

    The first three channels say whether there is something in a layer, the last how high the highest thing is below
    2 m. The middle of a cloud's bounding rectangle is in the middle; what lies beyond is cut off.
    """
    coordinates, heights = cloud.coordinates, cloud.features[:, 3]
    batch = coordinates[:, 0]
    pixels = coordinates[:, 1:3]
    index = batch[:, None].expand_as(pixels)
    empty = pixels.new_zeros(cloud.batch_size, 2)
    low = empty.scatter_reduce(0, index, pixels, "amin", include_self=False)
    high = empty.scatter_reduce(0, index, pixels, "amax", include_self=False)
    pixels = pixels - ((low + high) // 2)[batch] + TOP_VIEW_SIZE // 2
    is_inside = ((pixels >= 0) & (pixels < TOP_VIEW_SIZE)).all(dim=1)
    # as on a drawing, y is up
    rows = TOP_VIEW_SIZE - 1 - pixels[:, 1]
    place = (batch * TOP_VIEW_SIZE + rows) * TOP_VIEW_SIZE + pixels[:, 0]
    layers = [
        _largest(((heights >= bottom) & (heights < top)).to(heights.dtype), place, is_inside, cloud.batch_size)
        for bottom, top in _LAYERS_M
    ]
    highest = _largest(heights.clamp_min(0) * (heights < _LAYERS_M[-1][1]), place, is_inside, cloud.batch_size)
    return torch.stack([*layers, highest / 2], dim=1)


def _largest(values: Tensor, place: Tensor, is_inside: Tensor, batch_size: int) -> Tensor:
    """(B, 96, 96) largest value at each place, 0 where there is none."""
    empty = values.new_zeros(batch_size * TOP_VIEW_SIZE**2)
    return empty.scatter_reduce(0, place[is_inside], values[is_inside], "amax").view(-1, TOP_VIEW_SIZE, TOP_VIEW_SIZE)
