# SPDX-License-Identifier: Apache-2.0
"""Tests of the patch cloud and of fusion: known landmarks, blocks against brute force, order of keyframes."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at, room_keyframe
from numpy.typing import NDArray

from xover_core.geometry.transforms import transform_points
from xover_core.landmark_map.landmark_fusion import (
    MIN_SIMILARITY,
    FusedLandmarks,
    concatenate_fused,
    fuse_block,
    squared_distances,
)
from xover_core.landmark_map.patch_cloud import Block, PatchCloud, blocks_of, group_rows, make_patch_cloud
from xover_core.types import Keyframe

RADIUS = 0.2
SPACING = 0.1
DIM = 8
# Rounding of float32 coordinates of a few metres, squared, m^2.
SQUARE_TOLERANCE = 1e-4
# Rounding of float16 descriptors and float32 coordinates.
TOLERANCE = 1e-3


def cloud_of(points: list[tuple[float, float, float]], axes: list[int], keyframe_ids: list[int]) -> PatchCloud:
    """Patches whose descriptors are unit vectors along the given axes."""
    return PatchCloud(
        points=np.array(points, np.float32),
        origin_map=np.zeros(3),
        descriptors=np.eye(DIM, dtype=np.float16)[axes],
        keyframe_ids=np.array(keyframe_ids, np.int64),
        patch_indices=np.arange(len(points)),
    )


def fuse(cloud: PatchCloud, spacing: float = SPACING) -> FusedLandmarks:
    rows = np.arange(len(cloud))
    return fuse_block(cloud, Block(core=rows, surroundings=rows), radius=RADIUS, seed_spacing=spacing)


@pytest.fixture(scope="module")
def keyframes() -> list[Keyframe]:
    poses = [look_at((0.3 * i, 0.1 * i, 0), 12 * i) for i in range(5)]
    return [room_keyframe(pose, keyframe_id=i) for i, pose in enumerate(poses, start=1)]


def test_same_place_and_look_in_two_keyframes_is_one_landmark() -> None:
    fused = fuse(cloud_of([(1.02, 0, 0), (1.04, 0, 0)], [3, 3], [1, 2]), spacing=0.5)
    assert fused.members.tolist() == [0, 1]
    np.testing.assert_allclose(fused.positions, [[1.03, 0, 0]], atol=TOLERANCE)
    np.testing.assert_allclose(fused.embeddings, np.eye(DIM)[[3]], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("points", "axes", "keyframe_ids"),
    [
        ([(1.02, 0, 0), (1.04, 0, 0)], [3, 3], [1, 1]),
        ([(1.02, 0, 0), (1.04, 0, 0)], [3, 4], [1, 2]),
        ([(1.02, 0, 0), (1.24, 0, 0)], [3, 3], [1, 2]),
    ],
    ids=["one keyframe", "another look", "too far away"],
)
def test_what_is_no_landmark(
    points: list[tuple[float, float, float]], axes: list[int], keyframe_ids: list[int]
) -> None:
    assert len(fuse(cloud_of(points, axes, keyframe_ids))) == 0


def test_each_keyframe_gives_its_most_similar_patch() -> None:
    cloud = cloud_of([(1, 0, 0), (1.1, 0, 0), (1.05, 0, 0), (1.1, 0, 0)], [3, 4, 3, 4], [1, 1, 2, 2])
    fused = fuse(cloud, spacing=0.05)
    groups = {tuple(part.tolist()) for part in np.split(fused.members, fused.offsets[1:-1])}
    assert groups == {(0, 2), (1, 3)}


def test_position_is_not_pulled_by_one_wrong_point() -> None:
    points = [(1.0, 0.0, 0.0)] * 4 + [(1.19, 0.0, 0.0)]
    fused = fuse(cloud_of(points, [3] * 5, [1, 2, 3, 4, 5]), spacing=5.0)
    np.testing.assert_allclose(fused.positions, [[1, 0, 0]], atol=TOLERANCE)


def test_squared_distances_far_from_the_origin(random: np.random.Generator) -> None:
    a, b = (random.uniform(-1, 1, (n, 3)).astype(np.float32) + 300 for n in (7, 9))
    expected = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(a, b), expected, atol=SQUARE_TOLERANCE)
    assert squared_distances(a, b[:0]).shape == (7, 0)


def test_cloud_takes_patches_with_point_and_descriptor(keyframes: list[Keyframe]) -> None:
    keyframe = room_keyframe(look_at((0, 0, 0), 0), keyframe_id=9)
    keyframe.points_camera[4] = np.nan
    keyframe.descriptors[0][6] = 0
    cloud = make_patch_cloud([*keyframes, keyframe])
    rows = np.flatnonzero(cloud.keyframe_ids == 9)
    assert set(range(len(keyframe.points_camera))) - set(cloud.patch_indices[rows].tolist()) == {4, 6}
    expected = transform_points(keyframe.T_map_camera, keyframe.points_camera[cloud.patch_indices[rows]])
    np.testing.assert_allclose(cloud.points[rows] + cloud.origin_map, expected, atol=1e-6)


def test_blocks_share_out_the_cloud_and_see_their_rim(keyframes: list[Keyframe]) -> None:
    cloud = make_patch_cloud(keyframes)
    blocks = list(blocks_of(cloud, RADIUS))
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.sort(np.concatenate([block.core for block in blocks])), np.arange(len(cloud)))
    for block in blocks[::5]:
        near = (squared_distances(cloud.points[block.core], cloud.points) < RADIUS**2).any(axis=0)
        assert np.isin(np.flatnonzero(near), block.surroundings).all()


def test_block_by_block_is_what_a_plain_loop_gives(keyframes: list[Keyframe]) -> None:
    cloud = make_patch_cloud(keyframes)
    # so fine that every patch is a seed
    parts = [fuse_block(cloud, block, radius=RADIUS, seed_spacing=0.002) for block in blocks_of(cloud, RADIUS)]
    fused = concatenate_fused(parts)
    got = {tuple(part.tolist()) for part in np.split(fused.members, fused.offsets[1:-1])}
    assert got == plainly_fused(cloud)
    assert len(got) > 50


def plainly_fused(cloud: PatchCloud) -> set[tuple[int, ...]]:
    """Members of the landmark of every patch as the module's text describes them."""
    descriptors = cloud.descriptors.astype(np.float32)
    landmarks = set()
    for seed in range(len(cloud)):
        is_near = np.linalg.norm(cloud.points - cloud.points[seed], axis=1) <= RADIUS
        similarities: NDArray[np.float32] = np.where(is_near, descriptors @ descriptors[seed], -1)
        members = []
        for keyframe_id in np.unique(cloud.keyframe_ids):
            rows = np.flatnonzero(cloud.keyframe_ids == keyframe_id)
            best = rows[np.argmax(similarities[rows])]
            if similarities[best] >= MIN_SIMILARITY:
                members.append(int(best))
        if len(members) >= 2:
            landmarks.add(tuple(members))
    return landmarks


def test_group_rows(random: np.random.Generator) -> None:
    keys = random.integers(-2, 2, (60, 3))
    groups = group_rows(keys)
    assert sum(len(group) for group in groups) == 60
    assert len(groups) == len(np.unique(keys, axis=0))
    for group in groups:
        assert (keys[group] == keys[group[0]]).all()
        assert (np.diff(group) > 0).all()
    assert group_rows(np.zeros((0, 3), np.int64)) == []
