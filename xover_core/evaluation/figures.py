# SPDX-License-Identifier: Apache-2.0
"""Figures of an evaluation as PNG. Uses matplotlib without its global state; imported only by the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xover_core.evaluation.match_pictures import example_kind
from xover_core.evaluation.metrics import WRONG_BEYOND, reliability_curve, stage_latencies, success_curve
from xover_core.evaluation.records import QueryRecord
from xover_core.evaluation.top_view import floor_axes, points_from_above, up_direction
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.types import Float64Array, Mat4

_RIGHT, _WRONG, _UNANSWERED, _TRUTH = "#1f7a3f", "#c62828", "#9a9a9a", "#1f4e9a"
_POINTS, _LANDMARKS, _KEYFRAMES = "#b4bbc6", "#e0a030", "#5b6b7f"
_COLORS = {"right": _RIGHT, "wrong": _WRONG, "unanswered": _UNANSWERED}
_DPI = 140
_NS_PER_S = 1e9
_ERROR_FLOOR_M = 0.001


def draw_top_view(landmark_map: LandmarkMap, records: Sequence[QueryRecord]) -> bytes:
    """Map points, landmarks and keyframes from above, the true path, and every answer."""
    up = up_direction([k.T_map_camera for k in landmark_map.keyframes])
    axes_map = floor_axes(up)
    figure = Figure(figsize=(8.0, 6.4), layout="constrained")
    axes = figure.add_subplot()
    points = points_from_above(landmark_map.keyframes, up) @ axes_map.T
    _scatter(axes, points, s=1.0, c=_POINTS, linewidths=0, label="map points")
    landmarks = landmark_map.landmarks.positions_map @ axes_map.T
    _scatter(axes, landmarks, s=3.0, c=_LANDMARKS, linewidths=0, alpha=0.6, label="landmarks")
    _draw_keyframes(axes, [k.T_map_camera for k in landmark_map.keyframes], axes_map)
    _draw_answers(axes, records, axes_map)
    axes.set_aspect("equal")
    axes.set_xlabel("m")
    axes.set_ylabel("m")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=2.0)
    return _as_png(figure)


def draw_errors(records: Sequence[QueryRecord]) -> bytes:
    """Distance to the truth for each query over time, and which queries were not answered."""
    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    axes = figure.add_subplot()
    start = records[0].stamp_ns if records else 0
    seconds = np.array([(r.stamp_ns - start) / _NS_PER_S for r in records])
    for kind, color in _COLORS.items():
        chosen = np.array([example_kind(r) == kind for r in records], dtype=bool)
        errors = np.array([_shown_error(r) for r in records])
        label = {"unanswered": "not answered: its best hypothesis"}.get(kind, f"{kind} answer")
        filled = color if kind != "unanswered" else "none"
        axes.scatter(seconds[chosen], errors[chosen], s=16, facecolors=filled, edgecolors=color, label=label)
    axes.axhline(WRONG_BEYOND.max_distance, color=_WRONG, linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlabel("time in the recording, s")
    axes.set_ylabel("error, m")
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return _as_png(figure)


def draw_success_curve(records: Sequence[QueryRecord]) -> bytes:
    """Share of all queries answered within a distance (and 30 deg)."""
    figure = Figure(figsize=(4.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    distances = np.geomspace(0.005, 2.0, 120)
    axes.plot(distances, success_curve(records, distances.tolist()), color=_TRUTH)
    axes.set_xscale("log")
    ticks = (0.005, 0.02, 0.05, 0.25, 0.5, 1.0, 2.0)
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1)
    axes.set_xlabel("error at most, m")
    axes.set_ylabel("share of all queries")
    axes.grid(alpha=0.3, linewidth=0.5)
    return _as_png(figure)


def draw_reliability(records: Sequence[QueryRecord]) -> bytes:
    """Promised probability against the observed rate; a calibrated localizer lies on the diagonal."""
    figure = Figure(figsize=(4.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    bins = reliability_curve(records)
    axes.plot([0, 1], [0, 1], color=_UNANSWERED, linewidth=0.8, linestyle="--")
    promised = [b.mean_probability for b in bins]
    observed = [b.observed_rate for b in bins]
    axes.plot(promised, observed, color=_TRUTH, linewidth=1.0)
    num_poses = max(sum(b.count for b in bins), 1)
    sizes = [15 + 150 * b.count / num_poses for b in bins]
    axes.scatter(promised, observed, s=sizes, color=_TRUTH, alpha=0.7, linewidths=0)
    for b in bins:
        is_high = b.observed_rate > 0.5  # the number goes where the figure has room
        place, offset = (b.mean_probability, b.observed_rate), (-4 if is_high else 4, -14 if is_high else 8)
        align = "right" if is_high else "left"
        axes.annotate(str(b.count), place, textcoords="offset points", xytext=offset, ha=align, fontsize=7)
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("promised probability")
    axes.set_ylabel("observed rate")
    axes.grid(alpha=0.3, linewidth=0.5)
    return _as_png(figure)


def draw_latencies(records: Sequence[QueryRecord]) -> bytes:
    """Bars of p50 and p95 for each stage."""
    stages = stage_latencies(records)
    figure = Figure(figsize=(8.0, 0.7 + 0.32 * max(len(stages), 1)), layout="constrained")
    axes = figure.add_subplot()
    rows = np.arange(len(stages))
    axes.barh(rows, [p95 for _, p95 in stages.values()], color=_POINTS, label="p95")
    axes.barh(rows, [p50 for p50, _ in stages.values()], color=_TRUTH, height=0.5, label="p50")
    axes.set_yticks(rows, list(stages))
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.grid(alpha=0.3, axis="x", linewidth=0.5)
    axes.legend(loc="lower right", frameon=False)
    return _as_png(figure)


def _draw_keyframes(axes: Axes, poses: Sequence[Mat4], axes_map: Float64Array) -> None:
    """A dot at each keyframe with an arrow where it looks."""
    if not poses:
        return
    centers = np.stack([T[:3, 3] for T in poses]) @ axes_map.T
    looks = np.stack([T[:3, 2] for T in poses]) @ axes_map.T
    arrows = (centers[:, 0], centers[:, 1], looks[:, 0], looks[:, 1])
    axes.quiver(*arrows, color=_KEYFRAMES, angles="xy", width=0.002, scale=30, zorder=3)
    _scatter(axes, centers, s=7, c=_KEYFRAMES, linewidths=0, zorder=3, label=f"keyframes ({len(poses)})")


def _draw_answers(axes: Axes, records: Sequence[QueryRecord], axes_map: Float64Array) -> None:
    """The true path, answers where they were given, and true places of queries without one."""
    path = _centers([r.T_map_camera_true for r in records], axes_map)
    axes.plot(path[:, 0], path[:, 1], color=_TRUTH, linewidth=1.2, zorder=4, label="true path")
    for kind in ("right", "wrong"):
        answers = [r for r in records if example_kind(r) == kind]
        for record in answers:
            _draw_error_line(axes, record, axes_map, _COLORS[kind])
        centers = _centers([r.T_map_camera for r in answers], axes_map)
        label = f"{kind} answers ({len(answers)})"
        _scatter(axes, centers, s=9, c=_COLORS[kind], linewidths=0, zorder=6, label=label)
    missed = [r for r in records if not r.is_answered]
    places = _centers([r.T_map_camera_true for r in missed], axes_map)
    label = f"not answered ({len(missed)})"
    _scatter(axes, places, s=16, facecolors="white", edgecolors=_TRUTH, linewidths=0.8, zorder=5, label=label)


def _scatter(axes: Axes, points: Float64Array, **style: Any) -> None:
    """Draw (N, 2) points."""
    axes.scatter(points[:, 0], points[:, 1], **style)


def _centers(poses: Sequence[Mat4 | None], axes_map: Float64Array) -> Float64Array:
    """(N, 2) camera centres from above of the poses that are there."""
    centers = np.array([T[:3, 3] for T in poses if T is not None], dtype=np.float64).reshape(-1, 3)
    return np.asarray(centers @ axes_map.T)


def _draw_error_line(axes: Axes, record: QueryRecord, axes_map: Float64Array, color: str) -> None:
    """A thin line from an answer to where the camera really was."""
    if record.T_map_camera is None or record.T_map_camera_true is None:
        return
    ends = np.stack([record.T_map_camera[:3, 3], record.T_map_camera_true[:3, 3]]) @ axes_map.T
    axes.plot(ends[:, 0], ends[:, 1], color=color, linewidth=0.7, alpha=0.7, zorder=5)


def _shown_error(record: QueryRecord) -> float:
    """Error in metres of the answer or else the best hypothesis, at least 1 mm so that a log axis shows it."""
    error = record.error if record.is_answered else record.error_best
    return max(error.distance, _ERROR_FLOOR_M) if error else float("nan")


def _as_png(figure: Figure) -> bytes:
    """Render with Agg."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI)
    return data.getvalue()
