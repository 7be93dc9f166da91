# SPDX-License-Identifier: Apache-2.0
"""The small network for clouds of rooms: its shapes, what its output depends on, and that it learns."""

from __future__ import annotations

import pytest
import torch

from xover_core.errors import ModelError
from xover_core.networks.light_cloud_network import LightCloudNetwork
from xover_core.networks.sparse_backend import TorchSparseLayers
from xover_core.networks.sparse_quantization import quantize_points
from xover_core.networks.sparse_tensor import SparseTensor

CHANNELS, WIDTHS, BLOCKS = 4, (8, 12), (1, 2)
STRIDE = 4
# float32 sums in another order
TOLERANCE = 1e-5


def make_network() -> LightCloudNetwork:
    torch.manual_seed(0)
    return LightCloudNetwork(CHANNELS, WIDTHS, BLOCKS, TorchSparseLayers())


def make_clouds(num_clouds: int = 2) -> list[torch.Tensor]:
    """Points on voxels of side 1."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(300, 3, generator=generator) * 12 for _ in range(num_clouds)]


def voxels_of(clouds: list[torch.Tensor]) -> SparseTensor:
    features = [torch.cat([cloud.sin(), cloud[:, :1].cos()], dim=1) for cloud in clouds]
    return quantize_points(clouds, features, 1.0, is_averaged=True, is_shifted=False)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_output_is_mean_and_maximum_of_the_last_stage():
    network = make_network()
    output = network(voxels_of(make_clouds(3)))
    assert output.shape == (3, network.out_channels) == (3, 2 * WIDTHS[-1])
    mean, most = output.chunk(2, dim=1)
    assert (most >= mean).all()
    assert (mean >= 0).all()


def test_default_network_halves_the_resolution_four_times():
    torch.manual_seed(0)
    network = LightCloudNetwork(layers=TorchSparseLayers()).eval()
    tensor = network.stages(SparseTensor(features=torch.rand(300, 7), manager=voxels_of(make_clouds(1)).manager))
    assert tensor.stride == 16
    assert tensor.features.shape[1] == 256


def test_a_cloud_is_described_the_same_in_any_batch():
    network, clouds = make_network().eval(), make_clouds(3)
    together = network(voxels_of(clouds))
    for number, cloud in enumerate(clouds):
        torch.testing.assert_close(network(voxels_of([cloud]))[0], together[number], atol=TOLERANCE, rtol=TOLERANCE)


def test_a_moved_cloud_is_described_the_same():
    network, (cloud,) = make_network().eval(), make_clouds(1)
    tensor = voxels_of([cloud])
    moved = quantize_points([cloud + 5 * STRIDE], [cloud], 1.0, is_shifted=False).manager
    torch.testing.assert_close(
        network(SparseTensor(features=tensor.features, manager=moved)), network(tensor), atol=TOLERANCE, rtol=TOLERANCE
    )


def test_it_learns_to_tell_two_clouds_apart():
    network, tensor = make_network(), voxels_of(make_clouds(2))
    head = torch.nn.Linear(network.out_channels, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        logits = head(network(tensor))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("widths", "blocks"), [((), ()), ((8, 16), (1,))])
def test_widths_and_blocks_fit_together(widths, blocks):
    with pytest.raises(ModelError, match="as many widths as blocks"):
        LightCloudNetwork(CHANNELS, widths, blocks)
