# SPDX-License-Identifier: Apache-2.0
"""A first pose from the map's landmarks alone: one matrix product, before any keyframe is read.

A landmark's embedding is the mean over the views that saw it, so it is met from more directions than any one
keyframe's patch. The pose that its matches give tells which keyframes to match as well, however little they look
like the query as a whole. A large map is matched with the landmarks of the scenes that look most alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.config import SolverSettings
from xover_core.geometry.alignment import align_robust
from xover_core.geometry.camera_pose import solve_absolute_pose
from xover_core.landmark_map.bounded_cache import BoundedCache
from xover_core.landmark_map.landmark_blocks import LandmarkBlocks
from xover_core.localization.point_matcher import PointBlock, PointMatcher
from xover_core.localization.pose_candidates import (
    REFERENCE_HEIGHT,
    PoseCandidate,
    QueryView,
    point_tolerances,
)
from xover_core.types import Float32Array, Float64Array, Landmarks

# Landmarks of scenes that are kept ready: those of the last few dozen rooms that looked alike.
_MAX_SCENE_BYTES = 64e6
# Key of a map that is matched as a whole; scenes have positive ids.
_WHOLE_MAP = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkMatrix:
    """Landmarks made ready for matching: (M, D) embeddings and (M, 3) positions in the map."""

    embeddings: Float32Array
    positions_map: Float64Array

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return self.embeddings.nbytes + self.positions_map.nbytes


class LandmarkMatcher:
    """Holds the landmarks of a map as one matrix, or those of a neighbourhood in a large map."""

    def __init__(
        self, blocks: LandmarkBlocks, matcher: PointMatcher, solver: SolverSettings, *, max_landmarks: int
    ) -> None:
        """Make the landmarks ready.

        Args:
            blocks: landmarks of the map.
            matcher: of patches and landmarks, for this map alone.
            solver: of poses.
            max_landmarks: a map with more is matched scene by scene.
        """
        self._blocks = blocks
        self._matcher = matcher
        self._solver = solver
        self._max_landmarks = max_landmarks
        self._all = _as_matrix(blocks.all()) if len(blocks) <= max_landmarks else None
        self._scenes: BoundedCache[int, LandmarkMatrix] = BoundedCache(
            lambda scene_id: _as_matrix(blocks.of_scene(scene_id)), lambda matrix: matrix.num_bytes, _MAX_SCENE_BYTES
        )

    def solve(self, query: QueryView, scene_ids: Sequence[int], rng: np.random.Generator) -> PoseCandidate | None:
        """Pose of the query from its matches with landmarks; None when too few of them agree.

        Args:
            query: the image.
            scene_ids: of the scenes that look most alike, best first; only they are matched in a large map.
            rng: of the solver.
        """
        landmarks = self._neighborhood(scene_ids) if self._all is None else {_WHOLE_MAP: self._all}
        if sum(len(one.embeddings) for one in landmarks.values()) < self._solver.min_inliers:
            return None
        blocks = [PointBlock(key=key, descriptors=one.embeddings) for key, one in landmarks.items()]
        pairs = self._matcher.match(query.patches, blocks)
        points_map = np.concatenate([one.positions_map for one in landmarks.values()])[pairs.rows_b]
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

    def _neighborhood(self, scene_ids: Sequence[int]) -> dict[int, LandmarkMatrix]:
        """Landmarks of the first scenes by their ids, no more together than allowed; of the first one in any case."""
        counts = self._blocks.counts
        chosen: dict[int, LandmarkMatrix] = {}
        total = 0
        for scene_id in scene_ids:
            count = counts.get(scene_id, 0)
            if count and chosen and total + count > self._max_landmarks:
                break
            if count:
                chosen[scene_id] = self._scenes[scene_id]
                total += count
        return chosen


def _as_matrix(landmarks: Landmarks) -> LandmarkMatrix:
    """Landmarks made ready."""
    return LandmarkMatrix(embeddings=landmarks.embeddings.astype(np.float32), positions_map=landmarks.positions_map)
