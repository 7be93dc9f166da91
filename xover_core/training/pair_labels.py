# SPDX-License-Identifier: Apache-2.0
"""Which (landmark, patch) pairs are positive, negative or neither, by distance in 3D (LoCUS, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xover_core.config import Settings, setting
from xover_core.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings(Settings):
    """Distances that make pairs positive or negative."""

    radius: float = setting(0.2, "rho: patches nearer than this to a landmark are its positives, m", minimum=0.001)
    kappa: float = setting(
        50.0, "patches beyond kappa * rho of a landmark are neither positive nor negative", minimum=1.0
    )
    self_match: str = setting(
        "own",
        "own: a landmark is not compared with the patch that it was made of; released: nor with those that the other"
        " landmarks were made of, as in the released LoCUS code",
        choices=("own", "released"),
    )
    patch_share: float = setting(
        1.0, "random share of the patches that is compared; positives are always kept", minimum=0.001, maximum=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLabels:
    """What each pair of L landmarks and N patches is.

    Attributes:
        is_positive: (L, N) bool; a subset of the universe.
        in_universe: (L, N) bool; pairs that are ranked.
    """

    is_positive: Tensor
    in_universe: Tensor


def label_pairs(
    landmarks_world: Tensor,
    patches_world: Tensor,
    own_patches: Tensor,
    settings: PairSettings,
    generator: torch.Generator | None = None,
) -> PairLabels:
    """Label all pairs.

    Args:
        landmarks_world: (L, 3), metres.
        patches_world: (N, 3), metres; NaN where a patch has no depth, which is in no landmark's universe.
        own_patches: (L,) int64, the patch that each landmark was made of.
        settings: distances.
        generator: on the same device; draws the compared patches when `patch_share` is below 1.

    Returns:
        Labels on the device of the patches.
    """
    num_landmarks, num_patches = len(landmarks_world), len(patches_world)
    if landmarks_world.shape != (num_landmarks, 3) or patches_world.shape != (num_patches, 3):
        shapes = f"{tuple(landmarks_world.shape)} and {tuple(patches_world.shape)}"
        raise TrainingError(f"pairs to label: expected points (L, 3) and (N, 3), got {shapes}.")
    # directly, not through squared norms: far from the origin those would lose the millimetres
    distances = torch.cdist(landmarks_world, patches_world, compute_mode="donot_use_mm_for_euclid_dist")
    is_positive = distances < settings.radius
    in_universe = distances < settings.kappa * settings.radius
    if settings.patch_share < 1:
        drawn = torch.rand(num_patches, generator=generator, device=patches_world.device) < settings.patch_share
        in_universe &= drawn | is_positive
    if settings.self_match == "released":
        in_universe[:, own_patches] = False
    else:
        in_universe[torch.arange(num_landmarks, device=patches_world.device), own_patches] = False
    return PairLabels(is_positive=is_positive & in_universe, in_universe=in_universe)
