# SPDX-License-Identifier: Apache-2.0
"""Several recordings of one place, with poses in one world frame, as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xover_core.datasets.rgbd_sequence import RgbdSequence, SequenceItem

_PARTS = ("map", "query")


class JoinedRecordings:
    """Implements `RgbdSequence`: the frames of one recording after those of the other; names say of which."""

    def __init__(self, name: str, recordings: Sequence[RgbdSequence]) -> None:
        """Join recordings.

        Args:
            name: of all of them together, for reports.
            recordings: their true poses share one world frame.
        """
        self._name = name
        self._recordings = tuple(recordings)

    @property
    def name(self) -> str:
        """A short name for reports."""
        return self._name

    def __len__(self) -> int:
        """Number of frames of all."""
        return sum(len(recording) for recording in self._recordings)

    def __iter__(self) -> Iterator[SequenceItem]:
        """Yield the frames of one after the other."""
        for recording in self._recordings:
            for item in recording:
                yield replace(item, name=f"{recording.name}/{item.name}")


def parts_of(path: Path) -> tuple[Path, ...]:
    """The recordings that a path stands for: `map` and `query` in it where both are there, else the path itself."""
    parts = tuple(path / part for part in _PARTS)
    return parts if all(part.exists() for part in parts) else (path,)
