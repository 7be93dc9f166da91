# SPDX-License-Identifier: Apache-2.0
"""Windows of RGB-D frames, brought to another size with their camera and depth; and random zoom for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from xover_core.config import Settings, setting
from xover_core.errors import TrainingError
from xover_core.geometry.camera import resize_intrinsics
from xover_core.training.frame_geometry import FrameGeometry, make_frame_geometry
from xover_core.training.scene_frames import SceneFrames
from xover_core.types import CameraIntrinsics, Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomSettings(Settings):
    """How far frames are zoomed in."""

    probability: float = setting(0.5, "share of frames that are zoomed", minimum=0.0, maximum=1.0)
    min_scale: float = setting(0.7, "smallest window, as a share of width and height", minimum=0.1, maximum=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of whole pixels in an image."""

    left: int
    top: int
    width: int
    height: int


def zoomed_frames(
    scene: SceneFrames, frames: Sequence[int], settings: ZoomSettings, generator: torch.Generator
) -> tuple[Tensor, FrameGeometry]:
    """(B, 3, H, W) images of these frames, each zoomed on its own, and the geometry of the zoomed frames."""
    images, depths, intrinsics = zoom_randomly(
        scene.image_tensor(frames), scene.depths(frames), [scene.intrinsics[i] for i in frames], settings, generator
    )
    return images, make_frame_geometry(list(depths), intrinsics, [scene.T_world_camera[i] for i in frames])


def zoom_randomly(
    images: Tensor,
    depths: Float32Array,
    intrinsics: Sequence[CameraIntrinsics],
    settings: ZoomSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Float32Array, tuple[CameraIntrinsics, ...]]:
    """Crop a random window of each frame and bring it back to the full size.

    Args:
        images: (B, 3, H, W) floating point.
        depths: (B, H, W) metres.
        intrinsics: of each frame.
        settings: how far.
        generator: on the CPU.

    Returns:
        Images, depths and intrinsics as given; poses stay.

    Raises:
        TrainingError: not as many of each, or other sizes.
    """
    count, _, height, width = images.shape
    if depths.shape != (count, height, width) or len(intrinsics) != count:
        raise TrainingError(
            f"zoom: expected {count} depth images of {width}x{height} and as many cameras,"
            f" got {depths.shape} and {len(intrinsics)}."
        )
    zoomed = images.clone()
    zoomed_depths = depths.copy()
    cameras = list(intrinsics)
    # drawn for all frames, so that the draw of one does not depend on the others
    for frame, draw in enumerate(torch.rand(count, 4, generator=generator).tolist()):
        if draw[0] < settings.probability:
            window = _draw_window(draw[1:], settings.min_scale, width, height)
            zoomed[frame] = resize_window(images[frame], window, width, height)
            zoomed_depths[frame] = resize_depth_window(depths[frame], window, width, height)
            cameras[frame] = resize_camera_window(intrinsics[frame], window, width, height)
    return zoomed, zoomed_depths, tuple(cameras)


def resize_window(image: Tensor, window: Window, width: int, height: int) -> Tensor:
    """(3, height, width) bilinear enlargement of a window of a (3, H, W) image."""
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    return interpolate(image[None, :, rows, columns], size=(height, width), mode="bilinear", align_corners=False)[0]


def resize_depth_window(depth: Float32Array, window: Window, width: int, height: int) -> Float32Array:
    """(height, width) nearest readings in a window of (H, W) depth: averages over edges would float in the air."""
    rows = window.top + ((np.arange(height) + 0.5) * (window.height / height)).astype(np.intp)
    columns = window.left + ((np.arange(width) + 0.5) * (window.width / width)).astype(np.intp)
    return depth[rows[:, None], columns]


def resize_camera_window(camera: CameraIntrinsics, window: Window, width: int, height: int) -> CameraIntrinsics:
    """Intrinsics of a window that is resized to (width, height)."""
    cropped = replace(
        camera, cx=camera.cx - window.left, cy=camera.cy - window.top, width=window.width, height=window.height
    )
    return resize_intrinsics(cropped, width, height)


def _draw_window(draw: Sequence[float], min_scale: float, width: int, height: int) -> Window:
    """A window of the image's proportions, anywhere in it, from three numbers in [0, 1)."""
    scale = min_scale + (1 - min_scale) * draw[0]
    inner_width, inner_height = round(scale * width), round(scale * height)
    return Window(
        left=int(draw[1] * (width - inner_width + 1)),
        top=int(draw[2] * (height - inner_height + 1)),
        width=inner_width,
        height=inner_height,
    )
