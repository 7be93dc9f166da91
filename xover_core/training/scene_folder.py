# SPDX-License-Identifier: Apache-2.0
"""A folder of training scenes, one file each, of which a few are kept open."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from xover_core.errors import TrainingError
from xover_core.training.scene_frames import SceneFrames, read_overlap
from xover_core.types import Float32Array

SCENE_SUFFIX = ".safetensors"


class SceneFolder:
    """The scenes of a folder, by rising file name; the listing is taken once."""

    def __init__(self, directory: Path, *, num_cached: int = 8) -> None:
        """List the folder.

        Args:
            directory: with `*.safetensors` files that `SceneFrames.save` wrote.
            num_cached: scenes that stay open, at least 1.

        Raises:
            TrainingError: no such folder, no scene in it, or `num_cached` is not positive.
        """
        if num_cached < 1:
            raise TrainingError(f"scenes in {directory}: expected at least one cached scene, got {num_cached}.")
        self._paths = sorted(path for path in Path(directory).glob(f"*{SCENE_SUFFIX}") if path.is_file())
        if not self._paths:
            raise TrainingError(
                f"scenes in {directory}: expected files *{SCENE_SUFFIX}, found none; is it the folder of the scenes?"
            )
        self._num_cached = num_cached
        self._cache: OrderedDict[int, SceneFrames] = OrderedDict()

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._paths)

    @property
    def names(self) -> tuple[str, ...]:
        """File names without suffix."""
        return tuple(path.name.removesuffix(SCENE_SUFFIX) for path in self._paths)

    def scene(self, index: int) -> SceneFrames:
        """One scene, opened when it is not at hand.

        Raises:
            TrainingError: its file is damaged or foreign.
        """
        if index not in self._cache:
            self._cache[index] = SceneFrames.load(self._paths[index])
        self._cache.move_to_end(index)
        while len(self._cache) > self._num_cached:
            self._cache.popitem(last=False)
        return self._cache[index]

    def overlap(self, index: int) -> Float32Array:
        """(F, F) overlaps of one scene, read without its images.

        Raises:
            TrainingError: its file is damaged or foreign.
        """
        return read_overlap(self._paths[index])
