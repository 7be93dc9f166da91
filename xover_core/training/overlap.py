# SPDX-License-Identifier: Apache-2.0
"""How much of each frame every other frame of the scene sees; computed once for a scene and kept by the caller.

It counts the very patches that labels are made of. `evaluation.protocols.view_overlap` also counts what is in view
where depth has holes, and takes frames of different sizes; in each other's place they would choose other frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xover_core.training.frame_geometry import FrameGeometry, VisibilitySettings, seen_by


def overlap_matrix(geometry: FrameGeometry, settings: VisibilitySettings | None = None) -> Tensor:
    """Overlaps of all pairs of frames.

    Args:
        geometry: F frames of one scene.
        settings: when a frame sees a point; None = defaults.

    Returns:
        (F, F) float32 on the CPU; entry (i, j) is the share of the patches of i with depth that j sees, in [0, 1].
        A frame without depth overlaps with none.
    """
    settings = settings or VisibilitySettings()
    overlaps = torch.zeros(len(geometry), len(geometry))
    for frame in range(len(geometry)):
        points = geometry.points_world[frame][geometry.has_point[frame]]
        if len(points):
            overlaps[frame] = seen_by(points, geometry, settings).float().mean(0)
    return overlaps
