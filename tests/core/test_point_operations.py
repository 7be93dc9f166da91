# SPDX-License-Identifier: Apache-2.0
"""Tests of point sampling and neighbours against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xover_core.networks.point_operations import farthest_point_indices, gather_rows, nearest_indices


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def loop_farthest(points: Tensor, count: int, skipped: set[int]) -> list[int]:
    taken = [0]
    while len(taken) < count:
        distances = {
            i: min(float((points[i] - points[j]).norm()) for j in taken) for i in range(len(points)) if i not in skipped
        }
        taken.append(max(distances, key=lambda i: distances[i]))
    return taken


def test_farthest_points_are_those_of_the_definition() -> None:
    points = torch.randn(3, 20, 3)
    found = farthest_point_indices(points, 7)
    assert found.tolist() == [loop_farthest(cloud, 7, set()) for cloud in points]


def test_points_at_the_origin_are_skipped_on_demand() -> None:
    points = torch.randn(1, 12, 3)
    points[0, 5] = torch.tensor([0.03, 0.0, 0.0])
    points[0, 0] *= 9
    found = farthest_point_indices(points, 11, skips_origin=True)
    assert found[0].tolist() == loop_farthest(points[0], 11, {5})
    assert 5 in farthest_point_indices(points, 12)[0]


def test_more_points_than_there_are() -> None:
    found = farthest_point_indices(torch.randn(2, 3, 3), 5)
    assert all(set(row[:3]) == {0, 1, 2} for row in found.tolist())
    assert farthest_point_indices(torch.randn(2, 1, 3), 1).tolist() == [[0], [0]]


def test_neighbours_are_sorted_by_distance() -> None:
    points, queries = torch.randn(2, 30, 3), torch.randn(2, 4, 3)
    found = nearest_indices(points, queries, 6)
    for batch in range(2):
        for row in range(4):
            distances = (points[batch] - queries[batch, row]).norm(dim=-1)
            assert found[batch, row].tolist() == distances.argsort()[:6].tolist()


def test_a_point_is_its_own_neighbour_far_from_the_origin() -> None:
    points = 100 + 1e-3 * torch.randn(1, 60, 3)
    assert nearest_indices(points, points, 1)[0, :, 0].tolist() == list(range(60))


def test_rows_are_gathered_within_their_batch_item() -> None:
    values, indices = torch.randn(2, 5, 3), torch.randint(0, 5, (2, 4, 6))
    found = gather_rows(values, indices)
    assert found.shape == (2, 4, 6, 3)
    assert torch.equal(found[1, 2, 3], values[1, indices[1, 2, 3]])
    assert torch.equal(gather_rows(values, indices[:, :, 0])[1, 2], values[1, indices[1, 2, 0]])
