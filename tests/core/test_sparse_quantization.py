# SPDX-License-Identifier: Apache-2.0
"""Points on voxels: which voxel, whose features, and what is refused."""

from __future__ import annotations

import pytest
import torch
from sparse_cases import to_cloud

from xover_core.errors import SensorDataError
from xover_core.networks.sparse_quantization import quantize_points

POINTS = torch.tensor([[0.30, -0.01, 1.00], [0.05, 0.01, 1.05], [0.31, -0.09, 1.09]])
FEATURES = torch.tensor([[1.0], [2.0], [4.0]])


def test_first_point_of_a_voxel_speaks_for_it():
    tensor = quantize_points([POINTS], [FEATURES], 0.1, is_shifted=False)
    assert to_cloud(tensor) == {(0, 3, -1, 10): 1.0, (0, 0, 0, 10): 2.0}


def test_or_the_mean_of_its_points():
    tensor = quantize_points([POINTS], [FEATURES], 0.1, is_averaged=True, is_shifted=False)
    assert to_cloud(tensor) == {(0, 3, -1, 10): 2.5, (0, 0, 0, 10): 2.0}


def test_each_cloud_is_moved_to_its_corner():
    tensor = quantize_points([POINTS + 5, POINTS - 7], [FEATURES, FEATURES], 0.1)
    assert tensor.batch_size == 2
    assert set(to_cloud(tensor)) == {(b, x, y, 0) for b in (0, 1) for x, y in ((3, 0), (0, 1))}


def test_order_of_points_changes_only_the_one_that_speaks():
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    one, other = (quantize_points([p], [p], 0.2, is_averaged=True) for p in (points, points[order]))
    torch.testing.assert_close(one.coordinates, other.coordinates)
    torch.testing.assert_close(one.features, other.features)
    assert len(one.features) == 125
    chosen = quantize_points([points], [points], 0.2, is_shifted=False)
    torch.testing.assert_close((chosen.features / 0.2).floor().long(), chosen.coordinates[:, 1:])


@pytest.mark.parametrize(
    ("points", "features", "voxel_size", "message"),
    [
        ([], [], 0.1, "at least one"),
        ([POINTS], [], 0.1, "got 1 and 0"),
        ([POINTS, POINTS[:0]], [FEATURES, FEATURES[:0]], 0.1, "point cloud 1: expected"),
        ([POINTS], [FEATURES[:2]], 0.1, r"\(2, 1\)"),
        ([POINTS], [FEATURES], 0.0, "positive number of metres"),
        ([POINTS / 0], [FEATURES], 0.1, "finite"),
    ],
)
def test_wrong_input_is_refused(points, features, voxel_size, message):
    with pytest.raises(SensorDataError, match=message):
        quantize_points(points, features, voxel_size)
