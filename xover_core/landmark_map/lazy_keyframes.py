# SPDX-License-Identifier: Apache-2.0
"""The keyframes and landmarks of a map that is too large to be held in memory: each is read when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, overload

from xover_core.landmark_map.keyframe_table import KeyframeTable, table_of
from xover_core.types import Keyframe, Landmarks


class MapRows(Protocol):
    """Reads single rows of a map; see `map_reader.MapReader`."""

    def read_keyframe(self, row: int) -> Keyframe:
        """The keyframe of a row of the table."""
        ...

    def read_block(self, scene_id: int) -> Landmarks:
        """The landmarks of a scene."""
        ...

    def read_landmarks(self) -> Landmarks:
        """All landmarks."""
        ...


class LazyKeyframes(Sequence[Keyframe]):
    """Keyframes in a file, read anew each time."""

    def __init__(self, rows: MapRows, table: KeyframeTable) -> None:
        self._rows = rows
        self._table = table

    @property
    def table(self) -> KeyframeTable:
        """What is known of all of them without reading."""
        return self._table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Keyframe: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Keyframe]: ...

    def __getitem__(self, index: int | slice) -> Keyframe | Sequence[Keyframe]:
        rows = range(len(self))[index]
        return tuple(map(self._rows.read_keyframe, rows)) if isinstance(rows, range) else self._rows.read_keyframe(rows)


class LazyBlocks:
    """Implements `LandmarkBlocks` for landmarks in a file."""

    def __init__(self, rows: MapRows, counts: Mapping[int, int]) -> None:
        self._rows = rows
        self._counts = counts
        self._total = sum(counts.values())

    def __len__(self) -> int:
        return self._total

    @property
    def counts(self) -> Mapping[int, int]:
        """How many landmarks each scene has; only scenes that have some."""
        return self._counts

    def of_scene(self, scene_id: int) -> Landmarks:
        """The landmarks of one of these scenes."""
        return self._rows.read_block(scene_id)

    def all(self) -> Landmarks:
        """All landmarks."""
        return self._rows.read_landmarks()


def find_table(keyframes: Sequence[Keyframe]) -> KeyframeTable:
    """Ids, scenes and poses of keyframes, without reading those that lie in a file."""
    return keyframes.table if isinstance(keyframes, LazyKeyframes) else table_of(keyframes)
