# SPDX-License-Identifier: Apache-2.0
"""Scene retrieval (CrossOver, Tables 2 to 4): from a scan in one modality to the same scan or place in another one.

Blocks of rows: every pair of modalities; fewer views and sentences; all modalities fused, and with each one removed;
the mean of the objects' embeddings; classical descriptors; chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xover_core.datasets.scan_source import ScanSource
from xover_core.evaluation.protocols.embedding_sets import (
    FUSED,
    EmbeddingSet,
    fused_sets,
    modality_sets,
    object_mean_sets,
    sentence_sets,
    view_sets,
)
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.retrieval_metrics import IntArray, Recalls
from xover_core.evaluation.protocols.scene_embeddings import embed_scans
from xover_core.evaluation.protocols.scene_protocol_settings import SceneRetrievalSettings
from xover_core.evaluation.protocols.scene_table import EmbeddedScans, NamedSceneEncoder, SceneTable
from xover_core.evaluation.protocols.scene_tasks import PairScores, SceneTasks
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import SceneModality

PROTOCOL = "scene-retrieval"
CHANCE = "chance"
MEAN_OF_OBJECTS = "mean of objects"
ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRetrievalRow:
    """One pair of sets by one feature; the fields are keys of the JSON file.

    Attributes:
        feature: name of the encoder, `mean of objects`, or `chance`.
        query: modality that asks; with `, N views` where it isn't the usual number.
        reference: modality that is ranked; `all` is the fusion of all, `all but X` without one.
        scores: recalls; their fields are those of `PairScores`.
    """

    feature: str
    query: str
    reference: str
    scores: PairScores


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRetrieval:
    """The table, and the ranks behind it.

    Attributes:
        report: rows of all pairs.
        ranks: (feature, query, reference) -> ranks of the same scan, of the rows that have them.
        num_candidates: scans that are ranked when nothing is missing.
        standard_views: of an embedding of images where the name of its row says no number.
    """

    report: ProtocolReport[SceneRetrievalRow]
    ranks: dict[tuple[str, str, str], IntArray]
    num_candidates: int
    standard_views: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """What a row compares."""

    feature: str
    query: EmbeddingSet
    reference: EmbeddingSet


def measure_scene_retrieval(
    source: ScanSource,
    encoders: Sequence[NamedSceneEncoder],
    settings: SceneRetrievalSettings,
    *,
    name: str,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> SceneRetrieval:
    """Embed all scans, rank every set by every other one, fill the table.

    Args:
        source: the scans.
        encoders: the first is examined in full; of others only the pairs of modalities.
        settings: of the protocol.
        name: of the data set.
        notes: lines for people, below the table.
        progress: called with scans embedded and to come.

    Raises:
        DatasetError: fewer than two places, or a damaged scan.
    """
    table = embed_scans(source, encoders, settings, progress=progress)
    tasks = SceneTasks(table, settings)
    pairs = list(_pairs(table, settings))
    chance = tasks.chance()
    rows = [SceneRetrievalRow(feature=CHANCE, query=ANY, reference=ANY, scores=chance)]
    ranks = {}
    for pair in pairs:
        scores = tasks.scores(pair.query, pair.reference)
        rows.append(
            SceneRetrievalRow(feature=pair.feature, query=pair.query.name, reference=pair.reference.name, scores=scores)
        )
        if scores.scene:
            ranks[pair.feature, pair.query.name, pair.reference.name] = tasks.ranks(pair.query, pair.reference)
    return SceneRetrieval(
        report=_make_report(name, table, settings, tuple(rows), notes),
        ranks=ranks,
        num_candidates=round(chance.scene.candidates) if chance.scene else 0,
        standard_views=settings.views,
    )


def _pairs(table: SceneTable, settings: SceneRetrievalSettings) -> Iterator[_Pair]:
    """All rows but chance, in the order of the table."""
    first, *others = table.by_encoder
    name, modalities = first.named.name, modality_sets(first)
    yield from (_Pair(feature=name, query=q, reference=r) for q in modalities for r in modalities)
    yield from _dependence_pairs(name, first, modalities, settings)
    yield from _fused_pairs(name, first, modalities)
    means = object_mean_sets(first)
    yield from (_Pair(feature=MEAN_OF_OBJECTS, query=q, reference=r) for q in means for r in means)
    for each in others:
        sets = modality_sets(each)
        yield from (_Pair(feature=each.named.name, query=q, reference=r) for q in sets for r in sets)


def _dependence_pairs(
    name: str, embedded: EmbeddedScans, modalities: Sequence[EmbeddingSet], settings: SceneRetrievalSettings
) -> Iterator[_Pair]:
    """Other numbers of views or sentences, against the other modalities."""
    variants = [
        *view_sets(embedded, settings.views, has_poses=not settings.no_poses),
        *sentence_sets(embedded, settings.sentences),
    ]
    for query in variants:
        yield from (_Pair(feature=name, query=query, reference=r) for r in modalities if not query.sources & r.sources)


def _fused_pairs(name: str, embedded: EmbeddedScans, modalities: Sequence[EmbeddingSet]) -> Iterator[_Pair]:
    """Every modality against the fusion of all and of all but one; the fusion against the fusion."""
    fused = fused_sets(embedded)
    for query in modalities:
        yield from (_Pair(feature=name, query=query, reference=reference) for reference in fused)
    whole = [item for item in fused if item.name == FUSED]
    yield from (_Pair(feature=name, query=item, reference=item) for item in whole)


def _make_report(
    name: str,
    table: SceneTable,
    settings: SceneRetrievalSettings,
    rows: tuple[SceneRetrievalRow, ...],
    notes: tuple[str, ...],
) -> ProtocolReport[SceneRetrievalRow]:
    num_scans, num_places = len(table.facts), int(table.is_reference.sum())
    first = table.by_encoder[0]
    has_images = any(SceneModality.IMAGE in scan.scenes for scan in first.scans)
    views = f", {settings.views} views" if has_images else ""
    return ProtocolReport(
        protocol=PROTOCOL,
        title=f"scene retrieval on {name}: {num_places} places, {num_scans} scans{views}",
        notes=(*notes, *table.time_notes()),
        columns=_COLUMNS,
        rows=rows,
        settings=settings,
        provenance=find_provenance(),
        recording=name,
        facts={"places": num_places, "scans": num_scans, **table.times_ms()},
    )


def _share(recalls: Recalls | None, k: int) -> str:
    """The cell of a recall; `-` where it does not apply."""
    value = None if recalls is None else recalls.at.get(str(k))
    return "-" if value is None else f"{value:.3f}"


_COLUMNS: tuple[Column[SceneRetrievalRow], ...] = (
    Column("feature", lambda row: row.feature),
    Column("query", lambda row: row.query),
    Column("reference", lambda row: row.reference),
    Column("scenes", lambda row: str(row.scores.scene.queries) if row.scores.scene else "-"),
    Column("top-1", lambda row: _share(row.scores.scene, 1)),
    Column("top-5", lambda row: _share(row.scores.scene, 5)),
    Column("top-10", lambda row: _share(row.scores.scene, 10)),
    Column("top-20", lambda row: _share(row.scores.scene, 20)),
    Column("rescan top-1", lambda row: _share(row.scores.rescan, 1)),
    Column("top-10", lambda row: _share(row.scores.rescan, 10)),
    Column("temporal top-1", lambda row: _share(row.scores.temporal, 1)),
    Column("top-10", lambda row: _share(row.scores.temporal, 10)),
    Column("category top-1", lambda row: _share(row.scores.category, 1)),
    Column("in category top-1", lambda row: _share(row.scores.within_category, 1)),
)
