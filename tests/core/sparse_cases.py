# SPDX-License-Identifier: Apache-2.0
"""Between the dictionaries of the naive definition and sparse tensors."""

from __future__ import annotations

import numpy as np
import torch
from naive_sparse import Cloud

from xover_core.networks.sparse_tensor import SparseTensor, make_sparse_tensor

# float64 sums of some thousand products of numbers around 1
TOLERANCE = 1e-11


def to_tensor(cloud: Cloud) -> SparseTensor:
    """float64, stride 1."""
    coordinates = torch.tensor(list(cloud))
    return make_sparse_tensor(coordinates, torch.from_numpy(np.stack(list(cloud.values()))))


def to_cloud(tensor: SparseTensor) -> Cloud:
    voxels = [tuple(voxel) for voxel in tensor.coordinates.tolist()]
    assert len(set(voxels)) == len(voxels)
    return dict(zip(voxels, tensor.features.detach().numpy(), strict=True))


def assert_same(actual: SparseTensor, expected: Cloud) -> None:
    """The same voxels with the same features."""
    found = to_cloud(actual)
    assert found.keys() == expected.keys()
    for voxel, features in expected.items():
        np.testing.assert_allclose(found[voxel], features, atol=TOLERANCE)
