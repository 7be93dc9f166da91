# SPDX-License-Identifier: Apache-2.0
"""Answers to pairs of views against the truth: errors, and the row of the table that sums them up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.protocol_report import Column
from xover_core.geometry.transforms import pose_error
from xover_core.types import Float64Array, Mat4

NO_MOTION = "no motion"
MAX_DISTANCE = 1.0
MAX_ANGLE_DEG = 30.0
_MS_PER_S = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePoseRow:
    """One feature with one solver; the fields are keys of the JSON file. Shares are of all pairs.

    Attributes:
        feature: name; `no motion` answers the identity everywhere.
        solver: `5-point` or `3D-3D`.
        scale: length of the translation: `true`, or from `depth`.
        median_m: of the translation error; a pair without an answer counts with no motion.
        mean_m: likewise.
        share_1m: share of pairs within 1 m.
        median_deg: of the rotation error.
        mean_deg: likewise.
        share_30deg: share of pairs within 30 deg.
        share_both: share of pairs within both.
        no_answer: share of pairs without an answer.
        matches: mean number for a pair.
        ms_per_pair: mean time for matching and solving, without describing the images.
    """

    feature: str
    solver: str
    scale: str
    median_m: float
    mean_m: float
    share_1m: float
    median_deg: float
    mean_deg: float
    share_30deg: float
    share_both: float
    no_answer: float
    matches: float
    ms_per_pair: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairErrors:
    """Errors of all pairs, for curves.

    Attributes:
        feature: name.
        solver: see `RelativePoseRow`.
        scale: see `RelativePoseRow`.
        distances: (P,) m.
        angles_deg: (P,).
        is_answered: (P,) bool.
    """

    feature: str
    solver: str
    scale: str
    distances: Float64Array
    angles_deg: Float64Array
    is_answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """What one solver said for one pair, None for nothing, and the seconds it took with matching."""

    T_b_a: Mat4 | None
    num_matches: int
    seconds: float


def compare_with_truth(
    feature: str, solver: str, scale: str, answers: Sequence[PairAnswer], truths: Sequence[Mat4]
) -> PairErrors:
    """Errors of the answers; none counts as no motion."""
    poses = [np.eye(4) if answer.T_b_a is None else answer.T_b_a for answer in answers]
    values = np.array([pose_error(pose, truth) for pose, truth in zip(poses, truths, strict=True)])
    return PairErrors(
        feature=feature,
        solver=solver,
        scale=scale,
        distances=values[:, 0],
        angles_deg=np.degrees(values[:, 1]),
        is_answered=np.array([answer.T_b_a is not None for answer in answers]),
    )


def make_row(errors: PairErrors, answers: Sequence[PairAnswer]) -> RelativePoseRow:
    """The numbers of the table."""
    is_near, is_turned = errors.distances <= MAX_DISTANCE, errors.angles_deg <= MAX_ANGLE_DEG
    return RelativePoseRow(
        feature=errors.feature,
        solver=errors.solver,
        scale=errors.scale,
        median_m=float(np.median(errors.distances)),
        mean_m=float(errors.distances.mean()),
        share_1m=float(is_near.mean()),
        median_deg=float(np.median(errors.angles_deg)),
        mean_deg=float(errors.angles_deg.mean()),
        share_30deg=float(is_turned.mean()),
        share_both=float((is_near & is_turned).mean()),
        no_answer=1.0 - float(errors.is_answered.mean()),
        matches=math.fsum(answer.num_matches for answer in answers) / len(answers),
        ms_per_pair=_MS_PER_S * math.fsum(answer.seconds for answer in answers) / len(answers),
    )


COLUMNS: tuple[Column[RelativePoseRow], ...] = (
    Column("feature", lambda row: row.feature),
    Column("solver", lambda row: row.solver),
    Column("length", lambda row: row.scale),
    Column("median m", lambda row: f"{row.median_m:.2f}"),
    Column("mean m", lambda row: f"{row.mean_m:.2f}"),
    Column("<= 1 m", lambda row: f"{row.share_1m:.3f}"),
    Column("median deg", lambda row: f"{row.median_deg:.1f}"),
    Column("mean deg", lambda row: f"{row.mean_deg:.1f}"),
    Column("<= 30 deg", lambda row: f"{row.share_30deg:.3f}"),
    Column("both", lambda row: f"{row.share_both:.3f}"),
    Column("no answer", lambda row: f"{row.no_answer:.3f}"),
    Column("matches", lambda row: f"{row.matches:.0f}"),
    Column("ms/pair", lambda row: f"{row.ms_per_pair:.0f}"),
)
