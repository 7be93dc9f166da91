# SPDX-License-Identifier: Apache-2.0
"""Patch matching against loops that follow the definitions of the continuity conditions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xover_core.config import MatchingSettings
from xover_core.localization.patch_matching import argmax_of_columns, match_patches, match_to_points

GRID_A, GRID_B = (6, 7), (5, 9)
EVERYTHING = MatchingSettings(
    min_similarity=-1.0, max_cycle_distance=1000.0, max_neighbor_distance=1000.0, max_matches=1000
)
# Which condition decides is visible only where it refuses some pairs and keeps others.
TIGHT = (
    dataclasses.replace(EVERYTHING, max_cycle_distance=1.5),
    dataclasses.replace(EVERYTHING, max_neighbor_distance=2.2),
    dataclasses.replace(EVERYTHING, min_similarity=0.9),
    MatchingSettings(min_similarity=0.5, max_cycle_distance=2.0, max_neighbor_distance=3.0, max_matches=5),
    MatchingSettings(min_similarity=0.5, max_cycle_distance=0.0, max_neighbor_distance=0.0, max_matches=1000),
)


def unit(descriptors: np.ndarray) -> np.ndarray:
    return (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def views(random):
    """Descriptors of two grids: b sees a's patches one column to the right, with noise and a few that are random."""
    a = random.normal(size=(*GRID_A, 8))
    b = random.normal(size=(*GRID_B, 8))
    b[:, 1:8] = a[:5] + random.normal(scale=0.35, size=(5, 7, 8))
    b[random.random(GRID_B) < 0.25] += 3.0
    return unit(a.reshape(-1, 8)), unit(b.reshape(-1, 8))


def slow_match(a, b, grid_a, grid_b, settings):
    """{row_a: row_b} by definition."""
    best_b = [max(range(len(b)), key=lambda j, i=i: float(a[i] @ b[j])) for i in range(len(a))]
    best_a = [max(range(len(a)), key=lambda i, j=j: float(a[i] @ b[j])) for j in range(len(b))]
    found = {}
    for i, j in enumerate(best_b):
        cycle = np.hypot(*np.subtract(divmod(i, grid_a[1]), divmod(best_a[j], grid_a[1])))
        if a[i] @ b[j] < settings.min_similarity or cycle > settings.max_cycle_distance:
            continue
        if settings.max_neighbor_distance > 0:
            forth = slow_spread(i, best_b, grid_a, grid_b)
            back = slow_spread(j, best_a, grid_b, grid_a)
            if max(forth, back) > settings.max_neighbor_distance:
                continue
        found[i] = j
    strongest = sorted(found, key=lambda i: -float(a[i] @ b[found[i]]))
    return {i: found[i] for i in strongest[: settings.max_matches]}


def slow_spread(i, targets, grid, target_grid):
    """Mean distance from where patch i maps to where its neighbours on the grid map."""
    row, col = divmod(i, grid[1])
    here = divmod(targets[i], target_grid[1])
    distances = []
    for other_row in range(max(row - 1, 0), min(row + 2, grid[0])):
        for other_col in range(max(col - 1, 0), min(col + 2, grid[1])):
            if (other_row, other_col) != (row, col):
                there = divmod(targets[other_row * grid[1] + other_col], target_grid[1])
                distances.append(np.hypot(*np.subtract(here, there)))
    return np.mean(distances) if distances else 0.0


@pytest.mark.parametrize("settings", [EVERYTHING, *TIGHT])
def test_agrees_with_loops_over_the_definitions(views, settings):
    pairs = match_patches(*views, GRID_A, GRID_B, settings)
    expected = slow_match(*views, GRID_A, GRID_B, settings)
    assert dict(zip(pairs.rows_a.tolist(), pairs.rows_b.tolist(), strict=True)) == expected


@pytest.mark.parametrize("settings", TIGHT)
def test_each_condition_decides_something(views, settings):
    assert (
        0
        < len(match_patches(*views, GRID_A, GRID_B, settings))
        < len(match_patches(*views, GRID_A, GRID_B, EVERYTHING))
    )


