# SPDX-License-Identifier: Apache-2.0
"""The box room as the localizer sees it: queries, stored views and true matches, for the tests of localization."""

from __future__ import annotations

from typing import Any

import numpy as np
from box_room import look_at, room_frame
from scipy.spatial import cKDTree

from xover_core.encoders.patch_grid import make_patch_grid
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import transform_points
from xover_core.localization.keyframe_store import StoredView, make_stored_view
from xover_core.localization.patch_matching import PatchPairs
from xover_core.localization.pose_candidates import MatchedView, QueryView
from xover_core.types import CameraIntrinsics, Float64Array, Keyframe, Mat4, PoseHypothesis

CAMERA = CameraIntrinsics(fx=240.0, fy=235.0, cx=161.5, cy=117.25, width=320, height=240)
LARGE_CAMERA = CameraIntrinsics(fx=480.0, fy=470.0, cx=323.5, cy=235.25, width=640, height=480)
# Patch centres of two views never meet exactly; pairs farther apart than this in the room are no true matches, m.
MAX_PAIR_DISTANCE = 0.03
T_MAP_KEYFRAME = look_at((-0.6, 0.2, 0.1), 10.0)
T_MAP_QUERY = look_at((-0.2, -0.1, 0.0), 22.0)


def room_query(T_map_camera: Mat4, *, camera: CameraIntrinsics = CAMERA, has_depth: bool = True) -> QueryView:
    """A query in the room; its descriptors are zeros."""
    grid = make_patch_grid(camera.width, camera.height, 240)
    depth = room_frame(T_map_camera, camera).depth
    assert depth is not None
    points = back_project(grid.keypoints_px, sample_depth(depth, grid.keypoints_px), camera).astype(np.float64)
    return QueryView(
        camera=camera,
        grid_shape=grid.grid_shape,
        keypoints_px=grid.keypoints_px,
        descriptors=np.zeros((len(points), 4), np.float32),
        points_camera=points if has_depth else np.full_like(points, np.nan),
        depth=depth if has_depth else None,
    )


def room_view(T_map_camera: Mat4, *, keyframe_id: int = 1, scene_id: int = 1, has_depth: bool = True) -> StoredView:
    """A keyframe in the room, ready for matching."""
    query = room_query(T_map_camera, has_depth=has_depth)
    keyframe = Keyframe(
        keyframe_id=keyframe_id,
        scene_id=scene_id,
        stamp_ns=keyframe_id,
        T_map_camera=T_map_camera,
        intrinsics=CAMERA,
        grid_shape=query.grid_shape,
        keypoints_px=query.keypoints_px,
        descriptors=(query.descriptors.astype(np.float16),),
        points_camera=query.points_camera.astype(np.float32),
        thumbnail_jpeg=b"no picture",
    )
    return make_stored_view(keyframe)


def true_match(T_map_query: Mat4, view: StoredView, *, query: QueryView | None = None) -> MatchedView:
    """Pairs of patches whose centres see the same spot of the room, found from truth."""
    query = query or room_query(T_map_query)
    seen = room_query(T_map_query, camera=query.camera).points_camera
    points_map = transform_points(T_map_query, seen)
    truth = transform_points(view.keyframe.T_map_camera, room_query(view.keyframe.T_map_camera).points_camera)
    distance, rows_b = cKDTree(truth).query(points_map)
    rows_a = np.flatnonzero(distance < MAX_PAIR_DISTANCE)
    return matched_view(view, rows_a, rows_b[rows_a])


def matched_view(view: StoredView, rows_a: Any, rows_b: Any) -> MatchedView:
    """The view with the given pairs."""
    pairs = PatchPairs(
        rows_a=np.asarray(rows_a, np.int64),
        rows_b=np.asarray(rows_b, np.int64),
        similarities=np.ones(len(rows_a), np.float32),
    )
    return MatchedView(view=view, pairs=pairs)


def with_wrong_pairs(matched: MatchedView, share: float, random: np.random.Generator) -> MatchedView:
    """The same pairs, of which a share leads somewhere else."""
    rows_b = matched.pairs.rows_b.copy()
    wrong = random.random(len(rows_b)) < share
    rows_b[wrong] = random.integers(0, len(matched.view.points_map), int(wrong.sum()))
    return matched_view(matched.view, matched.pairs.rows_a, rows_b)


def hypothesis(T_map_camera: Mat4, probability: float = 0.9, **changes: Any) -> PoseHypothesis:
    """A hypothesis with a covariance of 1 cm and 0.01 rad."""
    values: dict[str, Any] = {
        "T_map_camera": T_map_camera,
        "covariance": small_covariance(),
        "probability": probability,
        "scene_id": 1,
        "keyframe_id": 1,
        "num_inliers": 40,
        "inlier_ratio": 0.5,
        "reprojection_error_px": 1.0,
        "depth_agreement": 0.9,
    }
    return PoseHypothesis(**{**values, **changes})


def small_covariance() -> Float64Array:
    """1 cm and 0.01 rad."""
    return np.diag([1e-4] * 6)
