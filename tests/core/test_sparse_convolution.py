# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution against its definition, by known answers, and its gradients against differences."""

from __future__ import annotations

import naive_sparse
import numpy as np
import pytest
import torch
from naive_sparse import random_cloud
from sparse_cases import TOLERANCE, assert_same, to_cloud, to_tensor

from xover_core.errors import ModelError
from xover_core.networks.sparse_convolution import SparseConvolution, convolve
from xover_core.networks.sparse_tensor import make_sparse_tensor

IN_CHANNELS, OUT_CHANNELS = 3, 2
# kernel, stride, dilation
SHAPES = [(1, 2, 1), (2, 1, 1), (2, 2, 1), (3, 1, 1), (3, 2, 1), (3, 3, 1), (3, 1, 2), (4, 2, 1), (5, 2, 1), (2, 1, 3)]


def make_layer(kernel_size: int, *, stride: int = 1, dilation: int = 1, channels: int = IN_CHANNELS):
    torch.manual_seed(kernel_size)
    return SparseConvolution(channels, OUT_CHANNELS, kernel_size, stride=stride, dilation=dilation).double()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES)
@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
def test_layer_is_the_definition(kernel_size, stride, dilation, share):
    cloud = random_cloud(kernel_size, IN_CHANNELS, share=share)
    layer = make_layer(kernel_size, stride=stride, dilation=dilation)
    expected = naive_sparse.convolve(
        cloud, layer.kernel.detach().numpy(), kernel_size, stride=stride, dilation=dilation
    )
    output = layer(to_tensor(cloud))
    assert output.stride == stride
    assert_same(output, expected)


def test_offsets_are_in_units_of_the_stride_of_the_input():
    cloud = random_cloud(0, IN_CHANNELS, extent=9)
    first, second, third = make_layer(2, stride=2), make_layer(3, channels=2), make_layer(3, stride=3, channels=2)
    coarse = naive_sparse.convolve(cloud, first.kernel.detach().numpy(), 2, stride=2)
    same = naive_sparse.convolve(coarse, second.kernel.detach().numpy(), 3, in_stride=2)
    coarsest = naive_sparse.convolve(same, third.kernel.detach().numpy(), 3, in_stride=2, stride=3)
    output = third(second(first(to_tensor(cloud))))
    assert output.stride == 6
    assert_same(output, coarsest)


def test_pointwise_layer_is_a_product_with_a_two_dimensional_kernel():
    tensor = to_tensor(random_cloud(1, IN_CHANNELS))
    layer = make_layer(1)
    assert layer.kernel.shape == (IN_CHANNELS, OUT_CHANNELS)
    torch.testing.assert_close(layer(tensor).features, tensor.features @ layer.kernel)


def test_strided_kernel_of_one_sees_only_voxels_on_the_coarse_grid():
    tensor = make_sparse_tensor(torch.tensor([[0, 2, -4, 0], [0, 5, 5, 5]]), torch.ones(2, 1))
    layer = SparseConvolution(1, 1, 1, stride=2)
    layer.kernel.data.fill_(7.0)
    assert to_cloud(layer(tensor)) == {(0, 2, -4, 0): 7.0, (0, 4, 4, 4): 0.0}


@pytest.mark.parametrize(
    ("kernel_size", "offset", "index"),
    [
        (3, (-1, -1, -1), 0),
        (3, (1, 0, 0), 14),
        (3, (0, 1, 0), 16),
        (3, (0, 0, 1), 22),
        (2, (1, 0, 0), 1),
        (2, (0, 0, 1), 4),
    ],
)
def test_kernel_index_runs_along_x_first(kernel_size, offset, index):
    coordinates = torch.tensor([[0, 10, 20, 30], [0, 10 + offset[0], 20 + offset[1], 30 + offset[2]]])
    tensor = make_sparse_tensor(coordinates, torch.tensor([[0.0], [1.0]]))
    layer = SparseConvolution(1, 1, kernel_size)
    layer.kernel.data = torch.arange(kernel_size**3, dtype=torch.float32).reshape(-1, 1, 1)
    assert to_cloud(layer(tensor))[0, 10, 20, 30] == index


