# SPDX-License-Identifier: Apache-2.0
"""Choosing cameras that are far from each other."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import look_at

from xover_core.errors import GeometryError
from xover_core.geometry.pose_sampling import farthest_poses
from xover_core.geometry.transforms import make_pose


def walk(num: int, random: np.random.Generator) -> np.ndarray:
    """Cameras at random places that look anywhere."""
    return np.stack([look_at(tuple(random.uniform(-3, 3, 3)), random.uniform(0, 360)) for _ in range(num)])


def test_rows_are_distinct_and_repeat_with_the_seed(random: np.random.Generator) -> None:
    poses = walk(40, random)
    chosen = farthest_poses(poses, 10, seed=3)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == 10
    assert chosen.tolist() == farthest_poses(poses, 10, seed=3).tolist()
    assert len({int(farthest_poses(poses, 1, seed=seed)[0]) for seed in range(20)}) > 5


def test_each_is_the_farthest_from_those_before() -> None:
    """Only one coordinate varies, so that distances are known by hand."""
    poses = np.stack([make_pose(np.eye(3), (x, 0.0, 0.0)) for x in (0.0, 1.0, 2.0, 6.0, 10.0)])
    for seed in range(5):
        first, second, third = farthest_poses(poses, 3, seed=seed).tolist()
        position = poses[:, 0, 3]
        assert second == np.argmax(np.abs(position - position[first]))
        gaps = np.minimum(np.abs(position - position[first]), np.abs(position - position[second]))
        assert third == np.argmax(gaps)


def test_the_sign_of_a_quaternion_does_not_matter(random: np.random.Generator) -> None:
    """Nearly equal orientations whose quaternions may come out with opposite signs are near each other."""
    upright = look_at((0, 0, 0), 30.0)
    poses = np.stack([upright, upright.copy(), look_at((0, 0, 0), 200.0), look_at((0, 0, 0), 120.0)])
    poses[1, :3, :3] = look_at((0, 0, 0), 390.0)[:3, :3]
    for seed in range(4):
        assert sorted({0: 0, 1: 0}.get(row, row) for row in farthest_poses(poses, 3, seed=seed).tolist()) == [0, 2, 3]


def test_units_do_not_matter(random: np.random.Generator) -> None:
    poses = walk(30, random)
    scaled = poses.copy()
    scaled[:, :3, 3] = 1000.0 * scaled[:, :3, 3] + 5.0
    assert farthest_poses(poses, 8).tolist() == farthest_poses(scaled, 8).tolist()


def test_views_on_all_sides_are_chosen() -> None:
    """Most cameras look one way; those that look elsewhere are taken all the same."""
    crowd = [look_at((0.01 * i, 0, 0), 0.0) for i in range(50)]
    others = [look_at((0.2, 0, 0), heading) for heading in (90.0, 180.0, 270.0)]
    chosen = farthest_poses(np.stack([*crowd, *others]), 6).tolist()
    assert {50, 51, 52} <= set(chosen)


def test_few_cameras(random: np.random.Generator) -> None:
    poses = walk(3, random)
    assert sorted(farthest_poses(poses, 10).tolist()) == [0, 1, 2]
    assert farthest_poses(poses[:1], 10).tolist() == [0]
    assert farthest_poses(np.zeros((0, 4, 4)), 10).tolist() == []
    same = np.repeat(poses[:1], 4, axis=0)
    assert sorted(farthest_poses(same, 4).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("shape", "count"), [((4, 4), 2), ((3, 3, 4), 2), ((3, 4, 4), 0)])
def test_wrong_input_is_refused(shape: tuple[int, ...], count: int) -> None:
    with pytest.raises(GeometryError, match="cameras to choose from"):
        farthest_poses(np.zeros(shape), count)
