# SPDX-License-Identifier: Apache-2.0
"""A tiny room as training scene, and a tiny network, for the tests of LoCUS training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from box_room import look_at, room_frame
from safetensors.torch import save_file
from torch import Tensor, nn

from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.types import Float32Array

RADII = (0.2, 0.6)


def make_room(name: str, first_heading_deg: float = 0.0, num_frames: int = 6) -> SceneFrames:
    """Frames that look around from places near each other: neighbours overlap."""
    poses = [look_at((0.15 * i, 0.1 * i, 0.0), first_heading_deg + 12.0 * i) for i in range(num_frames)]
    frames = [room_frame(pose) for pose in poses]
    return make_scene_frames(
        name,
        np.stack([frame.rgb for frame in frames]),
        np.stack([frame.depth for frame in frames]),
        [frame.intrinsics for frame in frames],
        np.stack(poses),
    )


class SceneList:
    """Scenes in memory."""

    def __init__(self, scenes: Sequence[SceneFrames]) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def scene(self, index: int) -> SceneFrames:
        return self._scenes[index]

    def overlap(self, index: int) -> Float32Array:
        return self._scenes[index].overlap


class TinyNetwork(nn.Module):
    """Two layers on the pixels of each patch, and a head for each radius."""

    def __init__(self, radii: tuple[float, ...] = RADII, width: int = 192) -> None:
        super().__init__()
        self.radii = radii
        self.pixels = nn.Conv2d(3, width, 8, stride=8)
        self.heads = nn.ModuleList(nn.Conv2d(width, 32, 1) for _ in radii)

    def forward(self, images: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        hidden = torch.relu(self.pixels(images - 0.5))
        return tuple(nn.functional.normalize(head(hidden), dim=1).permute(0, 2, 3, 1) for head in self.heads)


def save_tiny(network: nn.Module, path: Path) -> None:
    save_file(dict(network.state_dict()), path)
