# SPDX-License-Identifier: Apache-2.0
"""Matching on the processor gives the pairs of `match_patches`, in memory that does not grow."""

from __future__ import annotations

import dataclasses
import logging
import sys

import numpy as np
import pytest
from box_room import look_at
from localization_cases import room_view

from xover_core.config import InferenceSettings, MatchingSettings, XoverSettings
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.matcher_factory import make_view_matcher
from xover_core.localization.matching_products import (
    FloatMatchingProducts,
    MatchingProducts,
    WholeMatchingProducts,
)
from xover_core.localization.patch_matching import GridShape, PatchPairs, match_patches, match_to_points
from xover_core.localization.point_matcher import POINTS_PER_PRODUCT, PointBlock, ProcessorPointMatcher
from xover_core.localization.processor_matcher import ProcessorMatcher
from xover_core.localization.product_threads import ProductThreads
from xover_core.types import PatchFeatures

DIM = 64
GRIDS: tuple[GridShape, ...] = ((12, 15), (10, 16))
SETTINGS = MatchingSettings(max_neighbor_distance=4.0)
# Of whole numbers: pairs whose rival is as similar to within the rounding may be others.
LEAST_SHARE_OF_SAME_PAIRS = 0.95
PRODUCTS = (FloatMatchingProducts, WholeMatchingProducts)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def view_of(descriptors: np.ndarray, grid: GridShape, keyframe_id: int) -> StoredView:
    empty = room_view(look_at((0.0, 0.0, 0.0), 0.0))
    keyframe = dataclasses.replace(empty.keyframe, keyframe_id=keyframe_id, grid_shape=grid)
    return dataclasses.replace(empty, keyframe=keyframe, descriptors=descriptors)


@pytest.fixture
def query(random: np.random.Generator) -> PatchFeatures:
    count = GRIDS[0][0] * GRIDS[0][1]
    descriptors = unit(random.normal(size=(count, DIM)))
    return PatchFeatures(grid_shape=GRIDS[0], keypoints_px=np.zeros((count, 2), np.float32), descriptors=(descriptors,))


@pytest.fixture
def views(query: PatchFeatures, random: np.random.Generator) -> list[StoredView]:
    """Keyframes of two shapes of grid in turns, which see a part of the query a column further, with noise."""
    made = []
    for index in range(7):
        grid = GRIDS[index % 2]
        descriptors = random.normal(size=(*grid, DIM)) / np.sqrt(DIM)
        part = query.finest.reshape(*GRIDS[0], DIM)[:10, :14]
        descriptors[:10, 1:15] = part + random.normal(scale=0.05, size=part.shape)
        made.append(view_of(unit(descriptors.reshape(-1, DIM)), grid, keyframe_id=index + 1))
    return made


def matcher_by(products: MatchingProducts, num_threads: int) -> ProcessorMatcher:
    return ProcessorMatcher(SETTINGS, ProductThreads(products, num_threads))


def expected(query: PatchFeatures, views: list[StoredView]) -> list[PatchPairs]:
    return [
        match_patches(query.finest, view.descriptors, query.grid_shape, view.keyframe.grid_shape, SETTINGS)
        for view in views
    ]


@pytest.mark.parametrize("num_threads", [1, 2, 3, 10])
def test_gives_the_pairs_of_match_patches_in_the_order_of_the_views(
    query: PatchFeatures, views: list[StoredView], num_threads: int
) -> None:
    matcher = matcher_by(FloatMatchingProducts(), num_threads)
    for found, wanted in zip(matcher.match(query, views), expected(query, views), strict=True):
        assert len(wanted) > 50
        np.testing.assert_array_equal(found.rows_a, wanted.rows_a)
        np.testing.assert_array_equal(found.rows_b, wanted.rows_b)
        np.testing.assert_array_equal(found.similarities, wanted.similarities)


def test_whole_numbers_give_nearly_the_same_pairs_with_exact_similarities(
    query: PatchFeatures, views: list[StoredView]
) -> None:
    pytest.importorskip("onnxruntime")
    matcher = matcher_by(WholeMatchingProducts(), 2)
    for view, found, wanted in zip(views, matcher.match(query, views), expected(query, views), strict=True):
        pairs, wanted_pairs = (set(zip(p.rows_a.tolist(), p.rows_b.tolist(), strict=True)) for p in (found, wanted))
        assert len(pairs & wanted_pairs) >= LEAST_SHARE_OF_SAME_PAIRS * len(pairs | wanted_pairs)
        exact = (query.finest[found.rows_a] * view.descriptors[found.rows_b]).sum(axis=1)
        np.testing.assert_allclose(found.similarities, exact, atol=1e-6)
        assert (np.diff(found.similarities) <= 0).all()


