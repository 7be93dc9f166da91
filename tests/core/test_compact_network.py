# SPDX-License-Identifier: Apache-2.0
"""The compact encoder: shapes, its start by hand computation, what its features depend on, and what is trained."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.metric_stem import GRADIENTS_DIM, PATCH_SIZE, STEM_DIM

RADII = (0.2, 0.6, 2.0)
ROWS, COLS = 9, 14
CAMERA = torch.tensor([[110.0, 110.0, 55.5, 35.5]])
DISTANCE_M = 2.0
# float32 sums over 126 patches of products of some hundred numbers
TOLERANCE = 1e-4
# exp(-weight): three rivals that look exactly alike
LEAST_DISTINCTIVE = math.exp(-0.5)
# what surroundings add that are too far away to count
UNMOVED = 1e-5
MOVED = 1e-2

Frame = tuple[Tensor, Tensor, Tensor]


def make_frame(seed: int = 0, distance: float = DISTANCE_M) -> Frame:
    """Noise on a wall: image, depth, camera."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, ROWS * PATCH_SIZE, COLS * PATCH_SIZE, generator=generator)
    return image, torch.full((1, ROWS * PATCH_SIZE, COLS * PATCH_SIZE), distance), CAMERA


def make_network(radii: tuple[float, ...] = RADII, **options: int) -> CompactEncoder:
    torch.manual_seed(0)
    return CompactEncoder(radii, **options)


