# SPDX-License-Identifier: Apache-2.0
"""The part of the light CrossOver for point clouds, by torch: no other library here has its sparse convolutions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from xover_core.networks.light_crossover import LightCrossover
from xover_core.networks.sparse_tensor import make_sparse_tensor
from xover_core.types import Float32Array


def embed_cloud(
    network: LightCrossover,
    coordinates: NDArray[np.int32],
    features: Float32Array,
    colors: Float32Array,
    layout: Float32Array,
) -> Float32Array:
    """(M, 3) voxels, (M, C) features, (H,) histogram of colours and (S,) signature to (D,)."""
    with torch.inference_mode():
        batch = torch.zeros((len(coordinates), 1), dtype=torch.int32)
        voxels = torch.cat([batch, torch.from_numpy(coordinates)], dim=1)
        cloud = make_sparse_tensor(voxels, torch.from_numpy(features))
        statistics = torch.from_numpy(colors)[None], torch.from_numpy(layout)[None]
        return np.asarray(network.embed_cloud(cloud, *statistics)[0].numpy(), np.float32)