@pytest.mark.parametrize("make", PRODUCTS)
def test_no_views_have_no_pairs_and_one_view_is_enough(
    query: PatchFeatures, views: list[StoredView], make: type[MatchingProducts]
) -> None:
    pytest.importorskip("onnxruntime")
    matcher = matcher_by(make(), 2)
    assert matcher.match(query, []) == []
    assert len(matcher.match(query, views[:1])) == 1


def test_an_answer_stays_when_the_memory_is_used_again(query: PatchFeatures, views: list[StoredView]) -> None:
    matcher = matcher_by(FloatMatchingProducts(), 1)
    first = matcher.match(query, views[:1])[0]
    rows, similarities = first.rows_b.copy(), first.similarities.copy()
    matcher.match(query, views)
    np.testing.assert_array_equal(first.rows_b, rows)
    np.testing.assert_array_equal(first.similarities, similarities)


def test_memory_for_products_is_that_of_the_largest_view(query: PatchFeatures, views: list[StoredView]) -> None:
    threads = ProductThreads(FloatMatchingProducts(), 2)
    matcher = ProcessorMatcher(SETTINGS, threads)
    matcher.match(query, views)
    full = threads.buffer_bytes
    # each of the two threads gets the views of one shape of grid
    assert full == 4 * 180 * (180 + 160)
    for _ in range(3):
        matcher.match(query, views)
    assert threads.buffer_bytes == full


def test_no_more_whole_views_are_kept_than_allowed(query: PatchFeatures, views: list[StoredView]) -> None:
    pytest.importorskip("onnxruntime")
    products = WholeMatchingProducts(max_kept=3)
    matcher = matcher_by(products, 1)
    once = matcher.match(query, views)
    assert len(products) == 3
    again = matcher.match(query, views)
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a.rows_b, b.rows_b)
    # the last ones are kept, and not made again
    last = views[-1].keyframe.keyframe_id, views[-1].descriptors
    assert products.of_rows(*last) is products.of_rows(*last)


def test_an_error_in_a_thread_reaches_the_caller(query: PatchFeatures, views: list[StoredView]) -> None:
    class Broken(FloatMatchingProducts):
        def multiply(self, query: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        matcher_by(Broken(), 2).match(query, views)


def test_without_onnx_runtime_keyframes_are_matched_in_float32(
    query: PatchFeatures, views: list[StoredView], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    settings = XoverSettings(matching=SETTINGS, inference=InferenceSettings(num_threads=1))
    with caplog.at_level(logging.INFO, "xover_core"):
        matcher = make_view_matcher(settings)
    assert "onnxruntime is not installed" in caplog.text
    for found, wanted in zip(matcher.match(query, views), expected(query, views), strict=True):
        np.testing.assert_array_equal(found.rows_b, wanted.rows_b)


@pytest.fixture
def points(query: PatchFeatures, random: np.random.Generator) -> np.ndarray:
    """More than one product's worth, some of which look like patches of the query."""
    strange = random.normal(size=(POINTS_PER_PRODUCT + 200, DIM))
    seen = query.finest[::3] + random.normal(scale=0.05, size=query.finest[::3].shape)
    return unit(np.concatenate([strange, seen]))[random.permutation(len(strange) + len(seen))]


@pytest.mark.parametrize("make", PRODUCTS)
@pytest.mark.parametrize("borders", [(), (100,), (1, 400, 1200)])
def test_points_are_matched_as_all_at_once_however_they_come(
    query: PatchFeatures, points: np.ndarray, make: type[MatchingProducts], borders: tuple[int, ...]
) -> None:
    pytest.importorskip("onnxruntime")
    blocks = [PointBlock(key=i, descriptors=part) for i, part in enumerate(np.split(points, borders))]
    found = ProcessorPointMatcher(SETTINGS, ProductThreads(make(), 2)).match(query, blocks)
    wanted = match_to_points(query.finest, points, query.grid_shape, SETTINGS)
    pairs, wanted_pairs = (set(zip(p.rows_a.tolist(), p.rows_b.tolist(), strict=True)) for p in (found, wanted))
    assert len(wanted_pairs) > 50
    least = 1.0 if make is FloatMatchingProducts else LEAST_SHARE_OF_SAME_PAIRS
    assert len(pairs & wanted_pairs) >= least * len(pairs | wanted_pairs)
    exact = (query.finest[found.rows_a] * points[found.rows_b]).sum(axis=1)
    np.testing.assert_allclose(found.similarities, exact, atol=1e-6)


def test_blocks_without_points_are_no_problem(query: PatchFeatures, points: np.ndarray) -> None:
    matcher = ProcessorPointMatcher(SETTINGS, ProductThreads(FloatMatchingProducts(), 1))
    blocks = [PointBlock(key=1, descriptors=points[:0]), PointBlock(key=2, descriptors=points)]
    found = matcher.match(query, blocks)
    np.testing.assert_array_equal(found.rows_b, matcher.match(query, blocks[1:]).rows_b)
