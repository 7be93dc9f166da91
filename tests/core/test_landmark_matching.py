# SPDX-License-Identifier: Apache-2.0
"""A first pose from landmarks, in the box room."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from localization_cases import LARGE_CAMERA, T_MAP_QUERY, room_query

from xover_core.config import MatchingSettings, SolverSettings
from xover_core.geometry.transforms import pose_error, transform_points
from xover_core.landmark_map.landmark_arrays import empty_landmarks, take_landmarks
from xover_core.landmark_map.landmark_blocks import ResidentBlocks
from xover_core.localization.landmark_matching import LandmarkMatcher
from xover_core.localization.point_matcher import ProcessorPointMatcher
from xover_core.types import Landmarks

DIM = 32
# Landmarks lie up to 2 cm from the patches that they are matched to; the mean over dozens is better.
MAX_DISTANCE = 0.02  # m
NUM_LANDMARKS = 100


def unit(descriptors: np.ndarray) -> np.ndarray:
    return (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def query(random):
    """A query whose patches all look different."""
    view = room_query(T_MAP_QUERY)
    return dataclasses.replace(view, descriptors=unit(random.normal(size=(len(view.descriptors), DIM))))


@pytest.fixture
def landmarks(query, random) -> Landmarks:
    """Landmarks at patches of the query, of which 60 % lie somewhere else."""
    rows = random.choice(len(query.descriptors), NUM_LANDMARKS, replace=False)
    positions = transform_points(T_MAP_QUERY, query.points_camera[rows]) + random.normal(scale=0.01, size=(100, 3))
    positions[40:] = random.uniform(-2, 2, (60, 3))
    return dataclasses.replace(
        empty_landmarks(DIM, 0.2),
        landmark_ids=np.arange(NUM_LANDMARKS),
        scene_ids=np.ones(NUM_LANDMARKS, np.int64),
        positions_map=positions,
        embeddings=unit(query.descriptors[rows] + random.normal(scale=0.02, size=(100, DIM))).astype(np.float16),
        scores=np.ones(NUM_LANDMARKS, np.float32),
        observation_offsets=np.zeros(NUM_LANDMARKS + 1, np.int64),
    )


def solve(query, landmarks, **solver):
    blocks = ResidentBlocks(landmarks)
    matcher = LandmarkMatcher(
        blocks, ProcessorPointMatcher(MatchingSettings()), SolverSettings(**solver), max_landmarks=1000
    )
    return matcher.solve(query, [1], np.random.default_rng(0))


@pytest.mark.parametrize("has_depth", [True, False])
def test_the_pose_is_found_among_wrong_landmarks(query, landmarks, has_depth):
    found = solve(query if has_depth else dataclasses.replace(query, depth=None), landmarks)
    assert found is not None
    assert pose_error(found.T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE
    assert found.score > 12


def test_a_larger_image_is_no_problem(query, landmarks):
    large = dataclasses.replace(room_query(T_MAP_QUERY, camera=LARGE_CAMERA), descriptors=query.descriptors)
    found = solve(dataclasses.replace(large, depth=None), landmarks)
    assert found is not None
    assert pose_error(found.T_map_camera, T_MAP_QUERY)[0] < 2 * MAX_DISTANCE


def test_patches_without_depth_do_not_count(query, landmarks):
    query.points_camera[::2] = np.nan
    found = solve(query, landmarks)
    assert found is not None
    assert pose_error(found.T_map_camera, T_MAP_QUERY)[0] < MAX_DISTANCE


@pytest.mark.parametrize("count", [0, 1, 11])
def test_fewer_landmarks_than_inliers_needed_give_none(query, landmarks, count):
    assert solve(query, take_landmarks(landmarks, np.arange(count)), min_inliers=12) is None


def test_wrong_landmarks_alone_give_none(query, landmarks):
    wrong = take_landmarks(landmarks, np.arange(40, NUM_LANDMARKS))
    assert solve(query, wrong) is None
    assert solve(dataclasses.replace(query, depth=None), wrong) is None


def test_a_blank_query_gives_none(query, landmarks):
    assert solve(dataclasses.replace(query, descriptors=np.zeros_like(query.descriptors)), landmarks) is None
