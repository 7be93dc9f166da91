# SPDX-License-Identifier: Apache-2.0
"""Pooling against its definition, and normalisation against torch's own."""

from __future__ import annotations

import naive_sparse
import numpy as np
import pytest
import torch
from naive_sparse import random_cloud
from sparse_cases import TOLERANCE, assert_same, to_cloud, to_tensor

from xover_core.networks.sparse_layers import (
    SparseAveragePooling,
    SparseBatchNorm,
    SparseMaxPooling,
    SparseReLU,
    global_max,
    global_mean,
)
from xover_core.networks.sparse_tensor import make_sparse_tensor

CHANNELS = 3
POOLING = {"mean": SparseAveragePooling, "max": SparseMaxPooling}


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 2), (2, 2), (3, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("how", POOLING)
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_pooling_is_the_definition(kernel_size, stride, how, share):
    cloud = random_cloud(kernel_size, CHANNELS, share=share)
    output = POOLING[how](kernel_size, stride)(to_tensor(cloud))
    assert output.stride == stride
    assert_same(output, naive_sparse.pool(cloud, kernel_size, stride, how))


def test_average_divides_by_existing_voxels():
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, -1, 0, 0]])
    tensor = make_sparse_tensor(coordinates, torch.tensor([[2.0], [4.0], [7.0]]))
    assert to_cloud(SparseAveragePooling(2, 2)(tensor)) == {(0, 0, 0, 0): 3.0, (0, -2, 0, 0): 7.0}


@pytest.mark.parametrize("how", POOLING)
def test_gradients_of_pooling_are_those_of_differences(how):
    tensor = to_tensor(random_cloud(0, CHANNELS))
    features = tensor.features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: POOLING[how](3, 2)(tensor.replace(x)).features, features)


def test_global_pooling_is_for_each_cloud():
    cloud = random_cloud(1, CHANNELS, num_batches=3)
    tensor = to_tensor(cloud)
    for batch in range(3):
        features = np.array([values for voxel, values in cloud.items() if voxel[0] == batch])
        np.testing.assert_allclose(global_mean(tensor)[batch].numpy(), features.mean(0), atol=TOLERANCE)
        np.testing.assert_array_equal(global_max(tensor)[batch].numpy(), features.max(0))


@pytest.mark.parametrize("is_training", [True, False])
def test_normalisation_is_that_of_rows(is_training):
    tensor = to_tensor(random_cloud(2, CHANNELS))
    ours, reference = SparseBatchNorm(CHANNELS).double(), torch.nn.BatchNorm1d(CHANNELS).double()
    reference.weight.data = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    reference.running_mean.data += 0.3
    ours.load_state_dict({f"bn.{key}": value for key, value in reference.state_dict().items()})
    ours.train(is_training)
    reference.train(is_training)
    weights = torch.linspace(-1, 1, tensor.features.numel(), dtype=torch.float64).reshape(tensor.features.shape)
    gradients = []
    for layer in (lambda x: ours(tensor.replace(x)).features, reference):
        features = tensor.features.clone().requires_grad_()
        output = layer(features)
        (output * weights).sum().backward()
        gradients.append((output.detach(), features.grad))
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(ours.bn.running_var, reference.running_var)
    assert ours.bn.num_batches_tracked == reference.num_batches_tracked


def test_relu_cuts_off_below_zero():
    tensor = to_tensor(random_cloud(3, CHANNELS))
    torch.testing.assert_close(SparseReLU()(tensor).features, tensor.features.clamp_min(0))
