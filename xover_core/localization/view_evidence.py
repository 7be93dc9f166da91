# SPDX-License-Identifier: Apache-2.0
"""What an answer says of the keyframe that speaks most for it: matches, and the pose relative to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.config import SolverSettings
from xover_core.geometry.transforms import invert, make_pose, transform_points
from xover_core.localization.pose_candidates import (
    REFERENCE_HEIGHT,
    MatchedView,
    QueryView,
    point_tolerances,
    reprojection_errors,
    scale_relative,
    solve_relative,
)
from xover_core.types import Mat4, PatchMatches, PoseHypothesis, RelativePose


def find_best_view(matched: Sequence[MatchedView], hypotheses: Sequence[PoseHypothesis]) -> MatchedView:
    """The keyframe of the best hypothesis, else the one with most matches; there is at least one."""
    if hypotheses:
        return next(m for m in matched if m.view.keyframe.keyframe_id == hypotheses[0].keyframe_id)
    return max(matched, key=lambda m: len(m.pairs))


def matches_with(
    query: QueryView, matched: MatchedView, best: PoseHypothesis | None, settings: SolverSettings
) -> PatchMatches:
    """The matches with one keyframe, for people, and which of them the best hypothesis explains."""
    pairs = matched.pairs
    return PatchMatches(
        keyframe_id=matched.view.keyframe.keyframe_id,
        query_px=query.keypoints_px[pairs.rows_a],
        keyframe_px=matched.view.keyframe.keypoints_px[pairs.rows_b],
        similarities=pairs.similarities,
        is_inlier=_is_inlier(query, matched, None if best is None else best.T_map_camera, settings),
    )


def pose_by_hypothesis(matched: MatchedView, matches: PatchMatches, best: PoseHypothesis) -> RelativePose:
    """The query relative to a keyframe, by a pose in the map.

    Args:
        matched: the keyframe.
        matches: with it.
        best: hypothesis.
    """
    keyframe = matched.view.keyframe
    return RelativePose(
        keyframe_id=keyframe.keyframe_id,
        T_keyframe_query=invert(keyframe.T_map_camera) @ best.T_map_camera,
        is_metric=True,
        num_inliers=int(matches.is_inlier.sum()),
        num_matches=len(matched.pairs),
    )


def pose_by_matches(
    query: QueryView, matched: MatchedView, settings: SolverSettings, rng: np.random.Generator
) -> RelativePose | None:
    """The query relative to a keyframe, by the 5-point solver; None when it finds nothing.

    A refined pose in the map is ten times as exact as the essential matrix of patches that lie 8 px apart.
    """
    pose = solve_relative(query, matched, settings, seed=int(rng.integers(2**31)))
    if pose is None:
        return None
    scale = scale_relative(query, matched, pose)
    return RelativePose(
        keyframe_id=matched.view.keyframe.keyframe_id,
        T_keyframe_query=make_pose(pose.T_a_b[:3, :3], (1.0 if scale is None else scale) * pose.T_a_b[:3, 3]),
        is_metric=scale is not None,
        num_inliers=int(pose.is_inlier.sum()),
        num_matches=len(matched.pairs),
    )


def _is_inlier(
    query: QueryView, matched: MatchedView, T_map_camera: Mat4 | None, settings: SolverSettings
) -> NDArray[np.bool_]:
    """(M,) which pairs of one keyframe a pose explains."""
    pairs = matched.pairs
    if T_map_camera is None:
        return np.zeros(len(pairs), dtype=bool)
    points_map = matched.view.points_map[pairs.rows_b]
    with np.errstate(invalid="ignore"):
        if query.depth is None:
            errors_px = reprojection_errors(query, pairs.rows_a, points_map, T_map_camera)
            return np.asarray(errors_px <= settings.max_reprojection_error_px * query.camera.height / REFERENCE_HEIGHT)
        points = query.points_camera[pairs.rows_a]
        errors = np.linalg.norm(transform_points(T_map_camera, points) - points_map, axis=1)
        return np.asarray(errors <= point_tolerances(points, points, settings))
