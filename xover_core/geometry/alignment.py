# SPDX-License-Identifier: Apache-2.0
"""Rigid alignment of matched 3D points: closed form, and robust to wrong matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.geometry.transforms import make_pose, transform_points
from xover_core.types import Float64Array, Mat4

# Corners of a sampled triangle closer than this say little about the rotation, m.
MIN_TRIANGLE_SIDE = 0.15
LOCAL_OPTIMISATION_STEPS = 5
# Corners whose sides differ in direction by less than this (the sine squared) lie on one line.
_MIN_SQUARED_SINE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class RigidAlignment:
    """A robust alignment.

    Attributes:
        T_b_a: (4, 4), takes points in a to b.
        is_inlier: (N,) bool.
        score: sum over inliers of 1 - (error / tolerance)^2; the truncated-quadratic consensus that was maximised.
    """

    T_b_a: Mat4
    is_inlier: NDArray[np.bool_]
    score: float


def align_rigid(points_a: Float64Array, points_b: Float64Array, weights: NDArray[np.floating] | None = None) -> Mat4:
    """Least-squares T_b_a of matched points (Kabsch 1976, reflection handled as in Umeyama 1991).

    Args:
        points_a: (N, 3), N >= 3, not all on one line.
        points_b: (N, 3).
        weights: (N,) not negative, not all zero; all equal when None.

    Raises:
        GeometryError: shapes differ, or fewer than three points.
    """
    if points_a.shape != points_b.shape or points_a.ndim != 2 or points_a.shape[1] != 3 or len(points_a) < 3:
        raise GeometryError(
            f"rigid alignment: expected two (N, 3) point sets with N >= 3, got {points_a.shape} and {points_b.shape}."
        )
    share = np.full(len(points_a), 1 / len(points_a)) if weights is None else weights / weights.sum()
    rotations, translations = _align_batch(points_a[None], points_b[None], share[None])
    return make_pose(rotations[0], translations[0])


def align_robust(
    points_a: Float64Array,
    points_b: Float64Array,
    tolerances: Float64Array,
    *,
    rng: np.random.Generator,
    num_hypotheses: int = 500,
) -> RigidAlignment | None:
    """T_b_a of matches of which many may be wrong: LO-RANSAC with all hypotheses evaluated at once.

    Triangles whose sides differ between a and b are dropped before anything is solved, which makes this cheap at low
    inlier ratios. The best hypothesis is improved on its inliers until they no longer change.

    Args:
        points_a: (N, 3).
        points_b: (N, 3).
        tolerances: (N,) largest error of an inlier, m.
        rng: source of the samples.
        num_hypotheses: triangles drawn.

    Returns:
        None when no consistent triangle was drawn, or fewer than three matches were given.
    """
    if len(points_a) < 3:
        return None
    triangles = _consistent_triangles(
        points_a, points_b, tolerances, rng.integers(0, len(points_a), (num_hypotheses, 3))
    )
    if not len(triangles):
        return None
    rotations, translations = align_triangles(points_a[triangles], points_b[triangles])
    squared_errors = _squared_errors(points_a, points_b, rotations, translations)
    best = int(_consensus(squared_errors, tolerances).sum(axis=1).argmax())
    return _optimise_locally(points_a, points_b, tolerances, make_pose(rotations[best], translations[best]))


def align_triangles(corners_a: Float64Array, corners_b: Float64Array) -> tuple[Float64Array, Float64Array]:
    """What `align_rigid` gives for triangles of nearly the same shape, many at once, in closed form.

    The planes of both triangles fall together, and one angle is left to be found within the plane.

    Args:
        corners_a: (T, 3, 3), corner by corner, no two of them in one place.
        corners_b: (T, 3, 3), turned the same way round.

    Returns:
        Rotations (T, 3, 3) and translations (T, 3) from a to b.
    """
    center_a, center_b = corners_a.mean(axis=1), corners_b.mean(axis=1)
    axes_a, axes_b = np.split(_triangle_axes(np.concatenate([corners_a, corners_b])), 2)
    flat_a = (corners_a - center_a[:, None]) @ axes_a[:, :, :2]
    flat_b = (corners_b - center_b[:, None]) @ axes_b[:, :, :2]
    products = np.swapaxes(flat_a, 1, 2) @ flat_b
    cosine, sine = products[:, 0, 0] + products[:, 1, 1], products[:, 0, 1] - products[:, 1, 0]
    length = np.hypot(cosine, sine)
    turn = np.zeros((len(corners_a), 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = cosine / length
    turn[:, 1, 0] = sine / length
    turn[:, 0, 1] = -turn[:, 1, 0]
    turn[:, 2, 2] = 1
    rotations = axes_b @ turn @ np.swapaxes(axes_a, 1, 2)
    return rotations, center_b - (rotations @ center_a[:, :, None])[:, :, 0]


def _triangle_axes(corners: Float64Array) -> Float64Array:
    """(T, 3, 3) with unit columns: along the first side, at right angles to it in the plane, and the normal."""
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = _cross(side, other)
    is_line = (normal**2).sum(axis=1) <= _MIN_SQUARED_SINE * (side**2).sum(axis=1) * (other**2).sum(axis=1)
    if is_line.any():
        # any plane through the line will do
        normal[is_line] = _cross(side[is_line], np.eye(3)[np.abs(side[is_line]).argmin(axis=1)])
    axes = np.stack([side, _cross(normal, side), normal], axis=2)
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    """(T, 3) cross products; NumPy's own takes three times as long for a few hundred."""
    return np.asarray(a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]])


