# SPDX-License-Identifier: Apache-2.0
"""The sparse ResNet34 under its published names; its block against the naive definition."""

from __future__ import annotations

from collections.abc import Iterator

import naive_sparse
import numpy as np
import pytest
import torch
from naive_sparse import Cloud, random_cloud
from sparse_cases import assert_same, to_tensor
from torch import Tensor

from xover_core.networks.sparse_backend import TorchSparseLayers
from xover_core.networks.sparse_quantization import quantize_points
from xover_core.networks.sparse_resnet import SparseBasicBlock, SparseResNet34

NUM_PARAMETERS = 70_554_816
STAGES = {"layer1": (3, 64, 64), "layer2": (4, 64, 128), "layer3": (6, 128, 256), "layer4": (3, 256, 512)}
EPSILON = 1e-5
# float32 sums in another order, through 36 layers
TOLERANCE = 1e-4


def norm_shapes(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for key in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.bn.{key}", (channels,)
    yield f"{name}.bn.num_batches_tracked", ()


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes below `encoder3D.`, written down from the specification."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.kernel": (125, 3, 64), "conv5.kernel": (27, 512, 512)}
    shapes.update([*norm_shapes("bn1", 64), *norm_shapes("bn5", 512)])
    for stage, (num_blocks, before, channels) in STAGES.items():
        for block in range(num_blocks):
            name, entering = f"{stage}.{block}", channels if block else before
            shapes[f"{name}.conv1.kernel"] = (27, entering, channels)
            shapes[f"{name}.conv2.kernel"] = (27, channels, channels)
            shapes.update([*norm_shapes(f"{name}.norm1", channels), *norm_shapes(f"{name}.norm2", channels)])
            if block == 0:
                shapes[f"{name}.downsample.0.kernel"] = (1, entering, channels)
                shapes.update(norm_shapes(f"{name}.downsample.1", channels))
    return shapes


def made_up_weights(seed: int = 0) -> dict[str, Tensor]:
    """Weights of the published names and shapes that keep activations around 1."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in published_shapes().items():
        if name.endswith("kernel"):
            weights[name] = torch.randn(shape, generator=generator) / (shape[0] * shape[1]) ** 0.5
        elif name.endswith("tracked"):
            weights[name] = torch.tensor(100)
        else:
            weights[name] = 0.5 + torch.rand(shape, generator=generator)
    return weights


def make_clouds() -> tuple[list[Tensor], list[Tensor]]:
    """Two clouds of points in 3 m, and their colours."""
    generator = torch.Generator().manual_seed(0)
    clouds = [torch.rand(count, 3, generator=generator) * 3 for count in (400, 300)]
    return clouds, [torch.rand(len(cloud), 3, generator=generator) - 0.5 for cloud in clouds]


@pytest.fixture(scope="module")
def network() -> SparseResNet34:
    torch.set_num_threads(1)
    network = SparseResNet34(layers=TorchSparseLayers())
    network.load_state_dict(made_up_weights(), strict=True)
    return network.eval()


def test_names_and_shapes_are_the_published_ones(network):
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == published_shapes()
    assert sum(parameter.numel() for parameter in network.parameters()) == NUM_PARAMETERS


def test_clouds_become_rows_that_do_not_depend_on_the_batch(network):
    clouds, colors = make_clouds()
    with torch.inference_mode():
        together = network(quantize_points(clouds, colors, 0.02))
        alone = network(quantize_points(clouds[1:], colors[1:], 0.02))
    assert together.shape == (2, 512)
    assert not torch.allclose(together[0], together[1], atol=0.01)
    torch.testing.assert_close(together[1:], alone, atol=TOLERANCE, rtol=TOLERANCE)


def test_output_has_the_strides_of_all_stages(network):
    strides = []
    handles = [
        getattr(network, name).register_forward_hook(lambda _module, _inputs, output: strides.append(output.stride))
        for name in ("conv1", "pool", "layer1", "layer2", "layer3", "layer4", "conv5")
    ]
    with torch.inference_mode():
        network(quantize_points(*make_clouds(), 0.02))
    for handle in handles:
        handle.remove()
    assert strides == [2, 4, 8, 16, 32, 64, 192]


def normed(cloud: Cloud, norm: torch.nn.BatchNorm1d) -> Cloud:
    """Normalisation by stored statistics."""
    mean, variance, scale, shift = (
        value.detach().numpy() for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return {voxel: (f - mean) / np.sqrt(variance + EPSILON) * scale + shift for voxel, f in cloud.items()}


@pytest.mark.parametrize(("stride", "out_channels"), [(1, 3), (1, 4), (2, 3)])
def test_block_is_the_definition(stride, out_channels):
    torch.manual_seed(stride)
    block = SparseBasicBlock(TorchSparseLayers(), 3, out_channels, stride=stride).double().eval()
    for norm in (block.norm1.bn, block.norm2.bn):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    cloud = random_cloud(stride, 3)
    hidden = naive_sparse.convolve(cloud, block.conv1.kernel.detach().numpy(), 3, stride=stride)
    hidden = {voxel: features.clip(0) for voxel, features in normed(hidden, block.norm1.bn).items()}
    hidden = naive_sparse.convolve(hidden, block.conv2.kernel.detach().numpy(), 3, in_stride=stride)
    hidden, shortcut = normed(hidden, block.norm2.bn), cloud
    assert (block.downsample is None) == (stride == 1 and out_channels == 3)
    if block.downsample is not None:
        kernel = block.downsample[0].kernel.detach().numpy().reshape(1, 3, out_channels)
        shortcut = normed(naive_sparse.convolve(cloud, kernel, 1, stride=stride), block.downsample[1].bn)
    assert_same(block(to_tensor(cloud)), {voxel: (hidden[voxel] + shortcut[voxel]).clip(0) for voxel in hidden})