def make_whitening() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Some means and bases for a network with the usual widths."""
    generator = torch.Generator().manual_seed(1)
    others_dim = STEM_DIM - GRADIENTS_DIM
    gradients = (torch.rand(GRADIENTS_DIM, generator=generator), torch.randn(GRADIENTS_DIM, 192, generator=generator))
    others = (torch.rand(others_dim, generator=generator), torch.randn(others_dim, 32, generator=generator))
    return gradients, others


def with_context(network: CompactEncoder) -> CompactEncoder:
    """As after some training: the context path says something."""
    for head in network.context_heads:
        torch.nn.init.normal_(head.weight, std=0.3)
    return network


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("radii", "feature_dim", "num_blocks"), [(RADII, 128, 2), ((0.5,), 48, 0)])
def test_features_are_a_grid_of_short_vectors_for_each_radius(radii, feature_dim, num_blocks):
    network = with_context(make_network(radii, feature_dim=feature_dim, num_blocks=num_blocks))
    features = network(*make_frame())
    assert len(features) == len(radii)
    for grid in features:
        assert grid.shape == (1, ROWS, COLS, feature_dim)
        norms = grid.norm(dim=-1)
        assert norms.max() <= 1 + TOLERANCE
        assert norms.min() >= LEAST_DISTINCTIVE - TOLERANCE


def test_repeated_things_are_less_distinctive_than_unique_ones():
    network, frame = make_network((0.2,)), make_frame(distance=6.0)
    (_, basis), others = make_whitening()
    mean = network.averaged_descriptors(*frame)[0].mean(0)
    network.start_from_whitening((mean[:GRADIENTS_DIM], basis), others)
    image, depth, camera = frame
    # the left third of the image comes again on the right, far from itself
    third = COLS // 3 * PATCH_SIZE
    repeated = torch.cat([image[..., :-third], image[..., :third]], dim=3)
    before, after = (network(rgb, depth, camera)[0].norm(dim=-1)[0, ROWS // 2, 2] for rgb in (image, repeated))
    assert after < before - MOVED


def test_a_plain_wall_is_as_little_distinctive_as_can_be():
    network = make_network((0.2,))
    network.start_from_whitening(*make_whitening())
    _, depth, camera = make_frame()
    norms = network(torch.full((1, 3, ROWS * PATCH_SIZE, COLS * PATCH_SIZE), 0.5), depth, camera)[0].norm(dim=-1)
    assert norms.max() < LEAST_DISTINCTIVE + MOVED


def test_averaged_descriptors_are_the_stems_averaged_in_space():
    network, frame = make_network(), make_frame()
    descriptors, points = (values[0].double().numpy() for values in network.stem(*frame))
    squared = ((points[:, None] - points[None]) ** 2).sum(2)
    weights = np.exp(-squared / (2 * (0.5 * RADII[0]) ** 2))
    expected = weights @ descriptors / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(network.averaged_descriptors(*frame)[0].numpy(), expected, atol=TOLERANCE)


def test_it_starts_as_the_whitening_of_averaged_descriptors():
    network, frame = make_network(), make_frame()
    (mean, basis), others = make_whitening()
    network.start_from_whitening((mean, basis), others)
    averaged = network.averaged_descriptors(*frame)[0].double().numpy()
    projected = (averaged[:, :GRADIENTS_DIM] - mean.numpy()) @ basis.numpy()[:, :128]
    expected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    with torch.no_grad():
        smallest = torch.nn.functional.normalize(network(*frame)[0][0].flatten(0, 1), dim=1).numpy()
    np.testing.assert_allclose(smallest, expected, atol=TOLERANCE)


def test_context_adds_nothing_before_training():
    network, frame = make_network(), make_frame()
    network.start_from_whitening(*make_whitening())
    before = network(*frame)
    for parameter in network.blocks.parameters():
        torch.nn.init.normal_(parameter)
    for first, second in zip(before, network(*frame), strict=True):
        torch.testing.assert_close(first, second)
    for first, second in zip(before, with_context(network)(*frame), strict=True):
        assert (first - second).norm(dim=-1).min() > MOVED


def test_small_radii_see_near_surroundings_only():
    network = make_network()
    network.start_from_whitening(*make_whitening())
    image, depth, camera = make_frame()
    moved = depth.clone()
    moved[:, :PATCH_SIZE, :PATCH_SIZE] += 1.0
    changes = [
        (after - before).norm(dim=-1)[0]
        for before, after in zip(network(image, depth, camera), network(image, moved, camera), strict=True)
    ]
    smallest, _, largest = changes
    assert smallest[0, 0] > MOVED
    # patches are 0.145 m apart: 5 of them are 3.6 radii, and beyond the windows in which relief is read
    assert smallest[5:].max() < UNMOVED
    assert smallest[:, 5:].max() < UNMOVED
    assert largest[5:, 5:].min() > UNMOVED


def test_context_sees_everything():
    network = with_context(make_network())
    image, depth, camera = make_frame()
    moved = depth.clone()
    moved[:, :PATCH_SIZE, :PATCH_SIZE] += 1.0
    before, after = network(image, depth, camera)[0], network(image, moved, camera)[0]
    assert (after - before).norm(dim=-1)[0, 5:, 5:].max() > UNMOVED


def test_wider_averages_make_neighbours_more_alike():
    network = make_network()
    network.start_from_whitening(*make_whitening())
    likeness = [(grid[:, :, 1:] * grid[:, :, :-1]).sum(-1).mean().item() for grid in network(*make_frame())]
    assert likeness == sorted(likeness)
    assert likeness[0] < likeness[-1]


def test_after_the_first_step_every_parameter_learns():
    network, frame = make_network(), make_frame()
    torch.manual_seed(2)
    targets = [torch.randn_like(grid) for grid in network(*frame)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sum((grid * target).sum() for grid, target in zip(network(*frame), targets, strict=True)).backward()
        optimizer.step()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


def test_a_batch_of_two_is_two_batches_of_one():
    network = with_context(make_network())
    frames = make_frame(0), make_frame(3, distance=4.0)
    frames[1][1][:] = 0.0
    images, depths, cameras = (torch.cat(parts) for parts in zip(*frames, strict=True))
    together = network(images, depths, cameras * torch.tensor([[1.0], [1.2]]))
    for number, (image, depth, camera) in enumerate(frames):
        alone = network(image, depth, camera * (1.0, 1.2)[number])
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part[0], whole[number], atol=TOLERANCE, rtol=0)


def test_odd_grids_and_single_rows_are_described():
    network = with_context(make_network())
    image, depth, camera = make_frame()
    (first, *_) = network(image[..., : 3 * PATCH_SIZE, : 5 * PATCH_SIZE], depth[:, :24, :40], camera)
    assert first.shape == (1, 3, 5, 128)
    (first, *_) = network(image[..., :PATCH_SIZE, :], depth[:, :PATCH_SIZE], camera)
    assert first.isfinite().all()


@pytest.mark.parametrize("radii", [(), (0.6, 0.2), (0.2, 0.2)])
def test_radii_must_ascend(radii):
    with pytest.raises(ModelError, match="ascending"):
        CompactEncoder(radii)
