# SPDX-License-Identifier: Apache-2.0
"""Matches between two views -> relative pose, in three ways: length known, length from depth, and 3D-3D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xover_core.config import SolverSettings
from xover_core.geometry.alignment import align_robust
from xover_core.geometry.camera_pose import MIN_RELATIVE_MATCHES, CameraPose, solve_relative_pose, translation_scale
from xover_core.geometry.transforms import make_pose
from xover_core.localization.pose_candidates import REFERENCE_HEIGHT, point_tolerances
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4

# More than on a robot, so that no feature fails for want of samples.
_MAX_ITERATIONS = 2000
# A rigid alignment of fewer points is as likely an accident as a 5-point pose of fewer matches.
_MIN_RIGID_INLIERS = MIN_RELATIVE_MATCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPair:
    """Two views with their matches.

    Attributes:
        pixels_a: (N, 2).
        pixels_b: (N, 2).
        points_a: (N, 3) in camera a, NaN rows without depth.
        points_b: (N, 3) in camera b.
        camera_a: of view a.
        camera_b: of view b.
        T_b_a: (4, 4) the truth, of which solvers may use the length of the translation only.
        max_error_px: epipolar distance of an inlier at image height 240.
        seed: of the random samples.
    """

    pixels_a: Float32Array
    pixels_b: Float32Array
    points_a: Float64Array
    points_b: Float64Array
    camera_a: CameraIntrinsics
    camera_b: CameraIntrinsics
    T_b_a: Mat4
    max_error_px: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSolver:
    """A way to a pose.

    Attributes:
        method: `5-point` or `3D-3D`.
        scale: where the length of the translation comes from, `true` or `depth`.
        solve: T_b_a, or None without an answer.
    """

    method: str
    scale: str
    solve: Callable[[MatchedPair], Mat4 | None]


def solve_with_true_length(pair: MatchedPair) -> Mat4 | None:
    """5-point RANSAC; the translation takes its true length, as in LoCUS."""
    pose = _five_point(pair)
    return None if pose is None else _scaled(pose.T_a_b, float(np.linalg.norm(pair.T_b_a[:3, 3])))


def solve_with_depth_length(pair: MatchedPair) -> Mat4 | None:
    """5-point RANSAC; the length is the median over the inliers with depth in both views."""
    pose = _five_point(pair)
    if pose is None:
        return None
    scale = translation_scale(pose.T_a_b, pair.points_b[pose.is_inlier], pair.points_a[pose.is_inlier])
    return None if scale is None else _scaled(pose.T_a_b, scale)


def solve_rigid(pair: MatchedPair) -> Mat4 | None:
    """Robust alignment of the matches with depth in both views."""
    has_depth = np.isfinite(pair.points_a[:, 2]) & np.isfinite(pair.points_b[:, 2])
    points_a, points_b = pair.points_a[has_depth], pair.points_b[has_depth]
    found = align_robust(
        points_a,
        points_b,
        point_tolerances(points_a, points_b, SolverSettings()),
        rng=np.random.default_rng(pair.seed),
        num_hypotheses=_MAX_ITERATIONS,
    )
    if found is None or np.count_nonzero(found.is_inlier) < _MIN_RIGID_INLIERS:
        return None
    return found.T_b_a


PAIR_SOLVERS = (
    PairSolver(method="5-point", scale="true", solve=solve_with_true_length),
    PairSolver(method="5-point", scale="depth", solve=solve_with_depth_length),
    PairSolver(method="3D-3D", scale="depth", solve=solve_rigid),
)


def _five_point(pair: MatchedPair) -> CameraPose | None:
    """T_b_a with translation of unit length; what that function calls a is b here."""
    return solve_relative_pose(
        pair.pixels_b,
        pair.pixels_a,
        pair.camera_b,
        pair.camera_a,
        max_error_px=pair.max_error_px * pair.camera_a.height / REFERENCE_HEIGHT,
        max_iterations=_MAX_ITERATIONS,
        seed=pair.seed,
    )


def _scaled(T_b_a: Mat4, length: float) -> Mat4:
    """A pose with its unit translation made `length` metres long."""
    return make_pose(T_b_a[:3, :3], length * T_b_a[:3, 3])
