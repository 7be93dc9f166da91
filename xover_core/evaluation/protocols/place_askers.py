# SPDX-License-Identifier: Apache-2.0
"""Encoders that describe places with or without depth, and every frame that asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xover_core.evaluation.protocols.place_encoders import NamedViewEncoder
from xover_core.evaluation.protocols.place_ranking import EmbeddedPlace
from xover_core.evaluation.protocols.place_recordings import MappedPlace, RecordedPlace
from xover_core.evaluation.replay import Progress
from xover_core.types import Float32Array, RgbdFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInput:
    """What is read of frames besides colour.

    Attributes:
        name: in tables.
        has_map_depth: whether depth is left in the frames that places are described by.
        has_query_depth: whether it is left in those that ask.
    """

    name: str
    has_map_depth: bool
    has_query_depth: bool


_COLOR_ONLY = AskedInput(name="colour", has_map_depth=False, has_query_depth=False)
_DEPTH_INPUTS = (
    AskedInput(name="colour, map with depth", has_map_depth=True, has_query_depth=False),
    AskedInput(name="colour and depth", has_map_depth=True, has_query_depth=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """An encoder with what it reads of frames, and how it describes the places.

    Attributes:
        named: the encoder.
        input: what it reads.
        places: in the order given.
    """

    named: NamedViewEncoder
    input: AskedInput
    places: tuple[EmbeddedPlace, ...]

    def embed(self, frame: RgbdFrame) -> Float32Array:
        """(D,) of one frame that asks."""
        described = _describe(self.named, frame, has_depth=self.input.has_query_depth)
        return self.named.encoder.embed_views(described[None])


def make_askers(named: NamedViewEncoder, mapped: Sequence[MappedPlace]) -> Iterator[Asker]:
    """One by colour only, and others by depth too where there is any and the encoder reads it."""
    has_depth = any(frame.depth is not None for place in mapped for frame in place.frames)
    for reads in (_COLOR_ONLY, *(_DEPTH_INPUTS if named.reads_depth and has_depth else ())):
        places = tuple(_embed_place(named, place, has_depth=reads.has_map_depth) for place in mapped)
        yield Asker(named=named, input=reads, places=places)


def _embed_place(named: NamedViewEncoder, place: MappedPlace, *, has_depth: bool) -> EmbeddedPlace:
    """Describe each view once, pool the scenes from these descriptions."""
    scenes = [np.stack([_describe(named, frame, has_depth=has_depth) for frame in scene]) for scene in place.scenes]
    embed = named.encoder.embed_views
    return EmbeddedPlace(
        scenes=np.stack([embed(views) for views in scenes]),
        views=np.stack([embed(view[None]) for views in scenes for view in views]),
    )


def _describe(named: NamedViewEncoder, frame: RgbdFrame, *, has_depth: bool) -> Float32Array:
    """(E,) of a frame with or without its depth."""
    return named.encoder.describe_view(frame if has_depth else replace(frame, depth=None))


def embed_queries(
    places: Sequence[RecordedPlace], askers: Sequence[Asker], progress: Progress
) -> list[list[Float32Array]]:
    """For each asker and place (Q, D) embeddings of its query frames; each recording is read once."""
    done, total = 0, sum(len(place.query) for place in places)
    embedded: list[list[Float32Array]] = [[] for _ in askers]
    for place in places:
        vectors: list[list[Float32Array]] = [[] for _ in askers]
        for item in place.query:
            for own, asker in zip(vectors, askers, strict=True):
                own.append(asker.embed(item.frame))
            done += 1
            progress(done, total)
        for of_asker, own in zip(embedded, vectors, strict=True):
            of_asker.append(np.stack(own))
    return embedded
