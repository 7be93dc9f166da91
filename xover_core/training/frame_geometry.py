# SPDX-License-Identifier: Apache-2.0
"""Where the patches of posed depth frames lie, and which frames see a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xover_core.config import Settings, setting
from xover_core.errors import TrainingError
from xover_core.geometry.camera import back_project
from xover_core.geometry.depth import sample_depth
from xover_core.types import CameraIntrinsics, Float32Array, Mat4

# Points that are projected at once.
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilitySettings(Settings):
    """When a frame sees a point: it projects into the image, and the depth there is the point's."""

    depth_tolerance: float = setting(
        0.05, "depths within this distance agree, m; the released LoCUS code has 0.01 for overlaps", minimum=0.0
    )
    depth_tolerance_relative: float = setting(
        0.02, "... plus this share of the depth, for sensors whose noise grows with it", minimum=0.0, maximum=0.5
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameGeometry:
    """F frames of one scene with N patches each.

    Attributes:
        points_world: (F, N, 3) float64 centres of the patches, metres; NaN without depth.
        depth: (F, H, W) float32 metres, 0 without reading.
        intrinsics: (F, 4) float64 fx, fy, cx, cy of the depth images, px.
        T_camera_world: (F, 4, 4) float64.
    """

    points_world: Tensor
    depth: Tensor
    intrinsics: Tensor
    T_camera_world: Tensor

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.depth)

    @property
    def has_point(self) -> Tensor:
        """(F, N) bool: patches with depth."""
        return self.points_world[..., 0].isfinite()

    def select(self, frames: Sequence[int]) -> FrameGeometry:
        """These frames, in this order."""
        chosen = torch.as_tensor(frames, dtype=torch.long, device=self.depth.device)
        return FrameGeometry(
            points_world=self.points_world[chosen],
            depth=self.depth[chosen],
            intrinsics=self.intrinsics[chosen],
            T_camera_world=self.T_camera_world[chosen],
        )

    def to(self, device: torch.device | str) -> FrameGeometry:
        """The same on another device."""
        return FrameGeometry(
            points_world=self.points_world.to(device),
            depth=self.depth.to(device),
            intrinsics=self.intrinsics.to(device),
            T_camera_world=self.T_camera_world.to(device),
        )


def make_frame_geometry(
    depths: Sequence[Float32Array],
    intrinsics: Sequence[CameraIntrinsics],
    T_world_camera: Sequence[Mat4],
    *,
    patch_size: int = 8,
) -> FrameGeometry:
    """Back-project the patch centres of depth images of one size.

    Args:
        depths: (H, W) float32 metres each, registered to colour and of the size that is given to the network.
        intrinsics: of these images.
        T_world_camera: (4, 4) camera poses.
        patch_size: side of a patch, px; patches beyond the last whole one are left out.

    Raises:
        TrainingError: no frames, not as many cameras or poses, or images of different sizes.
    """
    if not depths or not len(depths) == len(intrinsics) == len(T_world_camera):
        counts = f"{len(depths)} depth images, {len(intrinsics)} cameras, {len(T_world_camera)} poses"
        raise TrainingError(f"frame geometry: expected as many of each and at least one, got {counts}.")
    sizes = {depth.shape for depth in depths} | {(camera.height, camera.width) for camera in intrinsics}
    if len(sizes) > 1:
        raise TrainingError(f"frame geometry: expected depth images and cameras of one size, got {sorted(sizes)}.")
    height, width = depths[0].shape
    v, u = np.mgrid[0 : height // patch_size, 0 : width // patch_size] * patch_size + (patch_size - 1) / 2
    centers_px = np.stack([u.ravel(), v.ravel()], axis=1)
    points = [
        back_project(centers_px, sample_depth(depth, centers_px), camera) @ T[:3, :3].T + T[:3, 3]
        for depth, camera, T in zip(depths, intrinsics, T_world_camera, strict=True)
    ]
    return FrameGeometry(
        points_world=torch.from_numpy(np.stack(points)),
        depth=torch.from_numpy(np.stack(depths)),
        intrinsics=torch.tensor([[c.fx, c.fy, c.cx, c.cy] for c in intrinsics], dtype=torch.float64),
        T_camera_world=torch.from_numpy(np.linalg.inv(np.stack(T_world_camera))),
    )


def seen_by(points_world: Tensor, geometry: FrameGeometry, settings: VisibilitySettings) -> Tensor:
    """Which frames see which points.

    Args:
        points_world: (M, 3) float64, metres; NaN is seen by no frame.
        geometry: F frames.
        settings: how well depth must agree.

    Returns:
        (M, F) bool. A point behind a surface, or where a frame has no depth, is not seen.
    """
    seen = torch.zeros(len(points_world), len(geometry), dtype=torch.bool, device=points_world.device)
    for start in range(0, len(points_world), _BLOCK):
        block = slice(start, start + _BLOCK)
        for frame in range(len(geometry)):
            seen[block, frame] = _seen_by_frame(points_world[block], geometry, frame, settings)
    return seen


def _seen_by_frame(points_world: Tensor, geometry: FrameGeometry, frame: int, settings: VisibilitySettings) -> Tensor:
    """(M,) bool for one frame."""
    T, depth = geometry.T_camera_world[frame], geometry.depth[frame]
    fx, fy, cx, cy = geometry.intrinsics[frame]
    # positions in the camera are small, so float32 is enough from here on
    x, y, z = (points_world @ T[:3, :3].T + T[:3, 3]).float().unbind(1)
    u, v = (x / z * fx + cx).round(), (y / z * fy + cy).round()
    height, width = depth.shape
    inside = (z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixels = torch.where(inside, v * width + u, 0).long()
    reading = depth.reshape(-1)[pixels]
    tolerance = settings.depth_tolerance + settings.depth_tolerance_relative * z
    seen: Tensor = inside & (reading > 0) & ((reading - z).abs() <= tolerance)
    return seen
