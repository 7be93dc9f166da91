# SPDX-License-Identifier: Apache-2.0
"""Matching in torch gives the pairs of `match_patches`; what stays on the device stays within its limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from box_room import look_at
from localization_cases import room_view

from xover_core.config import MatchingSettings
from xover_core.inference import grid_matching
from xover_core.inference.device_descriptors import DeviceDescriptors, finest_on
from xover_core.inference.resident_arrays import ResidentArrays
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.patch_matching import GridShape, PatchPairs, match_patches
from xover_core.localization.point_matcher import PointBlock, ProcessorPointMatcher
from xover_core.localization.torch_point_matcher import TorchPointMatcher
from xover_core.localization.torch_view_matcher import TorchViewMatcher
from xover_core.types import Float32Array, PatchFeatures

DIM = 16
GRIDS = ((6, 7), (5, 9))
# float32 sums in another order
TOLERANCE = 1e-6
EVERYTHING = MatchingSettings(
    min_similarity=-1.0, max_cycle_distance=1000.0, max_neighbor_distance=1000.0, max_matches=1000
)
SETTINGS = (
    MatchingSettings(),
    EVERYTHING,
    dataclasses.replace(EVERYTHING, max_cycle_distance=1.5),
    dataclasses.replace(EVERYTHING, max_cycle_distance=float(np.sqrt(2))),
    dataclasses.replace(EVERYTHING, max_neighbor_distance=2.2),
    dataclasses.replace(EVERYTHING, max_neighbor_distance=2.0),
    dataclasses.replace(EVERYTHING, min_similarity=0.9),
    MatchingSettings(min_similarity=0.5, max_cycle_distance=2.0, max_neighbor_distance=3.0, max_matches=5),
    MatchingSettings(min_similarity=0.5, max_cycle_distance=0.0, max_neighbor_distance=0.0, max_matches=1000),
)
CUDA = pytest.param(
    "cuda:0",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
)
DEVICES = ["cpu", CUDA]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def unit(descriptors: np.ndarray) -> Float32Array:
    return (descriptors / np.linalg.norm(descriptors, axis=-1, keepdims=True)).astype(np.float32)


def features_of(descriptors: Float32Array, grid: GridShape) -> PatchFeatures:
    return PatchFeatures(
        grid_shape=grid, keypoints_px=np.zeros((len(descriptors), 2), np.float32), descriptors=(descriptors,)
    )


def view_of(descriptors: Float32Array, grid: GridShape, keyframe_id: int) -> StoredView:
    """A keyframe whose descriptors are those of a map: half precision, widened."""
    empty = room_view(look_at((0.0, 0.0, 0.0), 0.0))
    keyframe = dataclasses.replace(empty.keyframe, keyframe_id=keyframe_id, grid_shape=grid)
    stored = descriptors.astype(np.float16).astype(np.float32)
    return dataclasses.replace(empty, keyframe=keyframe, descriptors=stored)


def seen_again(query: Float32Array, grid: GridShape, random: np.random.Generator) -> Float32Array:
    """The query's patches in another grid, shifted by a column, with noise; a quarter of them are something else."""
    rows, cols = min(grid[0], GRIDS[0][0]), min(grid[1] - 1, GRIDS[0][1])
    found = random.normal(size=(*grid, DIM)) * 0.25
    patches = query.reshape(*GRIDS[0], DIM)[:rows, :cols]
    found[:rows, 1 : cols + 1] = patches + random.normal(scale=0.1, size=patches.shape)
    found[random.random(grid) < 0.25] += 3.0
    return unit(found.reshape(-1, DIM))


def quantized(query: PatchFeatures) -> PatchFeatures:
    """Descriptors in 32nds: sums of their products are exact in any order."""
    return dataclasses.replace(query, descriptors=(np.round(query.finest * 32) / 32,))


def quantized_block(block: PointBlock) -> PointBlock:
    return dataclasses.replace(block, descriptors=np.round(block.descriptors * 32) / 32)


@pytest.fixture
def query(random: np.random.Generator) -> PatchFeatures:
    return features_of(unit(random.normal(size=(42, DIM))), GRIDS[0])


