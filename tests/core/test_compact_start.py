# SPDX-License-Identifier: Apache-2.0
"""A compact encoder before training: its first projection whitens what the stem says of the training scenes."""

from __future__ import annotations

import pytest
import torch
from locus_cases import SceneList, make_room

from xover_core.networks.metric_stem import GRADIENTS_DIM
from xover_core.training.compact_start import make_compact
from xover_core.training.locus_settings import LocusNetworkSettings

# float32 projections of some hundred descriptors
TOLERANCE = 1e-2


@pytest.fixture(scope="module")
def rooms():
    torch.set_num_threads(1)
    return SceneList([make_room("a"), make_room("b", 150.0)])


def test_it_starts_as_a_whitening_of_the_scenes(rooms):
    torch.manual_seed(0)
    network = make_compact(LocusNetworkSettings(radii=(0.2, 0.6), whitening_frames=12), rooms)
    projected = []
    for index in range(len(rooms)):
        frames = list(range(6))
        geometry, images = rooms.scene(index).geometry(frames), rooms.scene(index).image_tensor(frames)
        with torch.no_grad():
            descriptors = network.averaged_descriptors(images, geometry.depth, geometry.intrinsics.float())
            projected.append(network.gradients(descriptors[..., :GRADIENTS_DIM]).flatten(0, 1))
    values = torch.cat(projected)
    assert len(values) == 2 * 6 * 80
    # the strongest directions; weak ones of so few frames are rounding
    covariance = (values.T @ values / len(values))[:32, :32]
    torch.testing.assert_close(values.mean(0)[:32], torch.zeros(32), atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(covariance, torch.eye(32), atol=TOLERANCE, rtol=0)


def test_fewer_frames_than_scenes_are_enough(rooms):
    assert make_compact(LocusNetworkSettings(whitening_frames=1), rooms).gradients.weight.isfinite().all()
