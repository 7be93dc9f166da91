# SPDX-License-Identifier: Apache-2.0
"""Axes of networks that look at pictures in patches: of any size, or fixed to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xover_core.errors import ConfigError

BATCH = "batch"
MAX_BATCH = 16
"""Pictures at once; memory grows with it."""
_MIN_GRID, _MAX_GRID = 4, 512

Axis = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchAxes:
    """Sides of pictures and of their grid of patches.

    Attributes:
        patch: side of a patch, px.
        grid: (rows, cols) of patches; None for any.
    """

    patch: int
    grid: tuple[int, int] | None = None

    @property
    def sides(self) -> tuple[Axis, Axis]:
        """(height, width) of a picture."""
        if self.grid is None:
            return f"{self.patch}*rows", f"{self.patch}*cols"
        return self.patch * self.grid[0], self.patch * self.grid[1]

    @property
    def count(self) -> Axis:
        """Patches of a picture."""
        return "rows*cols" if self.grid is None else self.grid[0] * self.grid[1]

    @property
    def lengths(self) -> dict[str, tuple[int, int]]:
        """Shortest and longest length of the axes that may change."""
        lengths = {BATCH: (1, MAX_BATCH)}
        return lengths if self.grid else lengths | {"rows": (_MIN_GRID, _MAX_GRID), "cols": (_MIN_GRID, _MAX_GRID)}

    def example_grids(self, grids: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """These (rows, cols), or the one that is fixed."""
        return grids if self.grid is None else [self.grid]


def patch_axes(name: str, patch: int, size: tuple[int, int] | None) -> PatchAxes:
    """Axes for pictures of a size.

    Args:
        name: of the network, for errors.
        patch: side of a patch, px.
        size: (height, width), px; None for any.

    Raises:
        ConfigError: sides that are no multiples of the patch, or too short.
    """
    if size is None:
        return PatchAxes(patch=patch)
    grid = size[0] // patch, size[1] // patch
    if any(side % patch for side in size) or not all(_MIN_GRID <= length <= _MAX_GRID for length in grid):
        raise ConfigError(
            f"network {name!r}: expected sides that are multiples of {patch} px from {_MIN_GRID * patch} to"
            f" {_MAX_GRID * patch}, got {size[0]}x{size[1]}; give another size."
        )
    return PatchAxes(patch=patch, grid=grid)
