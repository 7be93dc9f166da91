# SPDX-License-Identifier: Apache-2.0
"""Sparse tensors, their keys, and the kernel maps that layers share."""

from __future__ import annotations

import pytest
import torch
from naive_sparse import output_voxels, random_cloud
from sparse_cases import to_cloud, to_tensor

from xover_core.errors import ModelError, SensorDataError
from xover_core.networks.coordinate_keys import MAX_BATCH_SIZE, MAX_COORDINATE, pack_coordinates, unpack_coordinates
from xover_core.networks.sparse_convolution import SparseConvolution
from xover_core.networks.sparse_tensor import make_sparse_tensor


def test_packing_and_unpacking_are_inverse_up_to_the_limits():
    low, high = -MAX_COORDINATE, MAX_COORDINATE
    coordinates = torch.tensor([[0, low, high, 0], [MAX_BATCH_SIZE - 1, high, low, -1], [7, 0, 0, high]])
    torch.testing.assert_close(unpack_coordinates(pack_coordinates(coordinates)), coordinates)


def test_keys_are_ordered_by_batch_z_y_x():
    coordinates = torch.randint(-5, 5, (200, 4), generator=torch.Generator().manual_seed(0))
    coordinates[:, 0] += 5
    ordered = unpack_coordinates(pack_coordinates(coordinates).sort().values).tolist()
    assert ordered == sorted(coordinates.tolist(), key=lambda row: (row[0], row[3], row[2], row[1]))


@pytest.mark.parametrize("row", [[0, MAX_COORDINATE + 1, 0, 0], [0, 0, 0, -MAX_COORDINATE - 1], [-1, 0, 0, 0]])
def test_coordinates_that_do_not_fit_are_refused(row):
    with pytest.raises(SensorDataError, match="voxel coordinates: expected at most"):
        pack_coordinates(torch.tensor([[0, 0, 0, 0], row]))


def test_features_stay_with_their_voxels():
    cloud = random_cloud(0, 2)
    found = to_cloud(to_tensor(cloud))
    assert found.keys() == cloud.keys()
    assert all((found[voxel] == features).all() for voxel, features in cloud.items())


@pytest.mark.parametrize("path", [(6,), (2, 6), (3, 6), (2, 3, 6)])
def test_voxels_of_a_stride_do_not_depend_on_the_layers_before(path):
    cloud = random_cloud(1, 1, extent=14, share=0.1, lowest=-9)
    manager = to_tensor(cloud).manager
    keys = [manager.keys(stride) for stride in path][-1]
    assert {tuple(row) for row in unpack_coordinates(keys).tolist()} == output_voxels(cloud, 6)
    assert (keys[1:] > keys[:-1]).all()


def test_a_kernel_map_is_made_once():
    tensor = to_tensor(random_cloud(2, 1))
    kernel_map = tensor.manager.kernel_map
    assert kernel_map(1, 1, 3) is kernel_map(1, 1, 3)
    assert kernel_map(1, 1, 3) is not kernel_map(1, 1, 3, 2)
    layer = SparseConvolution(1, 1, 3, stride=2).double()
    assert layer(tensor).manager is tensor.manager


def test_mirrored_offsets_share_their_pairs():
    kernel_map = to_tensor(random_cloud(3, 1)).manager.kernel_map(1, 1, 3)
    assert kernel_map.identity == 13
    for offset in range(27):
        assert kernel_map.inputs[offset] is kernel_map.outputs[26 - offset]


def test_sum_needs_the_same_voxels():
    tensor = to_tensor(random_cloud(4, 2))
    torch.testing.assert_close((tensor + tensor).features, 2 * tensor.features)
    coarse = SparseConvolution(2, 2, 2, stride=2).double()(tensor)
    with pytest.raises(ModelError, match="got strides 1 and 2"):
        tensor + coarse
    with pytest.raises(ModelError, match="of different clouds"):
        tensor + to_tensor(random_cloud(4, 2))


def test_copy_on_a_device_has_the_same_voxels():
    tensor = SparseConvolution(2, 2, 2, stride=2).double()(to_tensor(random_cloud(5, 2)))
    copy = tensor.to("cpu")
    assert copy.manager is not tensor.manager
    assert copy.stride == 2
    torch.testing.assert_close(copy.coordinates, tensor.coordinates)


@pytest.mark.parametrize(
    ("coordinates", "features", "message"),
    [
        (torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 3), "at least one voxel"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3), r"\(N, 4\)"),
        (torch.zeros(1, 4), torch.zeros(1, 3), "int coordinates"),
        (torch.zeros(1, 4, dtype=torch.int64), torch.zeros(2, 3), r"features \(1, C\)"),
        (torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 3), "each voxel once"),
        (torch.tensor([[0, 0, 0, 0], [2, 0, 0, 0]]), torch.zeros(2, 3), "each of 3 clouds, got some for 2"),
    ],
)
def test_wrong_input_is_refused(coordinates, features, message):
    with pytest.raises(SensorDataError, match=message):
        make_sparse_tensor(coordinates, features)
