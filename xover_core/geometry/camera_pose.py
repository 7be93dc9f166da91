# SPDX-License-Identifier: Apache-2.0
"""Camera pose from pixels: relative pose by the 5-point solver, absolute pose by PnP, both LO-RANSAC of PoseLib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import poselib
from numpy.typing import NDArray

from xover_core.geometry.transforms import invert, make_pose
from xover_core.types import CameraIntrinsics, Float64Array, Mat4

MIN_RELATIVE_MATCHES = 6
MIN_ABSOLUTE_MATCHES = 4
# Relative scales from single matches scatter; the median over fewer than this is not trusted.
MIN_SCALE_MATCHES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPose:
    """A pose with the matches that agree.

    Attributes:
        T_a_b: (4, 4); what a and b are is said by the function that returns it.
        is_inlier: (N,) bool.
    """

    T_a_b: Mat4
    is_inlier: NDArray[np.bool_]


def solve_relative_pose(
    pixels_a: NDArray[np.floating],
    pixels_b: NDArray[np.floating],
    camera_a: CameraIntrinsics,
    camera_b: CameraIntrinsics,
    *,
    max_error_px: float,
    max_iterations: int,
    seed: int,
) -> CameraPose | None:
    """T_a_b of two views with translation of unit length, from (N, 2) matched pixels (Nister 2004).

    Points behind either camera are no inliers (chirality). None with fewer than six matches or without a solution.
    """
    if len(pixels_a) < MIN_RELATIVE_MATCHES:
        return None
    pose, info = poselib.estimate_relative_pose(
        np.asarray(pixels_b, np.float64),
        np.asarray(pixels_a, np.float64),
        _poselib_camera(camera_b),
        _poselib_camera(camera_a),
        {"max_epipolar_error": max_error_px, "max_iterations": max_iterations, "min_iterations": 50, "seed": seed},
        {},
    )
    # PoseLib's refinement leaves the translation a little off unit length
    direction = pose.t / max(float(np.linalg.norm(pose.t)), 1e-12)
    return _accept(make_pose(pose.R, direction), info, MIN_RELATIVE_MATCHES)


def solve_absolute_pose(
    pixels: NDArray[np.floating],
    points_world: Float64Array,
    camera: CameraIntrinsics,
    *,
    max_error_px: float,
    max_iterations: int,
    seed: int,
) -> CameraPose | None:
    """T_world_camera from (N, 2) pixels and their (N, 3) points; None with fewer than four or without a solution."""
    if len(pixels) < MIN_ABSOLUTE_MATCHES:
        return None
    pose, info = poselib.estimate_absolute_pose(
        np.asarray(pixels, np.float64),
        np.asarray(points_world, np.float64),
        _poselib_camera(camera),
        {"max_reproj_error": max_error_px, "max_iterations": max_iterations, "min_iterations": 50, "seed": seed},
        {},
    )
    return _accept(invert(make_pose(pose.R, pose.t)), info, MIN_ABSOLUTE_MATCHES)


def translation_scale(T_a_b: Mat4, points_a: Float64Array, points_b: Float64Array) -> float | None:
    """Length of the translation of T_a_b in metres from depth, by the median over matches.

    Each match with depth in both views gives `p_a - R p_b = s t`, whose least-squares s is its component along t.

    Args:
        T_a_b: (4, 4) with translation of unit length.
        points_a: (N, 3) in camera a, NaN rows where there is no depth.
        points_b: (N, 3) in camera b.

    Returns:
        None when too few matches have depth in both views.
    """
    lengths = (points_a - points_b @ T_a_b[:3, :3].T) @ T_a_b[:3, 3]
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if len(lengths) >= MIN_SCALE_MATCHES else None


def _accept(T_a_b: Mat4, info: dict[str, Any], min_inliers: int) -> CameraPose | None:
    """A pose, unless the solver found nothing: PoseLib answers the identity then."""
    if info["num_inliers"] < min_inliers or not np.isfinite(T_a_b).all():
        return None
    return CameraPose(T_a_b=T_a_b, is_inlier=np.asarray(info["inliers"], dtype=bool))


def _poselib_camera(camera: CameraIntrinsics) -> dict[str, Any]:
    """PoseLib's camera; its pixel origin does not matter as long as pixels and principal point share it."""
    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    return {"model": "PINHOLE", "width": camera.width, "height": camera.height, "params": params}
