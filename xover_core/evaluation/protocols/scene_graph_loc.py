# SPDX-License-Identifier: Apache-2.0
"""A place from a single image, among few candidates (SceneGraphLoc, ECCV 2024; CrossOver, Table E.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.scan_source import ScanSource
from xover_core.evaluation.protocols.candidate_draws import (
    CandidateDraw,
    draw_for_each_image,
    draw_static,
    draw_temporal,
)
from xover_core.evaluation.protocols.embedding_sets import (
    FUSED,
    EmbeddingSet,
    fused_sets,
    modality_sets,
    object_mean_sets,
)
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.retrieval_metrics import (
    BoolArray,
    IntArray,
    Recalls,
    best_ranks,
    chance_recalls,
    recalls_of,
)
from xover_core.evaluation.protocols.scene_embeddings import embed_scans, embed_single_views
from xover_core.evaluation.protocols.scene_protocol_settings import SceneGraphLocSettings
from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder, SceneTable
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, SceneModality

PROTOCOL = "scene-graph-loc"
CHANCE = "chance"
ANY = "any"
MEAN_OF_OBJECTS = "mean of objects"
STATIC, TEMPORAL, CROSSOVER = "NT", "T", "CrossOver"
IMAGE_KS = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneGraphLocRow:
    """Single images against one set of references; the fields are keys of the JSON file.

    Attributes:
        variant: `NT`: the scan of the image; `T`: another scan of its place; `CrossOver`: as `NT`, drawn differently.
        num_candidates: scans that an image is compared with.
        feature: name of the encoder, `mean of objects`, or `chance`.
        reference: modality of the candidates; `all` is the fusion of all, `all but X` without one.
        recalls: over all images.
    """

    variant: str
    num_candidates: int
    feature: str
    reference: str
    recalls: Recalls


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """What images are compared with, and how similar they are to it.

    Attributes:
        feature: in tables.
        name: of the set of embeddings.
        present: (N,) scans that have it.
        similarity: for each scan (V, N) of its single views to all scans.
        num_own: so many views, the first ones, are part of the scan's own reference and so no question to it.
    """

    feature: str
    name: str
    present: BoolArray
    similarity: list[Float32Array]
    num_own: int


def measure_scene_graph_loc(
    source: ScanSource,
    encoders: Sequence[NamedSceneEncoder],
    settings: SceneGraphLocSettings,
    *,
    name: str,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> ProtocolReport[SceneGraphLocRow]:
    """Embed all scans and all single views, draw candidates, rank them, fill the table.

    Args:
        source: the scans.
        encoders: the first is examined in full; of others only the modalities.
        settings: of the protocol.
        name: of the data set.
        notes: lines for people, below the table.
        progress: called with scans embedded and to come.

    Raises:
        DatasetError: fewer than two places, or a damaged scan.
    """
    table = embed_scans(source, encoders, settings, progress=progress)
    references = list(_references(table, settings))
    rows = [
        row
        for variant in (STATIC, TEMPORAL, CROSSOVER)
        for count in settings.candidates
        for row in _rows_of(variant, int(count), table, references, settings)
    ]
    num_images = sum(len(scan.views) for scan in table.by_encoder[0].scans)
    num_scans, num_places = len(table.facts), int(table.is_reference.sum())
    return ProtocolReport(
        protocol=PROTOCOL,
        title=f"place from one image on {name}: {num_images} images of {num_scans} scans of {num_places} places",
        notes=(*notes, *table.time_notes()),
        columns=_COLUMNS,
        rows=tuple(rows),
        settings=settings,
        provenance=find_provenance(),
        recording=name,
        facts={"places": num_places, "scans": num_scans, "images": num_images, **table.times_ms()},
    )


def _references(table: SceneTable, settings: SceneGraphLocSettings) -> Iterator[_Reference]:
    """What images are compared with, in the order of the table."""
    for number, embedded in enumerate(table.by_encoder):
        images = [embed_single_views(scan, embedded.named.encoder) for scan in embedded.scans]
        named = [(embedded.named.name, item) for item in modality_sets(embedded)]
        if not number:
            fused = [item for item in fused_sets(embedded) if _is_wanted(item)]
            named += [(embedded.named.name, item) for item in fused]
            named += [(MEAN_OF_OBJECTS, item) for item in object_mean_sets(embedded)]
        for feature, item in named:
            seen = settings.views if SceneModality.IMAGE in item.sources else 0
            yield _Reference(
                feature=feature,
                name=item.name,
                present=item.present,
                similarity=[np.asarray(views @ item.vectors.T) for views in images],
                num_own=seen,
            )


def _is_wanted(fused: EmbeddingSet) -> bool:
    """Of the fusions those with everything and with everything but images."""
    return fused.name == FUSED or SceneModality.IMAGE not in fused.sources


def _rows_of(
    variant: str, count: int, table: SceneTable, references: Sequence[_Reference], settings: SceneGraphLocSettings
) -> Iterator[SceneGraphLocRow]:
    """Chance, then every reference that anything can be found in."""
    ranked = [(each, *_rank_images(each, _draw(variant, count, table, each, settings.seed))) for each in references]
    ranked = [item for item in ranked if len(item[1])]
    for _, ranks, totals in ranked[:1]:
        chance = chance_recalls(np.ones_like(ranks), totals, IMAGE_KS)
        yield from _row(variant, count, CHANCE, ANY, chance)
    for each, ranks, totals in ranked:
        yield from _row(variant, count, each.feature, each.name, recalls_of(ranks, totals, IMAGE_KS))


def _row(variant: str, count: int, feature: str, reference: str, recalls: Recalls | None) -> Iterator[SceneGraphLocRow]:
    """A row if there is something in it."""
    if recalls is not None:
        yield SceneGraphLocRow(
            variant=variant, num_candidates=count, feature=feature, reference=reference, recalls=recalls
        )


def _draw(variant: str, count: int, table: SceneTable, reference: _Reference, seed: int) -> dict[int, CandidateDraw]:
    """Candidates for the images of each scan, among the scans that have the reference."""
    num_images = np.array([len(rows) for rows in reference.similarity])
    if variant == CROSSOVER:
        return draw_for_each_image(num_images, reference.present, count, seed)
    draw = draw_static if variant == STATIC else draw_temporal
    return draw(table.places, reference.present, count, seed)


def _rank_images(reference: _Reference, draws: dict[int, CandidateDraw]) -> tuple[IntArray, IntArray]:
    """Ranks of the right scan for all images, and how many candidates each had."""
    ranks, totals = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for index, draw in draws.items():
        everything = reference.similarity[index]
        num_own = reference.num_own if draw.target == index else 0
        others = np.broadcast_to(draw.others, (len(everything), draw.others.shape[-1]))[num_own:]
        candidates = np.concatenate([np.full((len(others), 1), draw.target), others], axis=1)
        similarity = np.take_along_axis(everything[num_own:], candidates, axis=1)
        ranks.append(best_ranks(similarity, np.arange(candidates.shape[1]) == np.zeros((len(others), 1))))
        totals.append(np.full(len(others), candidates.shape[1], np.int64))
    return np.concatenate(ranks), np.concatenate(totals)


def _share(recalls: Recalls, k: int) -> str:
    return f"{recalls.at[str(k)]:.3f}"


_COLUMNS: tuple[Column[SceneGraphLocRow], ...] = (
    Column("variant", lambda row: row.variant),
    Column("out of", lambda row: str(row.num_candidates)),
    Column("feature", lambda row: row.feature),
    Column("reference", lambda row: row.reference),
    Column("images", lambda row: str(row.recalls.queries)),
    Column("candidates", lambda row: f"{row.recalls.candidates:.1f}"),
    Column("top-1", lambda row: _share(row.recalls, 1)),
    Column("top-3", lambda row: _share(row.recalls, 3)),
    Column("top-5", lambda row: _share(row.recalls, 5)),
    Column("top-10", lambda row: _share(row.recalls, 10)),
)
