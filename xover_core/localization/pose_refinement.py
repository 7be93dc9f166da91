# SPDX-License-Identifier: Apache-2.0
"""Candidate pose -> refined pose, from all matches that agree with it and from the surfaces around.

With query depth: Gauss-Newton over point-to-point errors of matched patches and point-to-plane errors of all query
points against the map's surfaces (Chen and Medioni 1991), both robustly weighted. The matches hold what a bare wall
or corridor leaves open; the planes average over far more points than the matches do. Without depth: PnP again on
all agreeing matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xover_core.config import SolverSettings
from xover_core.geometry.camera_pose import solve_absolute_pose
from xover_core.geometry.transforms import exp_se3, make_pose, transform_points
from xover_core.localization.keyframe_store import StoredView
from xover_core.localization.pose_candidates import (
    REFERENCE_HEIGHT,
    MatchedView,
    QueryView,
    point_tolerances,
    reprojection_errors,
    usable_pairs,
)
from xover_core.types import Float64Array, Mat4

NUM_ITERATIONS = 6
# Query points farther than this from any surface of the map do not pull, m.
MAX_PLANE_DISTANCE = 0.25
# Surfaces whose normals differ by more than 60 deg are not the same surface.
MIN_NORMAL_AGREEMENT = 0.5
# Standard deviations that the residuals are taken to have, m, and px at height 240. Neighbouring residuals share
# their errors, so a sum of squares would make the covariance far too small; they count as one in CORRELATED_RESIDUALS.
POINT_SIGMA = 0.05
PLANE_SIGMA = 0.02
PIXEL_SIGMA = 2.0
CORRELATED_RESIDUALS = 10.0
MIN_STD_M = 0.01
MIN_STD_RAD = 0.005
# Points of a leaf of the search tree.
_LEAF_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSurface:
    """The map's surface around some keyframes: points with normals, searchable."""

    points_map: Float64Array
    normals_map: Float64Array
    tree: cKDTree


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledMatches:
    """Matches of several keyframes as one set, in the map frame.

    Attributes:
        query_rows: (M,) patch indices in the query.
        points_map: (M, 3).
        keyframe_ids: (M,) where each match comes from.
    """

    query_rows: NDArray[np.int64]
    points_map: Float64Array
    keyframe_ids: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> PooledMatches:
        """The chosen matches."""
        return PooledMatches(
            query_rows=self.query_rows[chosen],
            points_map=self.points_map[chosen],
            keyframe_ids=self.keyframe_ids[chosen],
        )


def pool_matches(query: QueryView, matched_views: Sequence[MatchedView]) -> PooledMatches:
    """Join the usable matches of several keyframes; at least one."""
    parts = []
    for matched in matched_views:
        chosen = usable_pairs(query, matched, needs_query_depth=query.depth is not None)
        rows_b = matched.pairs.rows_b[chosen]
        ids = np.full(len(chosen), matched.view.keyframe.keyframe_id)
        parts.append((matched.pairs.rows_a[chosen], matched.view.points_map[rows_b], ids))
    rows, points, ids = (np.concatenate(part) for part in zip(*parts, strict=True))
    return PooledMatches(query_rows=rows, points_map=points, keyframe_ids=ids)


def agreeing_matches(
    query: QueryView, matches: PooledMatches, T_map_camera: Mat4, settings: SolverSettings
) -> NDArray[np.bool_]:
    """(M,) which matches a pose explains: in 3D where the query has depth, else in the image."""
    if query.depth is None:
        errors_px = reprojection_errors(query, matches.query_rows, matches.points_map, T_map_camera)
        return errors_px <= settings.max_reprojection_error_px * query.camera.height / REFERENCE_HEIGHT
    points = query.points_camera[matches.query_rows]
    errors = np.linalg.norm(transform_points(T_map_camera, points) - matches.points_map, axis=1)
    return np.asarray(errors <= point_tolerances(points, points, settings))


def make_surface(views: Sequence[StoredView]) -> LocalSurface:
    """Join the surfaces of some keyframes."""
    points = np.concatenate([view.points_map for view in views])
    normals = np.concatenate([view.normals_map for view in views])
    known = np.isfinite(normals[:, 0]) & np.isfinite(points[:, 0])
    # a few searches do not make up for the time that a better tree takes to build
    tree = cKDTree(points[known], balanced_tree=False, compact_nodes=False, leafsize=_LEAF_SIZE)
    return LocalSurface(points_map=points[known], normals_map=normals[known], tree=tree)


def refine_with_depth(
    query: QueryView,
    query_normals: Float64Array,
    matches: PooledMatches,
    surface: LocalSurface,
    T_map_camera: Mat4,
    settings: SolverSettings,
) -> tuple[Mat4, Float64Array]:
    """Refine a pose on matches and surfaces; returns it with its (6, 6) covariance (see `PoseHypothesis`).

    Args:
        query: with depth.
        query_normals: (N, 3) in the camera frame, NaN where unknown.
        matches: pooled matches, of which those that agree are used, chosen anew in each step.
        surface: of the map around.
        T_map_camera: where to start.
        settings: tolerances.
    """
    is_usable = np.isfinite(query_normals[:, 0])
    cloud, cloud_normals = query.points_camera[is_usable], query_normals[is_usable]
    information = np.zeros((6, 6))
    for step in range(NUM_ITERATIONS):
        inliers = matches.take(agreeing_matches(query, matches, T_map_camera, settings))
        information, gradient = _point_terms(query.points_camera[inliers.query_rows], inliers.points_map, T_map_camera)
        max_distance = MAX_PLANE_DISTANCE * (1 - step / NUM_ITERATIONS)
        plane_information, plane_gradient = _plane_terms(cloud, cloud_normals, surface, T_map_camera, max_distance)
        information = information + plane_information
        T_map_camera = apply_update(T_map_camera, -_solve(information, gradient + plane_gradient))
    return T_map_camera, covariance_from_information(information)


