# SPDX-License-Identifier: Apache-2.0
"""Relative pose (LoCUS, Table 3): random pairs of views that overlap little, matches, RANSAC, error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.pair_errors import (
    COLUMNS,
    NO_MOTION,
    PairAnswer,
    PairErrors,
    RelativePoseRow,
    compare_with_truth,
    make_row,
)
from xover_core.evaluation.protocols.pair_solvers import PAIR_SOLVERS, MatchedPair
from xover_core.evaluation.protocols.posed_frames import PosedFrame, read_frames, survey
from xover_core.evaluation.protocols.protocol_report import ProtocolReport
from xover_core.evaluation.protocols.protocol_settings import RelativePoseSettings
from xover_core.evaluation.protocols.view_matchers import DescribedView, ViewMatcher
from xover_core.evaluation.protocols.view_overlap import mutual_overlap
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import invert
from xover_core.types import Float32Array, Float64Array, Mat4

PROTOCOL = "relative-pose"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePose:
    """The table, and the errors behind it."""

    report: ProtocolReport[RelativePoseRow]
    errors: tuple[PairErrors, ...]


def measure_relative_pose(
    sequence: RgbdSequence,
    matchers: Sequence[ViewMatcher],
    settings: RelativePoseSettings,
    *,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> RelativePose:
    """Draw pairs, solve each by every feature and solver, fill the table.

    Args:
        sequence: posed RGB-D; the images of the drawn pairs are held in memory.
        matchers: features.
        settings: of the protocol.
        notes: lines for people, below the table.
        progress: called with images read or matchers done so far and to come, in three rounds.

    Raises:
        DatasetError: no depth, no poses, or no pair with such an overlap.
    """
    surveyed = survey(sequence, max_frames=settings.max_frames, max_depth=settings.max_depth, progress=progress)
    overlap = mutual_overlap(surveyed.views)
    pairs = choose_pairs(overlap, settings)
    frames = read_frames(sequence, surveyed, set(pairs.ravel().tolist()), progress)
    truths = [invert(frames[b].T_world_camera) @ frames[a].T_world_camera for a, b in pairs.tolist()]
    nothing = [PairAnswer(T_b_a=None, num_matches=0, seconds=0.0)] * len(pairs)
    errors = [compare_with_truth(NO_MOTION, "-", "-", nothing, truths)]
    rows = [make_row(errors[0], nothing)]
    for done, matcher in enumerate(matchers, start=1):
        by_solver = _solve_all(matcher, frames, pairs, truths, settings)
        for solver, answers in zip(PAIR_SOLVERS, by_solver, strict=True):
            errors.append(compare_with_truth(matcher.name, solver.method, solver.scale, answers, truths))
            rows.append(make_row(errors[-1], answers))
        progress(done, len(matchers))
    mean_overlap = float(overlap[pairs[:, 0], pairs[:, 1]].mean())
    return RelativePose(
        report=ProtocolReport(
            protocol=PROTOCOL,
            title=f"relative pose on {surveyed.recording}: {len(pairs)} pairs, mean overlap {100 * mean_overlap:.0f} %",
            notes=notes,
            columns=COLUMNS,
            rows=tuple(rows),
            settings=settings,
            provenance=find_provenance(),
            recording=surveyed.recording,
            facts={"frames": len(surveyed.views), "pairs": len(pairs), "mean_overlap": mean_overlap},
        ),
        errors=tuple(errors),
    )


def choose_pairs(overlap: Float32Array, settings: RelativePoseSettings) -> NDArray[np.int64]:
    """(P, 2) random pairs a < b of frames whose mutual overlap (N, N) lies within the limits.

    Raises:
        DatasetError: there is none.
    """
    fits = (overlap >= settings.min_overlap) & (overlap <= settings.max_overlap)
    pairs = np.argwhere(np.triu(fits, k=1)).astype(np.int64)
    if not len(pairs):
        raise DatasetError(
            f"recording: expected pairs of frames that overlap by {settings.min_overlap:g} to {settings.max_overlap:g},"
            f" got none among {len(overlap)} frames; use a longer recording or other limits."
        )
    return np.random.default_rng(settings.seed).permutation(pairs)[: settings.num_pairs]


def _solve_all(
    matcher: ViewMatcher,
    frames: dict[int, PosedFrame],
    pairs: NDArray[np.int64],
    truths: Sequence[Mat4],
    settings: RelativePoseSettings,
) -> list[list[PairAnswer]]:
    """For each solver the answers to all pairs; every image is described once."""
    described = {index: matcher.describe(posed.frame) for index, posed in frames.items()}
    points = {i: _points(frames[i], described[i], settings.max_depth) for i in frames}
    answers: list[list[PairAnswer]] = [[] for _ in PAIR_SOLVERS]
    for number, (a, b) in enumerate(pairs.tolist()):
        start = time.perf_counter()
        rows_a, rows_b = matcher.match(described[a], described[b])
        matching_s = time.perf_counter() - start
        pair = MatchedPair(
            pixels_a=described[a].keypoints_px[rows_a],
            pixels_b=described[b].keypoints_px[rows_b],
            points_a=points[a][rows_a],
            points_b=points[b][rows_b],
            camera_a=frames[a].frame.intrinsics,
            camera_b=frames[b].frame.intrinsics,
            T_b_a=truths[number],
            max_error_px=matcher.max_error_px,
            seed=settings.seed + number,
        )
        for solver, kept in zip(PAIR_SOLVERS, answers, strict=True):
            start = time.perf_counter()
            pose = solver.solve(pair)
            seconds = matching_s + time.perf_counter() - start
            kept.append(PairAnswer(T_b_a=pose, num_matches=len(rows_a), seconds=seconds))
    return answers


def _points(posed: PosedFrame, described: DescribedView, max_depth: float) -> Float64Array:
    """(N, 3) keypoints in the camera frame, NaN without depth."""
    depth = sample_depth(posed.depth, described.keypoints_px, max_depth=max_depth)
    return back_project(described.keypoints_px, depth, posed.frame.intrinsics).astype(np.float64)
