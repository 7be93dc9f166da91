# SPDX-License-Identifier: Apache-2.0
"""Where scenes come from, and several such sources as one."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Sequence
from typing import Protocol

from xover_core.errors import TrainingError
from xover_core.training.scene_frames import SceneFrames
from xover_core.types import Float32Array


class SceneSource(Protocol):
    """A numbered set of scenes; `SceneFolder` is one."""

    def __len__(self) -> int:
        """Number of scenes."""
        ...

    def scene(self, index: int) -> SceneFrames:
        """One scene."""
        ...

    def overlap(self, index: int) -> Float32Array:
        """(F, F) overlaps of one scene, without reading its images."""
        ...


class MixedScenes:
    """The scenes of several sources, one after the other; may be asked from several threads."""

    def __init__(self, sources: Sequence[SceneSource]) -> None:
        """Join sources.

        Raises:
            TrainingError: they have no scenes.
        """
        self._sources = tuple(sources)
        self._ends = list(itertools.accumulate(len(source) for source in sources))
        self._lock = threading.Lock()
        if not len(self):
            raise TrainingError("scenes: expected at least one to train on, got none; name a folder that has some.")

    def __len__(self) -> int:
        """Number of scenes."""
        return self._ends[-1] if self._ends else 0

    def scene(self, index: int) -> SceneFrames:
        """One scene."""
        source, place = self._find(index)
        with self._lock:
            return source.scene(place)

    def overlap(self, index: int) -> Float32Array:
        """(F, F) overlaps of one scene."""
        source, place = self._find(index)
        return source.overlap(place)

    def _find(self, index: int) -> tuple[SceneSource, int]:
        """The source that has a scene, and its number there."""
        number = bisect.bisect_right(self._ends, index)
        source = self._sources[number]
        return source, index - (self._ends[number] - len(source))