def refine_without_depth(
    query: QueryView, matches: PooledMatches, T_map_camera: Mat4, settings: SolverSettings, *, seed: int
) -> tuple[Mat4, Float64Array]:
    """Refine a pose by PnP on all matches that agree with it; returns it with its (6, 6) covariance."""
    inliers = matches.take(agreeing_matches(query, matches, T_map_camera, settings))
    found = solve_absolute_pose(
        query.keypoints_px[inliers.query_rows],
        inliers.points_map,
        query.camera,
        max_error_px=settings.max_reprojection_error_px * query.camera.height / REFERENCE_HEIGHT,
        max_iterations=settings.max_iterations,
        seed=seed,
    )
    refined = T_map_camera if found is None else found.T_a_b
    # chosen anew: what lies behind the refined camera has no reprojection error
    inliers = matches.take(agreeing_matches(query, matches, refined, settings))
    return refined, covariance_from_information(_pixel_information(query, inliers, refined))


def apply_update(T_map_camera: Mat4, update: Float64Array) -> Mat4:
    """Shift by update[:3] and turn by update[3:] about the map's axes, with the camera's centre as the pivot."""
    rotation = exp_se3(np.concatenate([np.zeros(3), update[3:]]))[:3, :3]
    return make_pose(rotation @ T_map_camera[:3, :3], T_map_camera[:3, 3] + update[:3])


def covariance_from_information(information: Float64Array) -> Float64Array:
    """Invert, allow for correlated residuals, and keep every standard deviation above a floor."""
    # directions without any residual are unknown to 1 m and 1 rad
    covariance = np.linalg.inv(information / CORRELATED_RESIDUALS + np.eye(6))
    return np.asarray(covariance + np.diag([MIN_STD_M**2] * 3 + [MIN_STD_RAD**2] * 3))


def _solve(information: Float64Array, gradient: Float64Array) -> Float64Array:
    """Gauss-Newton step, damped so that directions without any residual stay where they are."""
    damping = 1e-3 * max(float(np.trace(information)) / 6, 1.0)
    return np.asarray(np.linalg.solve(information + damping * np.eye(6), gradient))


def _point_terms(
    points_camera: Float64Array, targets_map: Float64Array, T_map_camera: Mat4
) -> tuple[Float64Array, Float64Array]:
    """Information and gradient of point-to-point residuals `R p + t - q`."""
    lever = points_camera @ T_map_camera[:3, :3].T
    residuals = lever + T_map_camera[:3, 3] - targets_map
    jacobian = np.zeros((len(lever), 3, 6))
    jacobian[:, :, :3] = np.eye(3)
    jacobian[:, :, 3:] = -_skew_batch(lever)
    jacobian = jacobian.reshape(-1, 6) / POINT_SIGMA
    return jacobian.T @ jacobian, jacobian.T @ (residuals.ravel() / POINT_SIGMA)


def _plane_terms(
    cloud: Float64Array, normals: Float64Array, surface: LocalSurface, T_map_camera: Mat4, max_distance: float
) -> tuple[Float64Array, Float64Array]:
    """Information and gradient of point-to-plane residuals, with Tukey weights."""
    lever = cloud @ T_map_camera[:3, :3].T
    moved = lever + T_map_camera[:3, 3]
    distance, nearest = surface.tree.query(moved, distance_upper_bound=max_distance)
    near = np.isfinite(distance)
    lever, moved, nearest = lever[near], moved[near], nearest[near]
    plane = surface.normals_map[nearest]
    same = np.einsum("ni,ni->n", normals[near] @ T_map_camera[:3, :3].T, plane) > MIN_NORMAL_AGREEMENT
    lever, plane = lever[same], plane[same]
    residuals = np.einsum("ni,ni->n", moved[same] - surface.points_map[nearest[same]], plane)
    weights = np.maximum(0.0, 1 - (residuals / max_distance) ** 2) / PLANE_SIGMA
    jacobian = np.concatenate([plane, np.cross(lever, plane)], axis=1) * weights[:, None]
    return jacobian.T @ jacobian, jacobian.T @ (residuals * weights)


def _pixel_information(query: QueryView, inliers: PooledMatches, T_map_camera: Mat4) -> Float64Array:
    """Information of reprojection residuals at a pose that sees all the points."""
    lever = inliers.points_map - T_map_camera[:3, 3]
    points_camera = lever @ T_map_camera[:3, :3]
    x, y, z = points_camera.T
    zero = np.zeros_like(z)
    camera = query.camera
    row_u = np.stack([camera.fx / z, zero, -camera.fx * x / z**2], axis=1)
    row_v = np.stack([zero, camera.fy / z, -camera.fy * y / z**2], axis=1)
    # moving the camera by (dt, dtheta) moves the point by -R^T (dt + dtheta x lever)
    motion = np.concatenate([np.broadcast_to(np.eye(3), (len(z), 3, 3)), -_skew_batch(lever)], axis=2)
    jacobian = np.stack([row_u, row_v], axis=1) @ (T_map_camera[:3, :3].T @ motion)
    jacobian = jacobian.reshape(-1, 6) / (PIXEL_SIGMA * camera.height / REFERENCE_HEIGHT)
    return np.asarray(jacobian.T @ jacobian)


def _skew_batch(vectors: Float64Array) -> Float64Array:
    """(N, 3, 3) cross-product matrices of (N, 3) vectors."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
