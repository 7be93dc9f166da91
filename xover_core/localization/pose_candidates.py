# SPDX-License-Identifier: Apache-2.0
"""Matches with keyframes -> candidate camera poses.

With depth in query and map, the three-point rigid alignment of back-projected matches is used: a wrong match that
lies on the epipolar line, or a smooth warp that pleases PnP, still has the wrong depth (docs/experiments.md has the
comparison). Without query depth, PnP; the 5-point solver with scale from depth, as in LoCUS, by setting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import SolverSettings
from xover_core.geometry.alignment import align_robust
from xover_core.geometry.camera import project
from xover_core.geometry.camera_pose import CameraPose, solve_absolute_pose, solve_relative_pose, translation_scale
from xover_core.geometry.transforms import invert, make_pose, transform_points
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.patch_matching import PatchPairs
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4, PatchFeatures

# Pixel thresholds of the settings are meant at this image height.
REFERENCE_HEIGHT = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryView:
    """The query image as patches.

    Attributes:
        camera: of the original image.
        grid_shape: of the patch grid.
        keypoints_px: (N, 2).
        descriptors: (N, D) of the finest scale.
        points_camera: (N, 3) float64, NaN where there is no depth (everywhere without a depth image).
        depth: (H, W) the depth image, if any.
        features: as the encoder gave them, which may lie on a GPU; None: nobody did.
    """

    camera: CameraIntrinsics
    grid_shape: tuple[int, int]
    keypoints_px: Float32Array
    descriptors: Float32Array
    points_camera: Float64Array
    depth: Float32Array | None
    features: PatchFeatures | None = None

    @property
    def patches(self) -> PatchFeatures:
        """The patches alone, where they lie."""
        return self.features or PatchFeatures(
            grid_shape=self.grid_shape, keypoints_px=self.keypoints_px, descriptors=(self.descriptors,)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedView:
    """A keyframe and how the query's patches match it."""

    view: StoredView
    pairs: PatchPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseCandidate:
    """A camera pose from matches with one keyframe, or with landmarks.

    Attributes:
        T_map_camera: (4, 4).
        score: larger is better; comparable between candidates of one query.
    """

    T_map_camera: Mat4
    score: float


def solve_candidate(
    query: QueryView, matched: MatchedView, settings: SolverSettings, rng: np.random.Generator
) -> PoseCandidate | None:
    """Pose of the query from its matches with one keyframe; None when too few of them agree."""
    if settings.method == "relative":
        pose = solve_relative(query, matched, settings, seed=int(rng.integers(2**31)))
        return _from_relative(query, matched, pose, settings)
    if query.depth is None or settings.method == "absolute":
        return _solve_absolute(query, matched, settings, seed=int(rng.integers(2**31)))
    return _solve_rigid(query, matched, settings, rng)


def point_tolerances(points_a: Float64Array, points_b: Float64Array, settings: SolverSettings) -> Float64Array:
    """(N,) largest 3D error of an inlier, m: grows with the larger of the two depths, as depth noise does.

    Args:
        points_a: (N, 3) in one camera frame.
        points_b: (N, 3) in the other camera frame.
        settings: of the solver.
    """
    depth = np.maximum(points_a[:, 2], points_b[:, 2])
    return np.maximum(settings.max_point_error, settings.max_point_error_relative * depth)


def solve_relative(query: QueryView, matched: MatchedView, settings: SolverSettings, *, seed: int) -> CameraPose | None:
    """T_keyframe_query with translation of unit length, by the 5-point solver."""
    keyframe, pairs = matched.view.keyframe, matched.pairs
    return solve_relative_pose(
        keyframe.keypoints_px[pairs.rows_b],
        query.keypoints_px[pairs.rows_a],
        keyframe.intrinsics,
        query.camera,
        max_error_px=settings.max_epipolar_error_px * query.camera.height / REFERENCE_HEIGHT,
        max_iterations=settings.max_iterations,
        seed=seed,
    )


def scale_relative(query: QueryView, matched: MatchedView, pose: CameraPose) -> float | None:
    """Length in metres of a relative pose's translation, from inliers with depth in both views; None without."""
    rows_a = matched.pairs.rows_a[pose.is_inlier]
    rows_b = matched.pairs.rows_b[pose.is_inlier]
    points_b = matched.view.keyframe.points_camera[rows_b].astype(np.float64)
    return translation_scale(pose.T_a_b, points_b, query.points_camera[rows_a])


def reprojection_errors(
    query: QueryView, rows: NDArray[np.int64], points_map: Float64Array, T_map_camera: Mat4
) -> Float64Array:
    """(N,) distance in px between query patches and the map points they were matched to."""
    predicted = project(transform_points(invert(T_map_camera), points_map), query.camera)
    return np.asarray(np.linalg.norm(predicted - query.keypoints_px[rows], axis=1))


def usable_pairs(query: QueryView, matched: MatchedView, *, needs_query_depth: bool) -> NDArray[np.int64]:
    """Indices of the pairs whose map point, and if asked for whose query point, is known."""
    usable = matched.view.has_point[matched.pairs.rows_b]
    if needs_query_depth:
        usable &= np.isfinite(query.points_camera[matched.pairs.rows_a, 2])
    return np.flatnonzero(usable)


def _solve_rigid(
    query: QueryView, matched: MatchedView, settings: SolverSettings, rng: np.random.Generator
) -> PoseCandidate | None:
    """3D-3D: align the query's points to the keyframe's."""
    chosen = usable_pairs(query, matched, needs_query_depth=True)
    keyframe = matched.view.keyframe
    points_query = query.points_camera[matched.pairs.rows_a[chosen]]
    points_keyframe = keyframe.points_camera[matched.pairs.rows_b[chosen]].astype(np.float64)
    tolerances = point_tolerances(points_query, points_keyframe, settings)
    found = align_robust(points_query, points_keyframe, tolerances, rng=rng, num_hypotheses=settings.max_iterations)
    if found is None or np.count_nonzero(found.is_inlier) < settings.min_inliers:
        return None
    return PoseCandidate(T_map_camera=keyframe.T_map_camera @ found.T_b_a, score=found.score)


def _solve_absolute(
    query: QueryView, matched: MatchedView, settings: SolverSettings, *, seed: int
) -> PoseCandidate | None:
    """2D-3D: PnP on the keyframe's points."""
    chosen = usable_pairs(query, matched, needs_query_depth=False)
    found = solve_absolute_pose(
        query.keypoints_px[matched.pairs.rows_a[chosen]],
        matched.view.points_map[matched.pairs.rows_b[chosen]],
        query.camera,
        max_error_px=settings.max_reprojection_error_px * query.camera.height / REFERENCE_HEIGHT,
        max_iterations=settings.max_iterations,
        seed=seed,
    )
    if found is None or np.count_nonzero(found.is_inlier) < settings.min_inliers:
        return None
    return PoseCandidate(T_map_camera=found.T_a_b, score=float(found.is_inlier.sum()))


def _from_relative(
    query: QueryView, matched: MatchedView, pose: CameraPose | None, settings: SolverSettings
) -> PoseCandidate | None:
    """A candidate from the 5-point solver, with scale from depth."""
    if pose is None or np.count_nonzero(pose.is_inlier) < settings.min_inliers:
        return None
    scale = scale_relative(query, matched, pose)
    if scale is None:
        return None
    T_keyframe_query = make_pose(pose.T_a_b[:3, :3], scale * pose.T_a_b[:3, 3])
    return PoseCandidate(
        T_map_camera=matched.view.keyframe.T_map_camera @ T_keyframe_query,
        score=float(pose.is_inlier.sum()),
    )
