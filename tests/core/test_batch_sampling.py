# SPDX-License-Identifier: Apache-2.0
"""Tests of batches of overlapping frames, and of landmarks drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from box_room import CAMERA

from xover_core.errors import TrainingError
from xover_core.training.batch_sampling import BatchSettings, OverlapBatchSampler
from xover_core.training.frame_geometry import FrameGeometry, VisibilitySettings, make_frame_geometry, seen_by
from xover_core.training.landmark_sampling import LandmarkSettings, sample_landmarks
from xover_core.types import Float32Array

NUM_PATCHES = 8 * 10


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def chain(num_frames: int, reach: int = 5) -> Float32Array:
    """Frames along a path: the nearer, the more they overlap; none beyond the reach."""
    steps = np.abs(np.arange(num_frames)[:, None] - np.arange(num_frames))
    return np.maximum(1 - steps / reach, 0).astype(np.float32)


def test_an_epoch_fills_every_scene_once() -> None:
    sampler = OverlapBatchSampler([chain(40), chain(9)], BatchSettings(batch_size=4))
    batches = sampler.epoch(0)
    assert len(batches) == len(sampler) == 10 + 2
    assert [batch.scene for batch in batches].count(1) == 2
    for scene in (0, 1):
        seeds = [batch.frames[0] for batch in batches if batch.scene == scene]
        assert len(set(seeds)) == len(seeds)


def test_frames_of_a_batch_are_distinct_and_overlap_with_its_seed() -> None:
    sampler = OverlapBatchSampler([chain(40)], BatchSettings(batch_size=6))
    for batch in sampler.epoch(3):
        seed, *others = batch.frames
        assert len(set(batch.frames)) == 6
        assert all(0 < abs(seed - other) < 5 for other in others)


def test_partners_are_drawn_in_proportion_to_overlap() -> None:
    weights = np.array([0.6, 0.3, 0.1])
    overlaps = np.eye(4, dtype=np.float32)
    overlaps[0, 1:] = weights
    sampler = OverlapBatchSampler([overlaps], BatchSettings(batch_size=2))
    drawn = [sampler.epoch(number)[0].frames[1] for number in range(2000)]
    # only the first frame can be a seed; four standard deviations
    np.testing.assert_allclose(np.bincount(drawn, minlength=4)[1:] / 2000, weights, atol=4 * (0.25 / 2000) ** 0.5)


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    def draw(seed: int, epoch: int) -> list[tuple[int, ...]]:
        sampler = OverlapBatchSampler([chain(40)], BatchSettings(batch_size=4, seed=seed))
        return [batch.frames for batch in sampler.epoch(epoch)]

    assert draw(0, 5) == draw(0, 5)
    assert draw(0, 5) != draw(0, 6)
    assert draw(0, 5) != draw(1, 5)


def test_evaluation_takes_the_frames_that_overlap_most() -> None:
    sampler = OverlapBatchSampler([chain(40)], BatchSettings(batch_size=4))
    batches = sampler.evaluation()
    assert [batch.frames[0] for batch in batches] == list(range(0, 40, 4))
    assert [sorted(batch.frames) for batch in batches[1:3]] == [[2, 3, 4, 5], [6, 7, 8, 9]]
    assert batches == sampler.evaluation()


def test_a_batch_is_smaller_where_fewer_frames_overlap() -> None:
    sampler = OverlapBatchSampler([chain(3, reach=2)], BatchSettings(batch_size=16))
    assert len(sampler) == 1
    assert [len(batch.frames) for number in range(5) for batch in sampler.epoch(number)] != [16] * 5
    assert sampler.evaluation()[0].frames == (0, 1)


def test_frames_that_overlap_with_none_start_no_batch() -> None:
    overlaps = np.eye(9, dtype=np.float32)
    overlaps[:2, :2] = 0.5
    sampler = OverlapBatchSampler([overlaps], BatchSettings(batch_size=4))
    for number in range(10):
        assert [sorted(batch.frames) for batch in sampler.epoch(number)] == [[0, 1]]


def test_overlaps_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"no two frames overlap by more than 0\.3"):
        OverlapBatchSampler([chain(10) * 0.3], BatchSettings(min_overlap=0.3))
    with pytest.raises(TrainingError, match=r"scene 1: expected \(F, F\), got \(4, 5\)"):
        OverlapBatchSampler([chain(4), chain(5)[:4]])


def wall_geometry(starts: list[int], *, extra_depth: float = 0.0) -> FrameGeometry:
    """Cameras in a row before a wall, a patch apart for each step; the last may measure another depth."""
    depths = [np.full((CAMERA.height, CAMERA.width), 4.0, np.float32) for _ in starts]
    depths[-1] += extra_depth
    poses = [np.eye(4) for _ in starts]
    for pose, start in zip(poses, starts, strict=True):
        pose[0, 3] = start * 8 * 4.0 / CAMERA.fx
    return make_frame_geometry(depths, [CAMERA] * len(starts), poses)


def test_landmarks_are_patches_of_all_frames_that_another_frame_sees() -> None:
    """Three views, half a view apart: of the outer ones, only the inner half can be landmarks."""
    geometry = wall_geometry([0, 5, 10])
    sample = sample_landmarks(geometry, LandmarkSettings(num_landmarks=50), torch.Generator().manual_seed(0))
    assert len(sample) == len(set(sample.patches.tolist())) == 50
    assert set((sample.patches // NUM_PATCHES).tolist()) == {0, 1, 2}
    assert torch.equal(sample.points_world, geometry.points_world.reshape(-1, 3)[sample.patches])
    columns = sample.patches % NUM_PATCHES % 10
    assert (columns[sample.patches < NUM_PATCHES] >= 5).all()
    assert (seen_by(sample.points_world, geometry, VisibilitySettings()).sum(1) >= 2).all()


def test_all_landmarks_there_are_when_fewer_than_wanted() -> None:
    sample = sample_landmarks(wall_geometry([0, 5]), LandmarkSettings(num_landmarks=500))
    assert len(sample) == 2 * NUM_PATCHES // 2


def test_released_way_takes_the_first_frame_only_and_does_not_draw_again() -> None:
    geometry = wall_geometry([0, 5, 10])
    settings = LandmarkSettings(num_landmarks=40, drawn_from="released")
    sample = sample_landmarks(geometry, settings, torch.Generator().manual_seed(0))
    assert (sample.patches < NUM_PATCHES).all()
    assert 10 < len(sample) < 30


def test_depth_must_agree() -> None:
    settings = LandmarkSettings(visibility=VisibilitySettings(depth_tolerance=0.05, depth_tolerance_relative=0.0))
    assert len(sample_landmarks(wall_geometry([0, 0], extra_depth=0.04), settings)) == 64
    assert len(sample_landmarks(wall_geometry([0, 0], extra_depth=0.06), settings)) == 0


def test_the_same_generator_gives_the_same_landmarks() -> None:
    geometry = wall_geometry([0, 3])
    first, second, other = (
        sample_landmarks(geometry, LandmarkSettings(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.patches, second.patches)
    assert not torch.equal(first.patches, other.patches)
