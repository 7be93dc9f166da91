# SPDX-License-Identifier: Apache-2.0
"""Rigid alignment against truth, scipy, wrong matches and degenerate point sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xover_core.errors import GeometryError
from xover_core.geometry.alignment import align_rigid, align_robust, align_triangles
from xover_core.geometry.transforms import exp_se3, invert, make_pose, pose_error, transform_points

# float64 singular value decompositions of well-spread points
TOLERANCE = 1e-9
T_B_A = exp_se3(np.array([0.7, -1.2, 0.4, 0.5, -0.9, 1.3]))
NOISE = 0.01  # m
NUM_INLIERS = 60


@pytest.fixture
def points_a(random):
    return random.uniform(-2, 2, (40, 3))


@pytest.fixture
def mixed_matches(random):
    """200 matches of which 70 % are wrong, and which they are."""
    points_a = random.uniform(-2, 2, (200, 3))
    points_b = transform_points(T_B_A, points_a) + random.normal(scale=NOISE, size=(200, 3))
    points_b[NUM_INLIERS:] = random.uniform(-4, 4, (200 - NUM_INLIERS, 3))
    order = random.permutation(200)
    return points_a[order], points_b[order], order < NUM_INLIERS


def test_exact_points_give_the_exact_transform(points_a):
    np.testing.assert_allclose(align_rigid(points_a, transform_points(T_B_A, points_a)), T_B_A, atol=TOLERANCE)


def test_three_points_are_enough(points_a):
    three = points_a[:3]
    np.testing.assert_allclose(align_rigid(three, transform_points(T_B_A, three)), T_B_A, atol=TOLERANCE)


def test_swapping_the_sets_inverts_the_transform(points_a):
    points_b = transform_points(T_B_A, points_a)
    np.testing.assert_allclose(align_rigid(points_b, points_a), invert(align_rigid(points_a, points_b)), atol=TOLERANCE)


def test_agrees_with_scipy_on_noisy_weighted_points(points_a, random):
    points_b = transform_points(T_B_A, points_a) + random.normal(scale=0.1, size=points_a.shape)
    weights = random.uniform(0.1, 2, len(points_a))
    center_a, center_b = np.average(points_a, 0, weights), np.average(points_b, 0, weights)
    rotation, _ = Rotation.align_vectors(points_b - center_b, points_a - center_a, weights=weights)
    expected = make_pose(rotation.as_matrix(), center_b - rotation.as_matrix() @ center_a)
    np.testing.assert_allclose(align_rigid(points_a, points_b, weights), expected, atol=1e-6)


def test_weights_of_zero_leave_points_out(points_a, random):
    points_b = transform_points(T_B_A, points_a)
    weights = np.ones(len(points_a))
    weights[:10] = 0
    points_b[:10] += random.normal(size=(10, 3))
    np.testing.assert_allclose(align_rigid(points_a, points_b, weights), T_B_A, atol=TOLERANCE)


def test_a_mirrored_set_gives_a_rotation_and_no_reflection(points_a):
    pose = align_rigid(points_a, points_a * (-1, 1, 1))
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=TOLERANCE)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_points_on_a_plane_are_no_problem(points_a):
    flat = points_a * (1, 1, 0)
    np.testing.assert_allclose(align_rigid(flat, transform_points(T_B_A, flat)), T_B_A, atol=TOLERANCE)


def test_points_on_a_line_still_land_on_their_matches(random):
    line = np.outer(random.uniform(-2, 2, 20), (1.0, 2.0, -1.0))
    moved = transform_points(T_B_A, line)
    pose = align_rigid(line, moved)
    np.testing.assert_allclose(transform_points(pose, line), moved, atol=TOLERANCE)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((5, 3), (4, 3)), ((5, 2), (5, 2)), ((0, 3), (0, 3)), ((9,), (9,))]
)
def test_unusable_shapes_are_refused(shapes):
    with pytest.raises(GeometryError, match="N >= 3"):
        align_rigid(np.ones(shapes[0]), np.ones(shapes[1]))


def test_robust_alignment_finds_the_transform_among_wrong_matches(mixed_matches):
    points_a, points_b, is_right = mixed_matches
    found = align_robust(points_a, points_b, np.full(200, 0.05), rng=np.random.default_rng(1))
    assert found is not None
    distance, angle = pose_error(found.T_b_a, T_B_A)
    # the mean of 60 inliers with 1 cm noise each is far better than one of them
    assert distance < NOISE
    assert angle < NOISE
    assert found.is_inlier[is_right].mean() > 0.95
    assert found.is_inlier[~is_right].mean() < 0.05


def test_robust_score_and_inliers_are_those_of_the_returned_pose(mixed_matches):
    points_a, points_b, _ = mixed_matches
    tolerances = np.linspace(0.04, 0.1, 200)
    found = align_robust(points_a, points_b, tolerances, rng=np.random.default_rng(1))
    assert found is not None
    errors = np.linalg.norm(transform_points(found.T_b_a, points_a) - points_b, axis=1)
    np.testing.assert_array_equal(found.is_inlier, errors < tolerances)
    assert found.score == pytest.approx(np.maximum(0, 1 - (errors / tolerances) ** 2).sum())


def test_robust_alignment_improves_on_a_sample_of_three(mixed_matches):
    points_a, points_b, is_right = mixed_matches
    few = align_robust(points_a, points_b, np.full(200, 0.05), rng=np.random.default_rng(5), num_hypotheses=300)
    best = align_rigid(points_a[is_right], points_b[is_right])
    assert few is not None
    assert pose_error(few.T_b_a, best)[0] < NOISE / 3


def test_the_same_seed_gives_the_same_answer(mixed_matches):
    points_a, points_b, _ = mixed_matches
    found = [align_robust(points_a, points_b, np.full(200, 0.05), rng=np.random.default_rng(3)) for _ in range(2)]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0].T_b_a, found[1].T_b_a)


def test_wrong_matches_alone_have_little_consensus(random):
    points_a, points_b = random.uniform(-2, 2, (2, 100, 3))
    found = align_robust(points_a, points_b, np.full(100, 0.05), rng=np.random.default_rng(0))
    assert found is None or found.is_inlier.sum() < 8


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_matches_have_no_robust_alignment(count):
    points = np.arange(3.0 * count).reshape(count, 3)
    assert align_robust(points, points, np.full(count, 0.1), rng=np.random.default_rng(0)) is None


def test_points_that_coincide_have_no_robust_alignment(random):
    points = np.tile([1.0, 2.0, 3.0], (30, 1)) + random.normal(scale=0.01, size=(30, 3))
    assert align_robust(points, points, np.full(30, 0.1), rng=np.random.default_rng(0)) is None


def test_points_that_coincide_in_one_set_alone_are_no_triangle(random):
    points_a = random.normal(scale=0.05, size=(30, 3))
    assert align_robust(points_a, np.zeros((30, 3)), np.full(30, 0.5), rng=np.random.default_rng(0)) is None


def test_robust_alignment_of_collinear_points_is_finite(random):
    line = np.outer(random.uniform(-2, 2, 30), (1.0, 2.0, -1.0))
    moved = transform_points(T_B_A, line)
    found = align_robust(line, moved, np.full(30, 0.05), rng=np.random.default_rng(0))
    assert found is not None
    np.testing.assert_allclose(transform_points(found.T_b_a, line), moved, atol=1e-6)


def test_triangles_are_aligned_as_three_points_each(random):
    corners_a = random.uniform(-2, 2, (40, 3, 3))
    corners_b = transform_points(T_B_A, corners_a.reshape(-1, 3)).reshape(-1, 3, 3)
    corners_b += random.normal(scale=0.02, size=corners_b.shape)
    rotations, translations = align_triangles(corners_a, corners_b)
    for rotation, translation, a, b in zip(rotations, translations, corners_a, corners_b, strict=True):
        expected = align_rigid(a, b)
        np.testing.assert_allclose(rotation, expected[:3, :3], atol=TOLERANCE)
        np.testing.assert_allclose(translation, expected[:3, 3], atol=TOLERANCE)


def test_corners_on_a_line_land_on_their_matches(random):
    line = np.outer(random.uniform(-2, 2, 3), (1.0, 2.0, -1.0))
    moved = transform_points(T_B_A, line)
    rotations, translations = align_triangles(line[None], moved[None])
    np.testing.assert_allclose(line @ rotations[0].T + translations[0], moved, atol=TOLERANCE)
    assert np.linalg.det(rotations[0]) == pytest.approx(1)
