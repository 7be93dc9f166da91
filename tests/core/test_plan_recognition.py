# SPDX-License-Identifier: Apache-2.0
"""Tests of recognising things in drawings: numbers are sums, and paper around a drawing says nothing."""

from __future__ import annotations

import pytest
import torch

from xover_core.networks.plan_recognition import CELL_PX, PlanCells, PlanThings, summarize

KINDS = 3
# float32 sums over some hundred cells
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> PlanThings:
    torch.manual_seed(0)
    return PlanThings(KINDS, widths=(4, 8, 8, 8)).eval()


def some_drawings(count: int = 2, height: int = 64, width: int = 96) -> torch.Tensor:
    rasters = torch.zeros(count, height, width)
    rasters[:, 16:48, 20:80] = torch.rand(count, 32, 60, generator=torch.Generator().manual_seed(1)) + 0.05
    return rasters


def test_cells_are_those_between_the_ink(network):
    with torch.no_grad():
        cells = network.cells(some_drawings())
    expected = torch.zeros(2, 64 // CELL_PX, 96 // CELL_PX, dtype=torch.bool)
    expected[:, 4:12, 5:20] = True
    assert torch.equal(cells.inside, expected)
    assert cells.logits.shape == (int(expected.sum()), KINDS)


def test_summaries_count_what_cells_say():
    inside = torch.zeros(2, 3, 3, dtype=torch.bool)
    inside[0, 0, :2] = inside[1, 2, 2] = True
    sure, never = 20.0, -20.0
    logits = torch.tensor([[sure, never], [sure, 0.0], [never, 0.0]])
    summary = summarize(PlanCells(logits=logits, inside=inside, context=torch.tensor([[7.0], [8.0]])))
    numbers = torch.tensor([[2.0, 0.5], [0.0, 0.5]])
    torch.testing.assert_close(summary[:, :2].exp(), numbers + 0.05, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(summary[:, 2:4], numbers / 3, rtol=TOLERANCE, atol=TOLERANCE)
    some = torch.tensor([[1.0, 0.5], [0.0, 0.5]])
    torch.testing.assert_close(summary[:, 4:6], some, rtol=TOLERANCE, atol=TOLERANCE)
    assert summary[:, 6].tolist() == [7.0, 8.0]


def test_drawings_of_a_batch_do_not_mix(network):
    rasters = some_drawings()
    with torch.no_grad():
        together, alone = network(rasters), network(rasters[1:])
    assert together.shape == (2, network.summary_dim)
    torch.testing.assert_close(together[1:], alone, rtol=TOLERANCE, atol=TOLERANCE)


def test_before_training_next_to_nothing_is_there(network):
    with torch.no_grad():
        numbers = network(some_drawings())[:, KINDS : 2 * KINDS]
    assert float(numbers.max()) < 0.5


def test_empty_paper_is_no_error(network):
    with torch.no_grad():
        assert network(torch.zeros(1, 32, 32)).isfinite().all()
