# SPDX-License-Identifier: Apache-2.0
"""Which embeddings are compared: one vector for each scan, of a modality, of some views of it, or fused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.scene_embeddings import SENTENCE_COUNTS
from xover_core.evaluation.protocols.scene_table import EmbeddedScan, EmbeddedScans
from xover_core.types import Float32Array, SceneModality

VIEW_COUNTS = (1, 5, 10, 20)
FUSED = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSet:
    """One embedding for each scan that has it.

    Attributes:
        name: in tables.
        sources: what it was made of. Two sets that share a source share inputs, so for one and the same scan they say
            nothing about each other.
        vectors: (N, D); zeros where there is none.
        present: (N,).
    """

    name: str
    sources: frozenset[SceneModality]
    vectors: Float32Array
    present: NDArray[np.bool_]


def make_set(
    name: str, sources: frozenset[SceneModality], vectors: Sequence[Float32Array | None]
) -> EmbeddingSet | None:
    """A set of what is there; None when nothing is."""
    present = np.array([vector is not None and bool(vector.any()) for vector in vectors], bool)
    if not present.any():
        return None
    dim = next(len(vector) for vector in vectors if vector is not None)
    rows = [np.zeros(dim, np.float32) if vector is None else vector for vector in vectors]
    return EmbeddingSet(name=name, sources=sources, vectors=np.stack(rows), present=present)


def modality_sets(embedded: EmbeddedScans) -> list[EmbeddingSet]:
    """One set for each modality that any scan has, in the order of `SceneModality`."""
    return _kept(
        make_set(m.value, frozenset({m}), [scan.scenes.get(m) for scan in embedded.scans]) for m in SceneModality
    )


def view_sets(embedded: EmbeddedScans, standard: int, *, has_poses: bool) -> list[EmbeddingSet]:
    """Images with other numbers of views than the `standard` one; scans with fewer views lack the set."""
    encoder = embedded.named.encoder

    def embed(scan: EmbeddedScan, count: int) -> Float32Array | None:
        if len(scan.views) < count:
            return None
        return encoder.embed_views(scan.views[:count], scan.poses[:count] if has_poses else None)

    return _kept(
        make_set(
            f"image, {count} view{'s' * (count > 1)}",
            frozenset({SceneModality.IMAGE}),
            [embed(scan, count) for scan in embedded.scans],
        )
        for count in VIEW_COUNTS
        if count != standard
    )


def sentence_sets(embedded: EmbeddedScans, standard: int) -> list[EmbeddingSet]:
    """Texts of fewer sentences than the `standard` number."""
    return _kept(
        make_set(
            f"text, {count} sentence{'s' * (count > 1)}",
            frozenset({SceneModality.TEXT}),
            [scan.texts.get(count) for scan in embedded.scans],
        )
        for count in SENTENCE_COUNTS
        if count < standard
    )


def fused_sets(embedded: EmbeddedScans) -> list[EmbeddingSet]:
    """Everything that is known of a scan in one vector; then the same with each modality removed."""
    known = [m for m in SceneModality if any(m in scan.scenes for scan in embedded.scans)]
    if len(known) < 2:
        return []
    without = {FUSED: frozenset(known)} | {f"{FUSED} but {m.value}": frozenset(known) - {m} for m in known}
    return _kept(
        make_set(name, sources, [fuse(scan, sources) for scan in embedded.scans]) for name, sources in without.items()
    )


def object_mean_sets(embedded: EmbeddedScans) -> list[EmbeddingSet]:
    """The baseline without a scene network: the mean of the objects' embeddings of each modality."""
    return _kept(
        make_set(m.value, frozenset({m}), [mean_direction(scan.objects.get(m)) for scan in embedded.scans])
        for m in SceneModality
    )


def fuse(scan: EmbeddedScan, sources: frozenset[SceneModality]) -> Float32Array | None:
    """(D,) mean of the embeddings in those modalities that a scan has, of norm 1; None when it has none."""
    rows = [scan.scenes[modality] for modality in SceneModality if modality in sources and modality in scan.scenes]
    return mean_direction(np.stack(rows)) if rows else None


def mean_direction(rows: Float32Array | None) -> Float32Array | None:
    """(D,) mean of (K, D) rows that are not zero, of norm 1; None when there is none."""
    if rows is None or not rows.any():
        return None
    mean = rows[rows.any(axis=1)].mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def _kept(sets: Iterable[EmbeddingSet | None]) -> list[EmbeddingSet]:
    return [item for item in sets if item is not None]