def test_matches_come_best_first_with_their_similarity(views):
    pairs = match_patches(*views, GRID_A, GRID_B, EVERYTHING)
    assert (np.diff(pairs.similarities) <= 0).all()
    a, b = views
    np.testing.assert_allclose(pairs.similarities, (a[pairs.rows_a] * b[pairs.rows_b]).sum(axis=1), atol=1e-6)


def test_an_image_matches_itself_patch_by_patch(views):
    a, _ = views
    pairs = match_patches(a, a, GRID_A, GRID_A, MatchingSettings())
    assert len(pairs) == len(a)
    np.testing.assert_array_equal(pairs.rows_a, pairs.rows_b)
    np.testing.assert_allclose(pairs.similarities, 1, atol=1e-6)


def test_a_shifted_grid_matches_shifted(random):
    wide = unit(random.normal(size=(6 * 10, 16))).reshape(6, 10, 16)
    a, b = wide[:, :8].reshape(-1, 16), wide[:, 2:].reshape(-1, 16)
    pairs = match_patches(a, b, (6, 8), (6, 8), MatchingSettings(max_neighbor_distance=4.0))
    shift = pairs.rows_a % 8 - pairs.rows_b % 8
    # the two outermost columns see nothing of the other image, and their neighbours may be refused for it
    assert len(pairs) >= 6 * 4
    assert (shift == 2).all()
    np.testing.assert_array_equal(pairs.rows_a // 8, pairs.rows_b // 8)


def test_no_more_than_the_best_are_kept(views):
    few = match_patches(*views, GRID_A, GRID_B, dataclasses.replace(EVERYTHING, max_matches=5))
    many = match_patches(*views, GRID_A, GRID_B, EVERYTHING)
    np.testing.assert_array_equal(few.rows_a, many.rows_a[:5])


def test_unrelated_images_have_no_matches(random):
    a, b = unit(random.normal(size=(42, 64))), unit(random.normal(size=(45, 64)))
    pairs = match_patches(a, b, GRID_A, GRID_B, MatchingSettings(min_similarity=0.8))
    assert len(pairs) == 0
    assert pairs.rows_a.shape == pairs.rows_b.shape == pairs.similarities.shape == (0,)
    assert pairs.rows_a.dtype.kind == pairs.rows_b.dtype.kind == "i"


def test_patches_without_content_match_nothing(views):
    a, b = views
    a[:10] = 0
    b[20:] = 0
    pairs = match_patches(a, b, GRID_A, GRID_B, MatchingSettings())
    assert len(pairs)
    assert pairs.rows_a.min() >= 10
    assert pairs.rows_b.max() < 20
    assert not len(match_patches(np.zeros_like(a), b, GRID_A, GRID_B, MatchingSettings()))


@pytest.mark.parametrize("settings", [EVERYTHING, TIGHT[0], TIGHT[2], TIGHT[4]])
def test_points_without_a_grid_are_matched_by_the_first_condition(views, settings):
    a, b = views
    pairs = match_to_points(a, b, GRID_A, settings)
    on_a_grid = dataclasses.replace(settings, max_neighbor_distance=0.0)
    expected = slow_match(a, b, GRID_A, GRID_B, on_a_grid)
    assert dict(zip(pairs.rows_a.tolist(), pairs.rows_b.tolist(), strict=True)) == expected
    assert (np.diff(pairs.similarities) <= 0).all()


@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_smallest_grids_match_themselves(grid, random):
    a = unit(random.normal(size=(grid[0] * grid[1], 16)))
    pairs = match_patches(a, a, grid, grid, MatchingSettings())
    np.testing.assert_array_equal(pairs.rows_a, pairs.rows_b)
    assert len(pairs) == len(a)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (31, 4), (32, 7), (33, 7), (100, 40), (16 * 9 + 1, 50)])
def test_argmax_of_columns_is_numpys(shape, random):
    matrix = random.integers(0, 5, size=shape).astype(np.float32)  # few values, so many ties
    np.testing.assert_array_equal(argmax_of_columns(matrix), matrix.argmax(axis=0))