def test_dense_cube_is_what_conv3d_computes():
    side = 6
    image = torch.randn(2, IN_CHANNELS, side, side, side, dtype=torch.float64)  # indexed x, y, z
    coordinates = torch.cartesian_prod(torch.arange(2), *[torch.arange(side)] * 3)
    layer = make_layer(3)
    weights = layer.kernel.reshape(3, 3, 3, IN_CHANNELS, OUT_CHANNELS).permute(4, 3, 2, 1, 0)
    expected = torch.nn.functional.conv3d(image, weights, padding=1).permute(0, 2, 3, 4, 1).reshape(-1, OUT_CHANNELS)
    output = layer(make_sparse_tensor(coordinates, image.permute(0, 2, 3, 4, 1).reshape(-1, IN_CHANNELS)))
    batch, x, y, z = output.coordinates.T
    torch.testing.assert_close(output.features, expected[((batch * side + x) * side + y) * side + z])


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES)
def test_gradients_are_those_of_differences(kernel_size, stride, dilation):
    tensor = to_tensor(random_cloud(kernel_size, IN_CHANNELS, extent=3, share=0.7))
    layer = make_layer(kernel_size, stride=stride, dilation=dilation)
    pairs = tensor.manager.kernel_map(1, stride, kernel_size, dilation)
    features = tensor.features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: convolve(x, w, pairs), (features, layer.kernel), atol=1e-6)


def test_gradient_of_the_kernel_alone():
    tensor = to_tensor(random_cloud(3, IN_CHANNELS))
    layer = make_layer(3)
    layer(tensor).features.square().sum().backward()
    alone = layer.kernel.grad.clone()
    layer.kernel.grad = None
    layer(tensor.replace(tensor.features.requires_grad_())).features.square().sum().backward()
    torch.testing.assert_close(alone, layer.kernel.grad)
    assert tensor.features.grad.abs().sum() > 0


def test_without_gradients_the_same_comes_out():
    tensor = to_tensor(random_cloud(3, IN_CHANNELS))
    layer = make_layer(3, stride=2)
    with torch.inference_mode():
        without = layer(tensor).features
    assert not without.requires_grad
    np.testing.assert_allclose(without.numpy(), layer(tensor).features.detach().numpy(), atol=TOLERANCE)


def test_order_of_voxels_does_not_matter():
    cloud = random_cloud(4, IN_CHANNELS)
    layer = make_layer(3, stride=2)
    backwards = dict(reversed(cloud.items()))
    assert list(backwards) != list(cloud)
    np.testing.assert_array_equal(
        layer(to_tensor(cloud)).features.detach().numpy(), layer(to_tensor(backwards)).features.detach().numpy()
    )


def test_clouds_of_a_batch_do_not_see_each_other():
    cloud = random_cloud(5, IN_CHANNELS)
    layer = make_layer(5)
    together = to_cloud(layer(to_tensor(cloud)))
    alone = to_cloud(layer(to_tensor({(0, *voxel[1:]): f for voxel, f in cloud.items() if voxel[0] == 1})))
    for voxel, features in alone.items():
        np.testing.assert_allclose(together[(1, *voxel[1:])], features, atol=TOLERANCE)


def test_moving_a_cloud_by_a_multiple_of_the_stride_moves_the_output():
    cloud = random_cloud(6, IN_CHANNELS)
    layer = make_layer(3, stride=2)
    moved = {(b, x - 40, y + 2, z - 6): f for (b, x, y, z), f in cloud.items()}
    expected = {(b, x - 40, y + 2, z - 6): f for (b, x, y, z), f in to_cloud(layer(to_tensor(cloud))).items()}
    assert_same(layer(to_tensor(moved)), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES)
def test_cuda_computes_the_same(kernel_size, stride, dilation):
    layer = make_layer(kernel_size, stride=stride, dilation=dilation)
    results = []
    for device in ("cpu", "cuda"):
        tensor = to_tensor(random_cloud(kernel_size, IN_CHANNELS)).to(device)
        tensor.features.requires_grad_()
        layer.to(device).kernel.grad = None
        output = layer(tensor).features
        output.square().sum().backward()
        results.append([value.cpu() for value in (output, tensor.features.grad, layer.kernel.grad)])
    torch.testing.assert_close(results[0], results[1], atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("sizes", [(0, 1, 3), (1, 0, 3), (1, 1, 0)])
def test_sizes_are_positive(sizes):
    with pytest.raises(ModelError, match="expected positive"):
        SparseConvolution(*sizes)


def test_kernel_that_reaches_too_far_is_refused():
    with pytest.raises(ModelError, match="reach of at most 4096"):
        make_layer(3, dilation=2000)(to_tensor(random_cloud(0, IN_CHANNELS)))
