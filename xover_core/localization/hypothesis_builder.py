# SPDX-License-Identifier: Apache-2.0
"""Candidates of single keyframes -> distinct, refined, verified hypotheses with their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.config import XoverSettings
from xover_core.geometry.transforms import pose_error
from xover_core.localization.calibration import PoseCalibration, PoseEvidence
from xover_core.localization.keyframe_store import StoredView, ViewStore, grid_normals
from xover_core.localization.pose_candidates import MatchedView, PoseCandidate, QueryView, reprojection_errors
from xover_core.localization.pose_refinement import (
    PooledMatches,
    agreeing_matches,
    make_surface,
    pool_matches,
    refine_with_depth,
    refine_without_depth,
)
from xover_core.localization.pose_verification import DepthComparison, compare_depth
from xover_core.types import Float64Array, Mat4, PoseHypothesis

# Candidates closer than this are one hypothesis.
SAME_POSE_M = 0.5
SAME_POSE_RAD = np.deg2rad(20)
# Keyframes that look where the pose looks; together they hold the surface that the camera should see.
MAX_VIEW_DISTANCE = 3.0
MAX_VIEW_ANGLE = np.deg2rad(75)
MAX_VIEWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinedPose:
    """A pose after refinement, with which pooled matches agree."""

    T_map_camera: Mat4
    covariance: Float64Array
    is_inlier: NDArray[np.bool_]
    num_inliers: int


class HypothesisBuilder:
    """Works on one query."""

    def __init__(
        self,
        query: QueryView,
        matched_views: Sequence[MatchedView],
        views: ViewStore,
        settings: XoverSettings,
        calibration: PoseCalibration,
        rng: np.random.Generator,
    ) -> None:
        """Pool the matches of all keyframes.

        Args:
            query: the image.
            matched_views: keyframes that were matched; at least one.
            views: all keyframes of the map.
            settings: of the solver and of verification.
            calibration: evidence to probability.
            rng: for PnP.
        """
        self._query = query
        self._views = views
        self._settings = settings
        self._calibration = calibration
        self._rng = rng
        self._matched = {matched.view.keyframe.keyframe_id: matched for matched in matched_views}
        self._pooled = pool_matches(query, matched_views)
        has_depth = query.depth is not None
        self._query_normals = grid_normals(query.points_camera, query.grid_shape) if has_depth else None

    def build(self, candidates: Sequence[PoseCandidate]) -> list[PoseHypothesis]:
        """Hypotheses, most probable first; empty without candidates."""
        chosen = self._distinct(sorted(candidates, key=lambda candidate: -candidate.score))
        refined = [pose for pose in map(self._refine, chosen) if pose is not None]
        refined = self._drop_repeated(sorted(refined, key=lambda pose: -pose.num_inliers))
        hypotheses = [self._judge(pose, self._rival(pose, refined)) for pose in refined]
        return sorted(hypotheses, key=lambda hypothesis: -hypothesis.probability)

    def _distinct(self, candidates: Sequence[PoseCandidate]) -> list[Mat4]:
        """The best candidates that are not near a better one."""
        chosen: list[Mat4] = []
        for candidate in candidates:
            if len(chosen) == self._settings.solver.max_hypotheses:
                break
            if not any(is_same_pose(candidate.T_map_camera, other) for other in chosen):
                chosen.append(candidate.T_map_camera)
        return chosen

    def _drop_repeated(self, poses: Sequence[RefinedPose]) -> list[RefinedPose]:
        """Poses in order without those that refinement drew to a better one."""
        kept: list[RefinedPose] = []
        for pose in poses:
            if not any(is_same_pose(pose.T_map_camera, other.T_map_camera) for other in kept):
                kept.append(pose)
        return kept

    def _refine(self, T_map_camera: Mat4) -> RefinedPose | None:
        """Refine one pose; None when too few matches agree with the result."""
        settings = self._settings.solver
        towards = self._views_towards(T_map_camera)
        if self._query_normals is None or not towards:
            seed = int(self._rng.integers(2**31))
            pose, covariance = refine_without_depth(self._query, self._pooled, T_map_camera, settings, seed=seed)
        else:
            pose, covariance = refine_with_depth(
                self._query, self._query_normals, self._pooled, make_surface(towards), T_map_camera, settings
            )
        is_inlier = agreeing_matches(self._query, self._pooled, pose, settings)
        num_inliers = len(np.unique(self._pooled.query_rows[is_inlier]))
        if num_inliers < settings.min_inliers:
            return None
        return RefinedPose(T_map_camera=pose, covariance=covariance, is_inlier=is_inlier, num_inliers=num_inliers)

    def _judge(self, pose: RefinedPose, rival_ratio: float) -> PoseHypothesis:
        """Collect the evidence and state its probability."""
        inliers: PooledMatches = self._pooled.take(pose.is_inlier)
        ids, counts = np.unique(inliers.keyframe_ids, return_counts=True)
        best = self._matched[int(ids[counts.argmax()])]
        comparison = self._compare_depth(pose.T_map_camera)
        evidence = PoseEvidence(
            num_inliers=pose.num_inliers,
            rival_ratio=rival_ratio,
            num_agree=comparison.num_agree,
            num_see_through=comparison.num_see_through,
            num_compared=comparison.num_compared,
        )
        errors_px = reprojection_errors(self._query, inliers.query_rows, inliers.points_map, pose.T_map_camera)
        return PoseHypothesis(
            T_map_camera=pose.T_map_camera,
            covariance=pose.covariance,
            probability=self._calibration.probability(evidence, has_depth=self._query.depth is not None),
            scene_id=best.view.keyframe.scene_id,
            keyframe_id=best.view.keyframe.keyframe_id,
            num_inliers=pose.num_inliers,
            inlier_ratio=float(counts.max() / max(len(best.pairs), 1)),
            reprojection_error_px=float(np.median(errors_px)),
            depth_agreement=comparison.agreement,
            see_through=comparison.see_through,
            num_compared=comparison.num_compared,
            rival_ratio=rival_ratio,
        )

    def _rival(self, pose: RefinedPose, poses: Sequence[RefinedPose]) -> float:
        """Inliers of the best other pose as a share of this one's."""
        others = [other.num_inliers for other in poses if other is not pose]
        return max(others, default=0) / pose.num_inliers

    def _compare_depth(self, T_map_camera: Mat4) -> DepthComparison:
        """The query's depth against the map around; nothing is compared without depth or map points in view."""
        towards = self._views_towards(T_map_camera)
        if self._query.depth is None or not towards:
            return DepthComparison(num_agree=0, num_see_through=0, num_hidden=0)
        return compare_depth(
            np.concatenate([view.points_map for view in towards]),
            T_map_camera,
            self._query.depth,
            self._query.camera,
            self._settings.verification,
        )

    def _views_towards(self, T_map_camera: Mat4) -> list[StoredView]:
        """Keyframes that look where the pose looks."""
        return self._views.towards(
            T_map_camera, max_distance=MAX_VIEW_DISTANCE, max_angle=MAX_VIEW_ANGLE, max_views=MAX_VIEWS
        )


def is_same_pose(T_map_a: Mat4, T_map_b: Mat4) -> bool:
    """Whether two poses are one hypothesis."""
    distance, angle = pose_error(T_map_a, T_map_b)
    return distance <= SAME_POSE_M and angle <= SAME_POSE_RAD
