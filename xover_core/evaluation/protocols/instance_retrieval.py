# SPDX-License-Identifier: Apache-2.0
"""Instance matching (CrossOver, Table 1): which object of a scan is this, in another modality or after a rearrangement.

Objects are ranked among those of one scan: the same one, or the reference scan of the place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scan_source import ScanSource
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.retrieval_metrics import (
    NO_RANK,
    ObjectMatches,
    ObjectScores,
    best_ranks,
    chance_of_objects,
    score_objects,
)
from xover_core.evaluation.protocols.scene_embeddings import OBJECT_MODALITIES, embed_scans
from xover_core.evaluation.protocols.scene_protocol_settings import InstanceRetrievalSettings
from xover_core.evaluation.protocols.scene_table import EmbeddedScans, NamedSceneEncoder, ScanFacts, SceneTable
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, Float64Array, SceneModality

PROTOCOL = "instance-retrieval"
CHANCE = "chance"
ANY = "any"
OBJECT_KS = (1, 3)
# The objects that move, by the names that 3RScan gives them.
RIO_CATEGORIES = frozenset({"chair", "table", "bench", "sofa", "pillow", "bed", "trash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRetrievalRow:
    """One pair of modalities by one feature; the fields are keys of the JSON file.

    Attributes:
        feature: name of the encoder, or `chance`.
        query: modality of the objects that are looked for.
        reference: modality of those that are ranked.
        same_scan: objects of a scan among those of the same scan; None for one modality, which would find itself.
        rescan: objects of a rescan among those of the reference scan of its place.
        moved: the same, looking only for those that were moved.
    """

    feature: str
    query: str
    reference: str
    same_scan: ObjectScores | None
    rescan: ObjectScores | None
    moved: ObjectScores | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRetrieval:
    """The table, and what is behind it.

    Attributes:
        report: rows of all pairs.
        found: (feature, query, reference) -> for each rescan with moved objects the share of these that is found first.
    """

    report: ProtocolReport[InstanceRetrievalRow]
    found: dict[tuple[str, str, str], Float64Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """Matches of every scene, for each part of a row."""

    same_scan: list[ObjectMatches] = field(default_factory=list)
    rescan: list[ObjectMatches] = field(default_factory=list)
    moved: list[ObjectMatches] = field(default_factory=list)


def measure_instance_retrieval(
    source: ScanSource,
    encoders: Sequence[NamedSceneEncoder],
    settings: InstanceRetrievalSettings,
    *,
    name: str,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> InstanceRetrieval:
    """Embed the objects of all scans, rank them, fill the table.

    Args:
        source: the scans.
        encoders: at least one.
        settings: of the protocol.
        name: of the data set.
        notes: lines for people, below the table.
        progress: called with scans embedded and to come.

    Raises:
        DatasetError: fewer than two places, or a damaged scan.
    """
    table = embed_scans(source, encoders, settings, only_objects=True, progress=progress)
    rows = [_make_row((CHANCE, ANY, ANY), _match_anything(table, settings), chance_of_objects)]
    found = {}
    for embedded in table.by_encoder:
        known = [m for m in OBJECT_MODALITIES if any(m in scan.objects for scan in embedded.scans)]
        for query, reference in itertools.product(known, known):
            key = embedded.named.name, query.value, reference.value
            matches = _match_all(table, embedded, query, reference, settings)
            rows.append(_make_row(key, matches, score_objects))
            found[key] = np.array([(scene.ranks == 1).mean() for scene in matches.moved if len(scene.ranks)])
    return InstanceRetrieval(report=_make_report(name, table, settings, tuple(rows), notes), found=found)


def _match_all(
    table: SceneTable,
    embedded: EmbeddedScans,
    query: SceneModality,
    reference: SceneModality,
    settings: InstanceRetrievalSettings,
) -> _Matches:
    """Match the objects of every scan in one pair of modalities."""
    queries, references = ([scan.objects.get(m) for scan in embedded.scans] for m in (query, reference))
    return _match_rows(table, queries, references, settings, has_same_scan=query is not reference)


def _match_anything(table: SceneTable, settings: InstanceRetrievalSettings) -> _Matches:
    """The same with objects that nothing tells apart and none is missing, for the numbers of queries and candidates."""
    rows = [np.ones((len(fact.object_ids), 1), np.float32) for fact in table.facts]
    return _match_rows(table, rows, rows, settings, has_same_scan=True)


def _match_rows(
    table: SceneTable,
    queries: Sequence[Float32Array | None],
    references: Sequence[Float32Array | None],
    settings: InstanceRetrievalSettings,
    *,
    has_same_scan: bool,
) -> _Matches:
    """Match (K, D) rows of each scan; None where a scan has none."""
    matches = _Matches()
    reference_of = dict(zip(table.places[table.is_reference], np.flatnonzero(table.is_reference), strict=True))
    for index, (fact, place, rows) in enumerate(zip(table.facts, table.places, queries, strict=True)):
        home = int(reference_of[place])
        against, own = references[home], references[index]
        if rows is None:
            continue
        everything = np.ones(len(fact.object_ids), bool)
        if home == index and has_same_scan and own is not None:
            matches.same_scan.append(_match(fact, rows, everything, fact, own, everything))
        if home != index and against is not None:
            asked, ranked = (_may_move(f, settings) for f in (fact, table.facts[home]))
            matches.rescan.append(_match(fact, rows, asked, table.facts[home], against, ranked))
            matches.moved.append(_match(fact, rows, asked & fact.is_moved, table.facts[home], against, ranked))
    return matches


def _match(
    query: ScanFacts,
    query_rows: Float32Array,
    is_asked: NDArray[np.bool_],
    reference: ScanFacts,
    reference_rows: Float32Array,
    is_ranked: NDArray[np.bool_],
) -> ObjectMatches:
    """Ranks of the objects that are asked for, as far as both scans have them in the modality."""
    asked, ranked = is_asked & query_rows.any(axis=1), is_ranked & reference_rows.any(axis=1)
    ranks = best_ranks(
        np.asarray(query_rows[asked] @ reference_rows[ranked].T),
        query.object_ids[asked][:, None] == reference.object_ids[ranked],
    )
    return ObjectMatches(ranks=ranks[ranks != NO_RANK], candidates=int(ranked.sum()))


def _may_move(fact: ScanFacts, settings: InstanceRetrievalSettings) -> NDArray[np.bool_]:
    """(K,) objects that count between scans; by the last word of their names, and all trash cans and bins."""
    if not settings.rio_categories:
        return np.ones(len(fact.labels), bool)
    words = [label.lower().split() for label in fact.labels]
    return np.array([bool(w) and (w[-1] in RIO_CATEGORIES or w[0] == "trash") for w in words], bool)


def _make_row(
    key: tuple[str, str, str],
    matches: _Matches,
    score: Callable[[Sequence[ObjectMatches], Sequence[int]], ObjectScores | None],
) -> InstanceRetrievalRow:
    feature, query, reference = key
    return InstanceRetrievalRow(
        feature=feature,
        query=query,
        reference=reference,
        same_scan=score(matches.same_scan, OBJECT_KS),
        rescan=score(matches.rescan, OBJECT_KS),
        moved=score(matches.moved, OBJECT_KS),
    )


def _make_report(
    name: str,
    table: SceneTable,
    settings: InstanceRetrievalSettings,
    rows: tuple[InstanceRetrievalRow, ...],
    notes: tuple[str, ...],
) -> ProtocolReport[InstanceRetrievalRow]:
    num_places, num_scans = int(table.is_reference.sum()), len(table.facts)
    num_moved = sum(int(fact.is_moved.sum()) for fact in table.facts)
    return ProtocolReport(
        protocol=PROTOCOL,
        title=f"instance matching on {name}: {num_places} places, {num_scans} scans, {num_moved} objects moved",
        notes=(*notes, *table.time_notes()),
        columns=_COLUMNS,
        rows=rows,
        settings=settings,
        provenance=find_provenance(),
        recording=name,
        facts={"places": num_places, "scans": num_scans, "moved_objects": num_moved, **table.times_ms()},
    )


def _first(scores: ObjectScores | None, k: int) -> str:
    """The cell of a recall; `-` where it does not apply."""
    value = None if scores is None else scores.at.get(str(k))
    return "-" if value is None else f"{value:.3f}"


def _scenes(scores: ObjectScores | None, name: str) -> str:
    """The cell of a share of scenes."""
    return "-" if scores is None else f"{scores.scenes_at[name]:.3f}"


_COLUMNS: tuple[Column[InstanceRetrievalRow], ...] = (
    Column("feature", lambda row: row.feature),
    Column("query", lambda row: row.query),
    Column("reference", lambda row: row.reference),
    Column("top-1", lambda row: _first(row.same_scan, 1)),
    Column("top-3", lambda row: _first(row.same_scan, 3)),
    Column("R@25", lambda row: _scenes(row.same_scan, "25")),
    Column("R@50", lambda row: _scenes(row.same_scan, "50")),
    Column("R@75", lambda row: _scenes(row.same_scan, "75")),
    Column("rescan top-1", lambda row: _first(row.rescan, 1)),
    Column("moved top-1", lambda row: _first(row.moved, 1)),
    Column("R@25", lambda row: _scenes(row.moved, "25")),
    Column("R@50", lambda row: _scenes(row.moved, "50")),
    Column("R@75", lambda row: _scenes(row.moved, "75")),
)