@pytest.fixture
def views(query: PatchFeatures, random: np.random.Generator) -> list[StoredView]:
    """Keyframes of two shapes of grid in turns: some see the query's patches, some do not."""
    made = []
    for i in range(7):
        grid = GRIDS[i % 2]
        strange = unit(random.normal(size=(grid[0] * grid[1], DIM)))
        seen = strange if i in (2, 3) else seen_again(query.finest, grid, random)
        made.append(view_of(seen, grid, keyframe_id=i + 1))
    return made


def expected_pairs(query: PatchFeatures, views: Sequence[StoredView], settings: MatchingSettings) -> list[PatchPairs]:
    return [
        match_patches(query.finest, view.descriptors, query.grid_shape, view.keyframe.grid_shape, settings)
        for view in views
    ]


def assert_same_pairs(found: Sequence[PatchPairs], expected: Sequence[PatchPairs]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.rows_a.dtype, a.rows_b.dtype, a.similarities.dtype) == (np.int64, np.int64, np.float32)
        np.testing.assert_array_equal(a.rows_a, b.rows_a)
        np.testing.assert_array_equal(a.rows_b, b.rows_b)
        np.testing.assert_allclose(a.similarities, b.similarities, atol=TOLERANCE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_pairs_are_those_of_the_processor(
    query: PatchFeatures, views: list[StoredView], settings: MatchingSettings, device: str
) -> None:
    expected = expected_pairs(query, views, settings)
    assert sum(len(pairs) for pairs in expected) > 0
    matcher = TorchViewMatcher(settings, device, 1.0)
    assert_same_pairs(matcher.match(query, views), expected)
    assert_same_pairs(matcher.match(query, views[::-1]), expected[::-1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", SETTINGS[1:])
def test_ties_go_to_the_first(random: np.random.Generator, settings: MatchingSettings, device: str) -> None:
    # quarters: products are exact in any order, so equal patches are equally similar to the last bit
    alike = random.integers(-1, 2, size=(4, DIM)).astype(np.float32) / 4
    query = features_of(alike[random.integers(0, 4, 42)], GRIDS[0])
    views = [view_of(alike[random.integers(0, 4, 45)], GRIDS[1], keyframe_id=i) for i in (1, 2, 3)]
    assert_same_pairs(
        TorchViewMatcher(settings, device, 1.0).match(query, views), expected_pairs(query, views, settings)
    )


def test_patches_without_content_match_nothing(query: PatchFeatures, views: list[StoredView]) -> None:
    blank = dataclasses.replace(query, descriptors=(np.zeros_like(query.finest),))
    assert [len(pairs) for pairs in TorchViewMatcher(MatchingSettings(), "cpu", 1.0).match(blank, views)] == [0] * 7


def test_no_views_no_pairs(query: PatchFeatures) -> None:
    assert TorchViewMatcher(MatchingSettings(), "cpu", 1.0).match(query, []) == []


@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_smallest_grids_match_themselves(grid: GridShape, random: np.random.Generator) -> None:
    descriptors = unit(random.normal(size=(grid[0] * grid[1], DIM)))
    view = view_of(descriptors, grid, keyframe_id=1)
    (pairs,) = TorchViewMatcher(MatchingSettings(), "cpu", 1.0).match(features_of(descriptors, grid), [view])
    np.testing.assert_array_equal(pairs.rows_a, pairs.rows_b)
    assert len(pairs) == len(descriptors)


def test_many_views_are_matched_in_several_products(
    query: PatchFeatures, views: list[StoredView], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_matching, "MAX_PRODUCT_BYTES", 2 * 4 * 42 * 42)
    settings = SETTINGS[2]
    assert_same_pairs(
        TorchViewMatcher(settings, "cpu", 1.0).match(query, views), expected_pairs(query, views, settings)
    )


def test_keyframes_are_copied_once_and_the_oldest_make_room(
    query: PatchFeatures, views: list[StoredView], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    take = ResidentArrays.take

    def recording_take(self, key, load):
        return take(self, key, lambda: loaded.append(key) or load())

    monkeypatch.setattr(ResidentArrays, "take", recording_take)
    of_one_size = [view for view in views if view.keyframe.grid_shape == GRIDS[0]]
    size = of_one_size[0].descriptors.nbytes
    matcher = TorchViewMatcher(MatchingSettings(), "cpu", 3.5 * size / 1e6)
    matcher.match(query, of_one_size[:3])
    matcher.match(query, of_one_size[:3])
    assert loaded == [1, 3, 5]
    assert matcher.resident_bytes == 3 * size
    matcher.match(query, [of_one_size[0], of_one_size[3]])
    matcher.match(query, [of_one_size[0], of_one_size[2]])
    assert loaded == [1, 3, 5, 7]
    matcher.match(query, [of_one_size[1]])
    assert loaded == [1, 3, 5, 7, 3]
    assert matcher.resident_bytes == 3 * size


def test_more_than_fits_is_matched_all_the_same(query: PatchFeatures, views: list[StoredView]) -> None:
    matcher = TorchViewMatcher(MatchingSettings(), "cpu", 0.0)
    for _ in range(2):
        assert_same_pairs(matcher.match(query, views), expected_pairs(query, views, MatchingSettings()))
    assert matcher.resident_bytes == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("max_bytes", [grid_matching.MAX_PRODUCT_BYTES, 4 * 42 * 10])
def test_points_are_matched_as_by_the_processor(
    query: PatchFeatures,
    views: list[StoredView],
    settings: MatchingSettings,
    device: str,
    max_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # the same points twice: the first of two equals is meant, also when they are not in one product
    parts = [views[0].descriptors, views[3].descriptors, views[0].descriptors[::2]]
    blocks = [PointBlock(key=key, descriptors=part) for key, part in enumerate(parts)]
    monkeypatch.setattr(grid_matching, "MAX_PRODUCT_BYTES", max_bytes)
    matcher = TorchPointMatcher(settings, device, 1.0)
    exact = quantized(query)
    for _ in range(2):
        found = matcher.match(exact, [quantized_block(block) for block in blocks])
        expected = ProcessorPointMatcher(settings).match(exact, [quantized_block(block) for block in blocks])
        assert_same_pairs([found], [expected])
    one = matcher.match(exact, [quantized_block(blocks[1])])
    assert_same_pairs([one], [ProcessorPointMatcher(settings).match(exact, [quantized_block(blocks[1])])])


def test_a_similarity_at_the_threshold_counts(query: PatchFeatures) -> None:
    descriptors = np.zeros((1, DIM), np.float32)
    descriptors[0, 0] = 1
    view = view_of(0.5 * descriptors, (1, 1), keyframe_id=1)
    settings = MatchingSettings(min_similarity=0.5)
    (pairs,) = TorchViewMatcher(settings, "cpu", 1.0).match(features_of(descriptors, (1, 1)), [view])
    assert pairs.similarities.tolist() == [0.5]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_keyframes_are_kept_in_half_precision(views: list[StoredView]) -> None:
    resident = ResidentArrays("cuda:0", 1.0)
    kept = resident.take(1, lambda: views[0].descriptors)
    assert (kept.dtype, kept.device.type) == (torch.float16, "cuda")
    # a map's descriptors are of half precision, so nothing is lost
    np.testing.assert_array_equal(kept.float().cpu().numpy(), views[0].descriptors)


@pytest.mark.parametrize("device", DEVICES)
def test_descriptors_that_are_on_the_device_are_taken_from_there(
    query: PatchFeatures, views: list[StoredView], device: str
) -> None:
    descriptors = DeviceDescriptors([torch.from_numpy(query.finest).to(device)])
    on_device = dataclasses.replace(query, descriptors=descriptors)
    assert finest_on(on_device.descriptors, device) is descriptors.tensor(0)
    settings = MatchingSettings()
    found = TorchViewMatcher(settings, device, 1.0).match(on_device, views)
    assert_same_pairs(found, expected_pairs(query, views, settings))


def test_device_descriptors_are_a_sequence_of_arrays(random: np.random.Generator) -> None:
    arrays = [random.normal(size=(5, DIM)).astype(np.float32) for _ in range(3)]
    descriptors = DeviceDescriptors([torch.from_numpy(array) for array in arrays])
    assert len(descriptors) == 3
    for found, expected in zip(descriptors, arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(descriptors[-1], arrays[2])
    assert descriptors[1] is descriptors[1]
    last = descriptors[1:]
    assert len(last) == 2
    assert last.tensor(0) is descriptors.tensor(1)
    with pytest.raises(IndexError):
        descriptors[3]


def test_half_precision_is_widened_when_asked_for(random: np.random.Generator) -> None:
    half = torch.from_numpy(random.normal(size=(5, DIM))).half()
    array = DeviceDescriptors([half])[0]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, half.float().numpy())
