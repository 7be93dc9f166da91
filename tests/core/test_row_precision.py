# SPDX-License-Identifier: Apache-2.0
"""Tests of exact and smooth average precision of rows: against their definitions and against what training uses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from naive_smooth_ap import naive_smooth_ap

from xover_core.landmark_map.row_precision import average_precision, precision_measure, smooth_average_precision
from xover_core.training.smooth_ap import smooth_ap_per_query
from xover_core.types import Float32Array

# Sums of some hundred float32 shares.
TOLERANCE = 1e-5
# Interpolated sigmoids are off by 1.3e-5 at most, with changing signs; ranks are sums of them over a larger rank.
SMOOTH_TOLERANCE = 2e-5


@pytest.mark.parametrize(
    ("similarities", "labels", "expected"),
    [
        ([0.9, 0.8, 0.1], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.1], [0, 0, 1], 1 / 3),
        ([0.9, 0.8, 0.1], [1, 0, 1], (1 + 2 / 3) / 2),
        ([0.1, 0.9, 0.8], [1, 1, 0], (1 + 2 / 3) / 2),
        ([0.5, 0.4], [0, 0], 0.0),
        ([0.3], [1], 1.0),
    ],
)
def test_known_rankings(similarities: list[float], labels: list[int], expected: float) -> None:
    ap = average_precision(np.array([similarities], np.float32), np.array([labels], bool))
    assert ap == pytest.approx([expected], abs=TOLERANCE)


def test_rows_against_the_definition(random: np.random.Generator) -> None:
    similarities = random.normal(size=(20, 300)).astype(np.float32)
    labels = random.random((20, 300)) < 0.1
    expected = []
    for values, is_positive in zip(similarities, labels, strict=True):
        shares = [is_positive[values >= value].mean() for value in values[is_positive]]
        expected.append(np.mean(shares))
    np.testing.assert_allclose(average_precision(similarities, labels), expected, atol=TOLERANCE)


def test_nothing_to_rank() -> None:
    assert average_precision(np.zeros((2, 0), np.float32), np.zeros((2, 0), bool)).tolist() == [0, 0]
    assert average_precision(np.zeros((0, 4), np.float32), np.zeros((0, 4), bool)).shape == (0,)


def draw_rows(random: np.random.Generator, rows: int, columns: int) -> tuple[Float32Array, np.ndarray]:
    """Similarities of unit vectors to their like (positive) and to others."""
    is_positive = random.random((rows, columns)) < 0.1
    similarities = np.clip(random.normal(0.1, 0.2, (rows, columns)) + 0.3 * is_positive, -1, 1)
    return similarities.astype(np.float32), is_positive


@pytest.mark.parametrize("temperature", [0.003, 0.01, 0.05, 0.5])
def test_smooth_as_in_training(random: np.random.Generator, temperature: float) -> None:
    similarities, is_positive = draw_rows(random, 30, 400)
    is_positive[7] = False
    ours = smooth_average_precision(similarities, is_positive, temperature)
    assert ours.dtype == np.float32
    theirs = smooth_ap_per_query(torch.from_numpy(similarities), torch.from_numpy(is_positive), temperature=temperature)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=SMOOTH_TOLERANCE)
    assert ours[7] == 0


def test_smooth_against_the_definition(random: np.random.Generator) -> None:
    similarities, is_positive = draw_rows(random, 3, 200)
    naive = [
        float(naive_smooth_ap(torch.from_numpy(row), torch.from_numpy(positive)))
        for row, positive in zip(similarities, is_positive, strict=True)
    ]
    np.testing.assert_allclose(smooth_average_precision(similarities, is_positive, 0.01), naive, atol=SMOOTH_TOLERANCE)


def test_smooth_becomes_exact_as_the_temperature_vanishes(random: np.random.Generator) -> None:
    similarities, is_positive = draw_rows(random, 10, 100)
    # distinct multiples of 0.004, so that at 0.0001 all sigmoids are 0 or 1
    ranks = similarities.argsort(axis=1).argsort(axis=1)
    distinct = (ranks * 0.004).astype(np.float32)
    exact = average_precision(distinct, is_positive)
    distances = [
        np.abs(smooth_average_precision(distinct, is_positive, temperature) - exact).max()
        for temperature in (0.01, 0.003, 0.001, 0.0001)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.01
    assert distances[-1] < SMOOTH_TOLERANCE


def test_rows_do_not_depend_on_which_are_treated_together(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    similarities, is_positive = draw_rows(random, 9, 150)
    together = smooth_average_precision(similarities, is_positive, 0.01)
    monkeypatch.setattr("xover_core.landmark_map.row_precision._MAX_NUMBERS", 1)
    np.testing.assert_array_equal(smooth_average_precision(similarities, is_positive, 0.01), together)


def test_constant_scores() -> None:
    """All are tied: a positive is above each other one by a half."""
    is_positive = np.array([[True, True, False, False, False]])
    precision = smooth_average_precision(np.full((1, 5), 0.3, np.float32), is_positive, 0.01)
    assert precision == pytest.approx([1.5 / 3.0], abs=SMOOTH_TOLERANCE)


def test_smooth_of_nothing() -> None:
    assert smooth_average_precision(np.zeros((2, 0), np.float32), np.zeros((2, 0), bool), 0.01).tolist() == [0, 0]
    assert smooth_average_precision(np.zeros((0, 4), np.float32), np.zeros((0, 4), bool), 0.01).shape == (0,)
    assert smooth_average_precision(np.ones((2, 3), np.float32), np.zeros((2, 3), bool), 0.01).tolist() == [0, 0]


def test_temperature_zero_is_exact(random: np.random.Generator) -> None:
    rows = draw_rows(random, 5, 50)
    np.testing.assert_array_equal(precision_measure(0.0)(*rows), average_precision(*rows))
    np.testing.assert_array_equal(precision_measure(0.02)(*rows), smooth_average_precision(*rows, 0.02))
