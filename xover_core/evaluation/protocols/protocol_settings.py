# SPDX-License-Identifier: Apache-2.0
"""What each protocol draws and what it counts as right; the command line makes its options of these fields."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from xover_core.config import Settings, setting
from xover_core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRetrievalSettings(Settings):
    """Patch retrieval (LoCUS, Table 1)."""

    rho: float = setting(0.2, "patches within this distance of the query are right, m", minimum=0.01)
    universes: tuple[float, ...] = setting((1.0, 10.0), "only patches within this distance are ranked, m, ascending")
    num_batches: int = setting(6, "batches of overlapping frames", minimum=1)
    batch_size: int = setting(16, "frames of a batch", minimum=2)
    num_queries: int = setting(200, "query patches of a batch", minimum=1)
    min_overlap: float = setting(0.1, "mutual overlap of a batch's frames with its first", minimum=0.0, maximum=1.0)
    max_depth: float = setting(8.0, "patches beyond this depth are left out, m", minimum=0.5)
    max_frames: int = setting(600, "frames of the recording that are used, evenly spread", minimum=2)
    seed: int = setting(0, "of every random draw", minimum=0)

    def __post_init__(self) -> None:
        """Check the fields, and that the universes are nested around rho.

        Raises:
            ConfigError: a value out of range.
        """
        Settings.__post_init__(self)
        radii = (self.rho, *self.universes)
        if len(radii) < 2 or any(a >= b for a, b in itertools.pairwise(radii)):
            raise ConfigError(
                f"setting universes: expected at least one radius, ascending, all above rho = {self.rho:g}, got"
                f" {', '.join(f'{u:g}' for u in self.universes) or 'none'}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePoseSettings(Settings):
    """Relative pose (LoCUS, Table 3)."""

    num_pairs: int = setting(500, "pairs of frames, drawn at random", minimum=1)
    min_overlap: float = setting(0.1, "smallest mutual overlap of a pair", minimum=0.0, maximum=1.0)
    max_overlap: float = setting(0.5, "largest mutual overlap of a pair", minimum=0.0, maximum=1.0)
    max_depth: float = setting(8.0, "depth readings beyond this do not count, m", minimum=0.5)
    max_frames: int = setting(300, "frames of the recording that are used, evenly spread; all are held", minimum=2)
    seed: int = setting(0, "of every random draw", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProbeSettings(Settings):
    """Segmentation by a linear probe (LoCUS, Table 2)."""

    num_rooms: int = setting(5, "rooms of the apartment besides the corridor", minimum=1, maximum=12)
    num_frames: int = setting(40, "frames to train on, and as many to test on, evenly spread", minimum=1)
    train_walk: int = setting(0, "seed of the walk that the probe is trained on", minimum=0)
    test_walk: int = setting(1, "seed of the walk that it is tested on", minimum=0)
    same_frames: bool = setting(False, "test on the training frames, as LoCUS' released code does")
    min_patches: int = setting(10, "objects with fewer patches in the training frames are left out", minimum=1)
    max_iterations: int = setting(100, "of L-BFGS, at most", minimum=1)
