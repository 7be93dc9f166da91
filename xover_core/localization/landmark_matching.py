# SPDX-License-Identifier: Apache-2.0
"""A first pose from the map's landmarks alone: one matrix product for a whole building, before any keyframe is read.

A landmark's embedding is the mean over the views that saw it, so it is met from more directions than any one
keyframe's patch. The pose that its matches give tells which keyframes to match as well, however little they look
like the query as a whole.
"""

from __future__ import annotations

import numpy as np

from xover_core.config import MatchingSettings, SolverSettings
from xover_core.geometry.alignment import align_robust
from xover_core.geometry.camera_pose import solve_absolute_pose
from xover_core.localization.patch_matching import match_to_points
from xover_core.localization.pose_candidates import (
    REFERENCE_HEIGHT,
    PoseCandidate,
    QueryView,
    point_tolerances,
)
from xover_core.types import Landmarks


class LandmarkMatcher:
    """Holds the landmarks of a map as one matrix."""

    def __init__(self, landmarks: Landmarks, matching: MatchingSettings, solver: SolverSettings) -> None:
        self._embeddings = landmarks.embeddings.astype(np.float32)
        self._positions_map = landmarks.positions_map
        self._matching = matching
        self._solver = solver

    def solve(self, query: QueryView, rng: np.random.Generator) -> PoseCandidate | None:
        """Pose of the query from its matches with landmarks; None when too few of them agree."""
        if len(self._embeddings) < self._solver.min_inliers:
            return None
        pairs = match_to_points(query.descriptors, self._embeddings, query.grid_shape, self._matching)
        points_map = self._positions_map[pairs.rows_b]
        if query.depth is None:
            found = solve_absolute_pose(
                query.keypoints_px[pairs.rows_a],
                points_map,
                query.camera,
                max_error_px=self._solver.max_reprojection_error_px * query.camera.height / REFERENCE_HEIGHT,
                max_iterations=self._solver.max_iterations,
                seed=int(rng.integers(2**31)),
            )
            if found is None or np.count_nonzero(found.is_inlier) < self._solver.min_inliers:
                return None
            return PoseCandidate(T_map_camera=found.T_a_b, score=float(found.is_inlier.sum()))
        points = query.points_camera[pairs.rows_a]
        known = np.isfinite(points[:, 2])
        points, points_map = points[known], points_map[known]
        tolerances = point_tolerances(points, points, self._solver)
        aligned = align_robust(points, points_map, tolerances, rng=rng, num_hypotheses=self._solver.max_iterations)
        if aligned is None or np.count_nonzero(aligned.is_inlier) < self._solver.min_inliers:
            return None
        return PoseCandidate(T_map_camera=aligned.T_b_a, score=aligned.score)
