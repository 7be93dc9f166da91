# SPDX-License-Identifier: Apache-2.0
"""Which of a few recorded places a frame shows, for every frame of other recordings of the same places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.place_askers import Asker, embed_queries, make_askers
from xover_core.evaluation.protocols.place_encoders import NamedViewEncoder
from xover_core.evaluation.protocols.place_ranking import (
    COMPARISONS,
    margins,
    score_places,
    share_first,
    track_places,
)
from xover_core.evaluation.protocols.place_recordings import MappedPlace, RecordedPlace, map_place
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.scene_protocol_settings import WhichPlaceSettings
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array, Float64Array, RgbdFrame

PROTOCOL = "which-place"
CHANCE = "chance"
ANY = "any"
ONE_FRAME, ALL_FRAMES = "1", "all"

EncoderMaker = Callable[[Sequence[RgbdFrame]], Sequence[NamedViewEncoder]]
"""Encoders of the table, given the frames that the places are described by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceShare:
    """How often the right place was found.

    Attributes:
        queries: frames.
        first: share of them at which the right place is ranked first.
        margin: mean of the right place's score less that of the best other one; None for chance.
    """

    queries: int
    first: float
    margin: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichPlaceRow:
    """One way of asking; the fields are keys of the JSON file.

    Attributes:
        feature: name of the encoder, or `chance`.
        input: what is read of frames of map and query; depth is withheld where it isn't named.
        compares: with the embeddings of a place's scenes (`pooled`), of its single `views`, or `both`.
        frames: `1`, or the number of those in a row whose belief is asked, or `all` so far.
        places: by the name of the place that was right.
        all: all frames.
    """

    feature: str
    input: str
    compares: str
    frames: str
    places: dict[str, PlaceShare]
    all: PlaceShare


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichPlace:
    """The table, and the margins behind it.

    Attributes:
        report: a row for each way of asking.
        margins: for each row but that of chance, by place: (Q,) margins of its frames in order of time.
    """

    report: ProtocolReport[WhichPlaceRow]
    margins: tuple[tuple[Float64Array, ...], ...]


def measure_which_place(
    places: Sequence[RecordedPlace],
    make_encoders: EncoderMaker,
    settings: WhichPlaceSettings,
    *,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> WhichPlace:
    """Describe each place from its map recording, then ask with every frame of all query recordings.

    Args:
        places: at least two.
        make_encoders: makes the features of the table.
        settings: of the protocol.
        notes: lines for people, below the table.
        progress: called with frames that asked and all of them.

    Raises:
        DatasetError: fewer than two places, two of one name, or a place without poses or without frames that ask.
    """
    _check_places(places)
    mapped = [map_place(place, settings) for place in places]
    encoders = make_encoders([frame for place in mapped for frame in place.frames])
    askers = [asker for named in encoders for asker in make_askers(named, mapped)]
    embedded = embed_queries(places, askers, progress)
    names = tuple(place.name for place in places)
    rows, all_margins = [_chance(names, [len(queries) for queries in embedded[0]])], []
    for asker, queries in zip(askers, embedded, strict=True):
        for row, margin in _rows(asker, queries, names, settings):
            rows.append(row)
            all_margins.append(margin)
    report = _make_report(mapped, tuple(rows), settings, notes)
    return WhichPlace(report=report, margins=tuple(all_margins))


def _check_places(places: Sequence[RecordedPlace]) -> None:
    names = [place.name for place in places]
    if len(set(names)) != len(names) or len(names) < 2:
        raise DatasetError(f"places: expected at least two of different names, got {', '.join(names) or 'none'}.")
    for place in places:
        if not len(place.query):
            raise DatasetError(f"place {place.name}: expected frames in {place.query.name}, got none; none can ask.")


def _rows(
    asker: Asker, queries: Sequence[Float32Array], names: tuple[str, ...], settings: WhichPlaceSettings
) -> Iterator[tuple[WhichPlaceRow, tuple[Float64Array, ...]]]:
    """Rows of an asker, and the margins of each place's frames; queries are (Q, D) for each place."""
    scores = [score_places(vectors, asker.places) for vectors in queries]
    for compares in COMPARISONS:
        for frames in (ONE_FRAME, str(settings.window), ALL_FRAMES):
            answers = [_answer(by_way[compares], frames, settings) for by_way in scores]
            of_places = tuple(margins(answer, right) for right, answer in enumerate(answers))
            row = WhichPlaceRow(
                feature=asker.named.name,
                input=asker.input.name,
                compares=compares,
                frames=frames,
                places={name: _share(margin) for name, margin in zip(names, of_places, strict=True)},
                all=_share(np.concatenate(of_places)),
            )
            yield row, of_places


def _answer(scores: Float64Array, frames: str, settings: WhichPlaceSettings) -> Float64Array:
    """(Q, P) scores of frames alone, or probabilities by several."""
    if frames == ONE_FRAME:
        return scores
    window = None if frames == ALL_FRAMES else settings.window
    return track_places(scores, temperature=settings.temperature, leak=settings.leak, window=window)


def _share(margin: Float64Array) -> PlaceShare:
    return PlaceShare(queries=len(margin), first=share_first(margin), margin=float(margin.mean()))


def _chance(names: Sequence[str], counts: Sequence[int]) -> WhichPlaceRow:
    """What a random ranking gets."""
    first = 1 / len(names)
    places = {n: PlaceShare(queries=c, first=first, margin=None) for n, c in zip(names, counts, strict=True)}
    every = PlaceShare(queries=sum(counts), first=first, margin=None)
    return WhichPlaceRow(feature=CHANCE, input=ANY, compares=ANY, frames=ANY, places=places, all=every)


def _make_report(
    mapped: Sequence[MappedPlace], rows: tuple[WhichPlaceRow, ...], settings: WhichPlaceSettings, notes: tuple[str, ...]
) -> ProtocolReport[WhichPlaceRow]:
    names, num_queries = [place.name for place in mapped], rows[0].all.queries
    described = (
        f"{place.name}: {len(place.frames)} views in {len(place.scenes)} scenes,"
        f" {rows[0].places[place.name].queries} frames ask"
        for place in mapped
    )
    return ProtocolReport(
        protocol=PROTOCOL,
        title=f"which of {len(names)} places, {num_queries} frames: share at which the right one is ranked first",
        notes=(*described, *notes),
        columns=_columns(names),
        rows=rows,
        settings=settings,
        provenance=find_provenance(),
        recording=", ".join(names),
        facts={
            "places": len(names),
            "queries": num_queries,
            **{f"scenes_{place.name}": len(place.scenes) for place in mapped},
            **{f"views_{place.name}": len(place.frames) for place in mapped},
        },
    )


def _columns(names: Sequence[str]) -> tuple[Column[WhichPlaceRow], ...]:
    return (
        Column("feature", lambda row: row.feature),
        Column("input", lambda row: row.input),
        Column("compares", lambda row: row.compares),
        Column("frames", lambda row: row.frames),
        *(Column(name, _place_cell(name)) for name in names),
        Column("all", lambda row: f"{row.all.first:.3f}"),
        Column("margin", lambda row: "-" if row.all.margin is None else f"{row.all.margin:.3f}"),
    )


def _place_cell(name: str) -> Callable[[WhichPlaceRow], str]:
    """The text of a row's share for one place."""
    return lambda row: f"{row.places[name].first:.3f}"
