# SPDX-License-Identifier: Apache-2.0
"""Tests of clouds seen from above."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xover_core.networks.sparse_tensor import make_sparse_tensor
from xover_core.networks.top_view import TOP_VIEW_CHANNELS, TOP_VIEW_SIZE, top_views

# float32 sums of some numbers
TOLERANCE = 1e-5


def make_cloud(rows):
    """A cloud of (batch, x, y, z, height, grey)."""
    values = torch.tensor(rows, dtype=torch.float32)
    features = torch.cat([values[:, 5:].expand(-1, 3), values[:, 4:5], torch.zeros(len(values), 3)], dim=1)
    return make_sparse_tensor(values[:, :4].long(), features)


def test_things_are_seen_from_above_in_their_layer():
    # one thing in each layer at the corners, the floor below them, and a lamp above everything
    rows = [(0, 0, 0, 0, 0.0, 0), (0, 20, 0, 3, 0.3, 0), (0, 0, 10, 8, 0.8, 0), (0, 20, 10, 15, 1.5, 0)]
    view = top_views(make_cloud([*rows, (0, 10, 5, 24, 2.4, 0)]))
    assert view.shape == (1, TOP_VIEW_CHANNELS, TOP_VIEW_SIZE, TOP_VIEW_SIZE)
    middle = TOP_VIEW_SIZE // 2
    left, right, front, back = middle - 10, middle + 10, middle - 5, middle + 5
    # y is up
    expected = np.zeros((TOP_VIEW_CHANNELS, TOP_VIEW_SIZE, TOP_VIEW_SIZE), np.float32)
    places = [(right, front, 0.3), (left, back, 0.8), (right, back, 1.5)]
    for layer, (column, y, height) in enumerate(places):
        expected[layer, TOP_VIEW_SIZE - 1 - y, column] = 1
        expected[3, TOP_VIEW_SIZE - 1 - y, column] = height / 2
    np.testing.assert_allclose(view[0], expected, atol=TOLERANCE)


def test_the_highest_thing_counts():
    view = top_views(make_cloud([(0, 0, 0, 3, 0.3, 0), (0, 0, 0, 4, 0.4, 0), (0, 0, 0, 9, 0.9, 0)]))
    assert view[0].amax(dim=(1, 2)).tolist() == pytest.approx([1, 1, 0, 0.45])


def test_where_a_cloud_lies_does_not_matter_and_others_neither():
    first = [(0, 0, 0, 3, 0.3, 0), (0, 7, 4, 8, 0.8, 0)]
    moved = [(1, 40 + x, 90 + y, z, h, c) for _, x, y, z, h, c in first]
    alone, both = top_views(make_cloud(first)), top_views(make_cloud([*first, *moved]))
    assert torch.equal(both[0], alone[0])
    assert torch.equal(both[1], alone[0])


def test_what_lies_far_out_is_cut_off():
    view = top_views(make_cloud([(0, 0, 0, 3, 0.3, 0), (0, 400, 0, 3, 0.3, 0), (0, 200, 0, 3, 0.3, 0)]))
    assert int(view[0, 0].sum()) == 1
