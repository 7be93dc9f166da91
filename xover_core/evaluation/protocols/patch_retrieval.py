# SPDX-License-Identifier: Apache-2.0
"""Patch retrieval (LoCUS, Table 1): given a patch, rank the patches of overlapping views by similarity.

Right are those whose 3D point lies within rho of the query's; ranked are those within a universe around it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.evaluation.protocols.patch_batches import PatchBatch, choose_batches, distance_rings, make_batch
from xover_core.evaluation.protocols.patch_sources import PatchFeature, PatchSource
from xover_core.evaluation.protocols.posed_frames import PosedFrame, Survey, read_frames, survey
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.protocol_settings import PatchRetrievalSettings
from xover_core.evaluation.protocols.retrieval_tally import Precisions, RetrievalTally
from xover_core.evaluation.protocols.view_overlap import mutual_overlap
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, RgbdFrame

PROTOCOL = "patch-retrieval"
CHANCE = "chance"
_MS_PER_S = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRetrievalRow:
    """One feature in one universe; the fields are keys of the JSON file.

    Attributes:
        feature: name.
        universe_m: radius around the query in which patches are ranked.
        map: mean over queries of their average precision.
        vap: average precision of all (query, patch) pairs in one ranking.
        other_frames_map: as `map`, ranking only patches of other frames than the query's.
        other_frames_vap: as `vap`, likewise.
        dim: descriptor length; None for chance.
        ms_per_frame: median time to describe a frame; None for chance.
    """

    feature: str
    universe_m: float
    map: float
    vap: float
    other_frames_map: float
    other_frames_vap: float
    dim: int | None
    ms_per_frame: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalExample:
    """A batch and a feature, for pictures.

    Attributes:
        batch: frames, points, queries.
        rings: (Q, M) of the batch's queries, 0 where a patch is right.
        feature: the last of the table.
    """

    batch: PatchBatch
    rings: NDArray[np.int8]
    feature: PatchFeature


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRetrieval:
    """The table, and the first batch with the last feature."""

    report: ProtocolReport[PatchRetrievalRow]
    example: RetrievalExample


class _Measured:
    """What is collected of one feature."""

    def __init__(self, feature: PatchFeature, num_universes: int) -> None:
        self.feature = feature
        self.tally = RetrievalTally(num_universes)
        self.times_s: list[float] = []
        self.dim = 0


def measure_patch_retrieval(
    sequence: RgbdSequence,
    features: Sequence[PatchFeature],
    settings: PatchRetrievalSettings,
    *,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> PatchRetrieval:
    """Draw batches and queries, rank by every feature, fill the table.

    Args:
        sequence: posed RGB-D.
        features: at least one; the last is the one of the example.
        settings: of the protocol.
        notes: lines for people, below the table.
        progress: called with images read or described so far and to come, in three rounds.

    Raises:
        DatasetError: no depth, no poses, or no frames that overlap.
    """
    surveyed = survey(sequence, max_frames=settings.max_frames, max_depth=settings.max_depth, progress=progress)
    batches = choose_batches(
        mutual_overlap(surveyed.views),
        num_batches=settings.num_batches,
        batch_size=settings.batch_size,
        min_overlap=settings.min_overlap,
        rng=np.random.default_rng([settings.seed, 0]),
    )
    frames = read_frames(sequence, surveyed, {i for batch in batches for i in batch}, progress)
    measured = [_Measured(feature, len(settings.universes)) for feature in features]
    example = _measure_batch([frames[i] for i in batches[0]], measured, settings, 0)
    for number, indices in enumerate(batches[1:], start=1):
        progress(number, len(batches))
        _measure_batch([frames[i] for i in indices], measured, settings, number)
    progress(len(batches), len(batches))
    return PatchRetrieval(report=_make_report(surveyed, batches, measured, settings, notes), example=example)


def _measure_batch(
    frames: Sequence[PosedFrame], measured: Sequence[_Measured], settings: PatchRetrievalSettings, number: int
) -> RetrievalExample:
    """Rank by every feature; returns the batch with the last one."""
    batch = make_batch(
        frames,
        num_queries=settings.num_queries,
        max_depth=settings.max_depth,
        rng=np.random.default_rng([settings.seed, 1, number]),
    )
    rings = distance_rings(batch, (settings.rho, *settings.universes))
    descriptors = _describe(batch, measured)
    for each, described in zip(measured, descriptors, strict=True):
        each.dim = described.shape[1]
        for query, ring in zip(batch.queries, rings, strict=True):
            is_other = batch.frame_of != batch.frame_of[query]
            each.tally.add(described @ described[query], ring, is_other)
    return RetrievalExample(batch=batch, rings=rings, feature=measured[-1].feature)


def _describe(batch: PatchBatch, measured: Sequence[_Measured]) -> list[Float32Array]:
    """(M, D) of the patches with depth, for each feature; a source that several use runs once and counts for all."""
    parts: list[list[Float32Array]] = [[] for _ in measured]
    for posed, rows in zip(batch.frames, batch.patch_rows, strict=True):
        done: dict[int, tuple[Float32Array, float]] = {}
        for part, each in zip(parts, measured, strict=True):
            source = each.feature.source
            if id(source) not in done:
                done[id(source)] = _timed_describe(source, posed.frame)
            described, source_s = done[id(source)]
            start = time.perf_counter()
            part.append(each.feature.finish(described)[rows])
            each.times_s.append(source_s + time.perf_counter() - start)
    return [np.concatenate(part) for part in parts]


def _timed_describe(source: PatchSource, frame: RgbdFrame) -> tuple[Float32Array, float]:
    """Descriptors and the seconds they took."""
    start = time.perf_counter()
    described = source.describe(frame)
    return described, time.perf_counter() - start


def _make_report(
    surveyed: Survey,
    batches: Sequence[Sequence[int]],
    measured: Sequence[_Measured],
    settings: PatchRetrievalSettings,
    notes: tuple[str, ...],
) -> ProtocolReport[PatchRetrievalRow]:
    """The table, one block of rows for each universe."""
    rows = []
    for universe, radius in enumerate(settings.universes, start=1):
        rows.append(_make_row(CHANCE, radius, measured[0].tally.chances(universe)))
        for each in measured:
            name, values = each.feature.name, each.tally.precisions(universe)
            rows.append(_make_row(name, radius, values, each.dim, _MS_PER_S * median(each.times_s)))
    num_queries = measured[0].tally.num_queries
    return ProtocolReport(
        protocol=PROTOCOL,
        title=f"patch retrieval on {surveyed.recording}: {num_queries} queries in {len(batches)} batches of"
        f" {len(batches[0])} frames, right within {settings.rho:g} m",
        notes=notes,
        columns=_COLUMNS,
        rows=tuple(rows),
        settings=settings,
        provenance=find_provenance(),
        recording=surveyed.recording,
        facts={"frames": len(surveyed.views), "frames_per_batch": len(batches[0]), "queries": num_queries},
    )


def _make_row(
    feature: str, radius: float, values: Precisions, dim: int | None = None, ms_per_frame: float | None = None
) -> PatchRetrievalRow:
    return PatchRetrievalRow(
        feature=feature,
        universe_m=radius,
        map=values.map,
        vap=values.vap,
        other_frames_map=values.other_frames_map,
        other_frames_vap=values.other_frames_vap,
        dim=dim,
        ms_per_frame=ms_per_frame,
    )


_COLUMNS: tuple[Column[PatchRetrievalRow], ...] = (
    Column("feature", lambda row: row.feature),
    Column("universe", lambda row: f"{row.universe_m:g} m"),
    Column("mAP", lambda row: f"{row.map:.3f}"),
    Column("vAP", lambda row: f"{row.vap:.3f}"),
    Column("mAP other frames", lambda row: f"{row.other_frames_map:.3f}"),
    Column("vAP other frames", lambda row: f"{row.other_frames_vap:.3f}"),
    Column("dim", lambda row: "-" if row.dim is None else str(row.dim)),
    Column("ms/frame", lambda row: "-" if row.ms_per_frame is None else f"{row.ms_per_frame:.0f}"),
)
