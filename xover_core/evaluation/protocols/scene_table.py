# SPDX-License-Identifier: Apache-2.0
"""Embeddings of a data set of scans, by one or more encoders, and what is known of the scans besides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.scene_encoder import SceneEncoder
from xover_core.types import Float32Array, Float64Array, SceneModality


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSceneEncoder:
    """An encoder and its name in tables.

    Attributes:
        name: of the rows.
        encoder: what embeds.
        has_objects: whether its embeddings of objects are asked for.
    """

    name: str
    encoder: SceneEncoder
    has_objects: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedScan:
    """What one encoder makes of one scan.

    Attributes:
        scenes: modality -> (D,); a missing modality is missing here.
        views: (V, E) descriptions of views, each view far from those before it; V may be 0.
        poses: (V, 4, 4) of the views' cameras.
        texts: number of sentences -> (D,).
        objects: modality -> (K, D) of the scan's objects; rows of zeros where an object lacks it.
    """

    scenes: dict[SceneModality, Float32Array]
    views: Float32Array
    poses: Float64Array
    texts: dict[int, Float32Array]
    objects: dict[SceneModality, Float32Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFacts:
    """What is known of a scan without an encoder; see `SceneScan`.

    Attributes:
        object_ids: (K,).
        labels: (K,) nouns.
        is_moved: (K,) whether an object stands elsewhere than in the reference scan of the place.
    """

    scan_id: str
    place_id: str
    category: str
    object_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    is_moved: NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class Timing:
    """Seconds that embedding took, by what was embedded."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what is done inside."""
        start = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def medians_ms(self) -> dict[str, float]:
        """Name -> median, ms."""
        return {name: 1e3 * float(np.median(values)) for name, values in self.seconds.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedScans:
    """All scans by one encoder, in the order of `facts` of the table.

    Attributes:
        named: the encoder.
        scans: one for each scan.
        timing: what they took.
    """

    named: NamedSceneEncoder
    scans: list[EmbeddedScan]
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTable:
    """Embeddings of a data set by several encoders.

    Attributes:
        facts: of each scan.
        by_encoder: in the order given.
    """

    facts: tuple[ScanFacts, ...]
    by_encoder: tuple[EmbeddedScans, ...]

    @property
    def places(self) -> NDArray[np.int64]:
        """(N,) the same number for scans of the same place."""
        return np.unique([fact.place_id for fact in self.facts], return_inverse=True)[1].astype(np.int64)

    @property
    def categories(self) -> tuple[str, ...]:
        """(N,) kinds of room."""
        return tuple(fact.category for fact in self.facts)

    @property
    def is_reference(self) -> NDArray[np.bool_]:
        """(N,) the scan of each place that gives it its id, or else its first one."""
        chosen: dict[str, int] = {}
        for index, fact in enumerate(self.facts):
            if fact.place_id not in chosen or fact.scan_id == fact.place_id:
                chosen[fact.place_id] = index
        marks = np.zeros(len(self.facts), bool)
        marks[list(chosen.values())] = True
        return marks

    def times_ms(self) -> dict[str, float]:
        """`ms_` and what the first encoder embedded -> median, for a report's facts."""
        return {f"ms_{key}": value for key, value in self.by_encoder[0].timing.medians_ms().items()}

    def time_notes(self) -> tuple[str, ...]:
        """A line for people about each encoder."""
        return tuple(
            f"{each.named.name}, median ms: "
            + ", ".join(f"{key} {value:.0f}" for key, value in each.timing.medians_ms().items())
            for each in self.by_encoder
        )
