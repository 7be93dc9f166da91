# SPDX-License-Identifier: Apache-2.0
"""Scans -> embeddings: of the scene in each modality, of every object, and what recombines views without describing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from xover_core.datasets.scan_source import ScanSource
from xover_core.datasets.scene_scan import ScanView, SceneScan
from xover_core.encoders.scene_encoder import ObjectInput, SceneEncoder
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.scan_inputs import choose_views, cloud_of, frame_of, object_inputs, sentences_of
from xover_core.evaluation.protocols.scene_protocol_settings import SceneProtocolSettings
from xover_core.evaluation.protocols.scene_table import (
    EmbeddedScan,
    EmbeddedScans,
    NamedSceneEncoder,
    ScanFacts,
    SceneTable,
    Timing,
)
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, SceneModality

OBJECT_MODALITIES = tuple(modality for modality in SceneModality if modality is not SceneModality.FLOORPLAN)
SENTENCE_COUNTS = (1, 5)
"""Numbers of referrals that texts are also made of, besides that of the settings."""


_NOTHING = EmbeddedScan(scenes={}, views=np.zeros((0, 0), np.float32), poses=np.zeros((0, 4, 4)), texts={}, objects={})


def embed_scans(
    source: ScanSource,
    encoders: Sequence[NamedSceneEncoder],
    settings: SceneProtocolSettings,
    *,
    only_objects: bool = False,
    progress: Progress = ignore_progress,
) -> SceneTable:
    """Read each scan once and embed it by every encoder.

    Args:
        source: the scans.
        encoders: at least one.
        settings: how many places, views and sentences.
        only_objects: leave out the scenes themselves, which take most of the time.
        progress: called with scans done and to come.

    Raises:
        DatasetError: fewer than two places, or a damaged scan.
    """
    facts: list[ScanFacts] = []
    by_encoder = tuple(EmbeddedScans(named=named, scans=[], timing=Timing()) for named in encoders)
    for scan in _chosen_scans(source, settings.num_scenes, progress):
        facts.append(_facts_of(scan))
        views = choose_views(scan.views, settings.max_views, settings.seed)
        objects = object_inputs(scan, views[: settings.views])
        for each in by_encoder:
            embedded = _NOTHING if only_objects else _embed_scene(each, scan, views, settings)
            each.scans.append(_with_objects(each, embedded, objects))
    table = SceneTable(facts=tuple(facts), by_encoder=by_encoder)
    if len(set(table.places.tolist())) < 2:
        raise DatasetError(f"scans: expected at least two places to tell apart, got {len(set(table.places))}.")
    return table


def embed_single_views(embedded: EmbeddedScan, encoder: SceneEncoder) -> Float32Array:
    """(V, D) of each view alone."""
    rows = [encoder.embed_views(view[None]) for view in embedded.views]
    return np.stack(rows) if rows else np.zeros((0, encoder.model.descriptor_dim), np.float32)


def _chosen_scans(source: ScanSource, num_places: int, progress: Progress) -> Iterator[SceneScan]:
    """Scans of the first so many places; 0 = all."""
    places: dict[str, None] = {}
    for index in range(len(source)):
        scan = source.scan(index)
        if scan.place_id in places or not num_places or len(places) < num_places:
            places[scan.place_id] = None
            yield scan
        progress(index + 1, len(source))


def _facts_of(scan: SceneScan) -> ScanFacts:
    return ScanFacts(
        scan_id=scan.scan_id,
        place_id=scan.place_id,
        category=scan.category,
        object_ids=np.array([item.object_id for item in scan.objects], np.int64),
        labels=tuple(item.label for item in scan.objects),
        is_moved=np.array([item.object_id in scan.moved_ids for item in scan.objects], bool),
    )


def _embed_scene(
    each: EmbeddedScans, scan: SceneScan, views: Sequence[ScanView], settings: SceneProtocolSettings
) -> EmbeddedScan:
    """A scan without its objects by one encoder, in what both have."""
    descriptions = _describe(each, views, settings)
    poses = np.array([view.T_scan_camera for view in views], np.float64).reshape(-1, 4, 4)
    texts = _embed_texts(each, scan, settings)
    scenes = _embed_whole(each, scan)
    if len(descriptions):
        with each.timing.of("pooling"):
            known = None if settings.no_poses else poses[: settings.views]
            scenes[SceneModality.IMAGE] = each.named.encoder.embed_views(descriptions[: settings.views], known)
    if settings.sentences in texts:
        scenes[SceneModality.TEXT] = texts[settings.sentences]
    return EmbeddedScan(scenes=scenes, views=descriptions, poses=poses, texts=texts, objects={})


def _with_objects(each: EmbeddedScans, embedded: EmbeddedScan, objects: Sequence[ObjectInput]) -> EmbeddedScan:
    """Add the objects, and the scene of their CAD models."""
    encoder = each.named.encoder
    scenes = dict(embedded.scenes)
    rows: dict[SceneModality, Float32Array] = {}
    for modality in OBJECT_MODALITIES if each.named.has_objects and objects else ():
        if modality in encoder.modalities:
            with each.timing.of(f"objects_{modality.value}"):
                rows[modality], whole = encoder.embed_objects(objects, modality)
            if modality is SceneModality.CAD and whole.any():
                scenes[modality] = whole
    return EmbeddedScan(scenes=scenes, views=embedded.views, poses=embedded.poses, texts=embedded.texts, objects=rows)


def _describe(each: EmbeddedScans, views: Sequence[ScanView], settings: SceneProtocolSettings) -> Float32Array:
    """(V, E); (0, 0) without views or where the encoder has no images."""
    if SceneModality.IMAGE not in each.named.encoder.modalities or not views:
        return np.zeros((0, 0), np.float32)
    rows = []
    for view in views:
        with each.timing.of("view"):
            rows.append(each.named.encoder.describe_view(frame_of(view, has_depth=not settings.no_depth)))
    return np.stack(rows)


def _embed_whole(each: EmbeddedScans, scan: SceneScan) -> dict[SceneModality, Float32Array]:
    """The modalities that are neither of views nor of sentences nor of objects."""
    encoder, cloud = each.named.encoder, cloud_of(scan)
    scenes: dict[SceneModality, Float32Array] = {}
    if cloud is not None and SceneModality.POINT_CLOUD in encoder.modalities:
        with each.timing.of("point_cloud"):
            scenes[SceneModality.POINT_CLOUD] = encoder.embed_point_cloud(cloud)
    if scan.floorplan is not None and SceneModality.FLOORPLAN in encoder.modalities:
        with each.timing.of("floorplan"):
            scenes[SceneModality.FLOORPLAN] = encoder.embed_floorplan(scan.floorplan.image, scan.floorplan.pixels_per_m)
    return scenes


def _embed_texts(each: EmbeddedScans, scan: SceneScan, settings: SceneProtocolSettings) -> dict[int, Float32Array]:
    """Number of sentences -> embedding, as far as there are so many; the settings' number always, if there is one."""
    sentences = sentences_of(scan, settings.seed)
    if SceneModality.TEXT not in each.named.encoder.modalities or not sentences:
        return {}
    counts = [n for n in SENTENCE_COUNTS if n < min(settings.sentences, len(sentences))]
    texts = {}
    for count in (*counts, settings.sentences):
        with each.timing.of("text"):
            texts[count] = each.named.encoder.embed_text(" ".join(sentences[:count]))
    return texts