def _squared_errors(
    points_a: Float64Array, points_b: Float64Array, rotations: Float64Array, translations: Float64Array
) -> Float64Array:
    """(H, N) squared distances of each match under each hypothesis, by one matrix product.

    |R a + t - b|^2 = |a|^2 + |b|^2 + |t|^2 + 2 (R^T t) a - 2 t b - 2 b^T R a, which is linear in products of a and b.
    """
    outer = (points_b[:, :, None] * points_a[:, None, :]).reshape(len(points_a), 9)
    of_points = np.concatenate([outer, points_a, points_b], axis=1)
    turned_back = (translations[:, None] @ rotations)[:, 0]
    of_poses = np.concatenate([-rotations.reshape(-1, 9), turned_back, -translations], axis=1)
    lengths = (points_a**2 + points_b**2).sum(axis=1) + (translations**2).sum(axis=1)[:, None]
    return np.asarray(2 * (of_poses @ of_points.T) + lengths)


def _consistent_triangles(
    points_a: Float64Array, points_b: Float64Array, tolerances: Float64Array, triangles: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The (T, 3) index triples whose side lengths agree in a and b and that are not degenerate."""
    sides_a, sides_b = np.split(_side_lengths(np.concatenate([points_a[triangles], points_b[triangles]])), 2)
    allowed = 2 * tolerances[triangles].max(axis=1, keepdims=True)
    shortest = np.minimum(sides_a, sides_b).min(axis=1)
    return np.asarray(triangles[(np.abs(sides_a - sides_b) < allowed).all(axis=1) & (shortest > MIN_TRIANGLE_SIDE)])


def _side_lengths(corners: Float64Array) -> Float64Array:
    """(T, 3) side lengths of (T, 3, 3) triangles."""
    sides = corners - corners[:, [2, 0, 1]]
    return np.asarray(np.sqrt((sides * sides).sum(axis=2)))


def _consensus(squared_errors: Float64Array, tolerances: Float64Array) -> Float64Array:
    """What each match adds to the score: 1 for a perfect one, 0 from the tolerance on."""
    return np.maximum(0.0, 1.0 - squared_errors / tolerances**2)


def _optimise_locally(
    points_a: Float64Array, points_b: Float64Array, tolerances: Float64Array, T_b_a: Mat4
) -> RigidAlignment | None:
    """Re-estimate from the inliers, weighted by how well they fit, while that raises the score."""
    best: RigidAlignment | None = None
    for _ in range(LOCAL_OPTIMISATION_STEPS):
        errors = transform_points(T_b_a, points_a) - points_b
        weights = _consensus(np.einsum("ni,ni->n", errors, errors), tolerances)
        is_inlier, score = weights > 0, float(weights.sum())
        if best is not None and score <= best.score:
            break
        best = RigidAlignment(T_b_a=T_b_a, is_inlier=is_inlier, score=score)
        if np.count_nonzero(is_inlier) < 3:
            break
        T_b_a = align_rigid(points_a[is_inlier], points_b[is_inlier], weights[is_inlier])
    return best


def _align_batch(
    points_a: Float64Array, points_b: Float64Array, share: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Kabsch for (B, N, 3) point sets with (B, N) weights that sum to 1: rotations (B, 3, 3), translations (B, 3)."""
    center_a, center_b = (share[:, None] @ points_a)[:, 0], (share[:, None] @ points_b)[:, 0]
    weighted = (points_a - center_a[:, None]) * share[:, :, None]
    covariance = np.swapaxes(weighted, 1, 2) @ (points_b - center_b[:, None])
    u, _, vt = np.linalg.svd(covariance)
    v, ut = np.swapaxes(vt, 1, 2), np.swapaxes(u, 1, 2)
    v[:, :, 2] *= np.sign(np.linalg.det(v @ ut))[:, None]
    rotations = v @ ut
    return rotations, center_b - (rotations @ center_a[:, :, None])[:, :, 0]
