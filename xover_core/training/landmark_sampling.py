# SPDX-License-Identifier: Apache-2.0
"""Drawing the tentative landmarks of a batch of overlapping frames (LoCUS, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from xover_core.config import Settings, setting
from xover_core.training.frame_geometry import FrameGeometry, VisibilitySettings, seen_by

# Candidates whose visibility is tested at once.
_BLOCK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkSettings(Settings):
    """Which patches become tentative landmarks."""

    num_landmarks: int = setting(64, "tentative landmarks of a batch", minimum=1)
    drawn_from: str = setting(
        "all",
        "all: patches of all frames, drawn until there are enough; released: as many patches of the first frame as"
        " landmarks are wanted, of which those are kept that another frame sees, as in the released LoCUS code",
        choices=("all", "released"),
    )
    visibility: VisibilitySettings = field(default_factory=VisibilitySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkSample:
    """L tentative landmarks.

    Attributes:
        points_world: (L, 3) float64, metres.
        patches: (L,) int64, distinct; the patch that each was made of, frame * N + patch of the frame.
    """

    points_world: Tensor
    patches: Tensor

    def __len__(self) -> int:
        """Number of landmarks."""
        return len(self.patches)

    def to(self, device: torch.device | str) -> LandmarkSample:
        """The same on another device."""
        return LandmarkSample(points_world=self.points_world.to(device), patches=self.patches.to(device))


def sample_landmarks(
    geometry: FrameGeometry, settings: LandmarkSettings, generator: torch.Generator | None = None
) -> LandmarkSample:
    """Draw patches with depth that at least one other frame sees.

    Args:
        geometry: frames of the batch, the seed frame first.
        settings: how many, and from where.
        generator: on the CPU.

    Returns:
        At most `num_landmarks` landmarks, on the geometry's device; none when no patch is seen twice.
    """
    has_point = geometry.has_point
    if settings.drawn_from == "released":
        has_point = has_point & (torch.arange(len(geometry), device=has_point.device) == 0)[:, None]
    candidates = has_point.reshape(-1).nonzero()[:, 0]
    candidates = candidates[torch.randperm(len(candidates), generator=generator).to(candidates.device)]
    if settings.drawn_from == "released":
        candidates = candidates[: settings.num_landmarks]
    patches = _first_shared(candidates, geometry, settings)
    return LandmarkSample(points_world=geometry.points_world.reshape(-1, 3)[patches], patches=patches)


def _first_shared(candidates: Tensor, geometry: FrameGeometry, settings: LandmarkSettings) -> Tensor:
    """The first (L,) candidates that a frame other than their own sees."""
    points, patches_per_frame = geometry.points_world.reshape(-1, 3), geometry.points_world.shape[1]
    found = candidates[:0]
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        seen = seen_by(points[block], geometry, settings.visibility)
        seen[torch.arange(len(block), device=seen.device), block // patches_per_frame] = False
        found = torch.cat([found, block[seen.any(1)]])
        if len(found) >= settings.num_landmarks:
            break
    return found[: settings.num_landmarks]
