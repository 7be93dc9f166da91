# SPDX-License-Identifier: Apache-2.0
"""What the heads of a compact encoder see of the frames of a site, computed once, since everything before is frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xover_core.networks.compact_encoder import CompactEncoder, rival_patches
from xover_core.networks.metric_stem import PATCH_SIZE
from xover_core.training.adaptation_settings import ChangedCopiesSettings
from xover_core.training.depth_noise import disturb_depth
from xover_core.training.frame_geometry import FrameGeometry
from xover_core.training.photometric import augment_photometrically
from xover_core.training.scale_crop import zoomed_frames
from xover_core.training.scene_frames import SceneFrames
from xover_core.training.training_task import make_generator

# Called with the share that is done; returns whether there is time for more.
GoOn = Callable[[float], bool]
# What `CompactEncoder.head_inputs` gives.
_View = tuple[tuple[Tensor, ...], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadInputs:
    """V views with N patches each.

    Attributes:
        values: for each radius (V, N, C) float16, as `CompactEncoder.head_inputs` gives them.
        points_camera: (V, N, 3) float32, as it gives them.
        rivals: (M,) of the N patches, the same in all views; see `rival_patches`.
    """

    values: tuple[Tensor, ...]
    points_camera: Tensor
    rivals: Tensor

    def of(self, views: Sequence[int]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Arguments of `SiteHeads` for these views."""
        rows = list(views)
        return [value[rows] for value in self.values], self.points_camera[rows], self.rivals


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingViews:
    """V views that heads are trained on.

    Attributes:
        inputs: some patches of each.
        geometry: of these patches.
        frames: (V,) frame of the scene that each view was made of.
    """

    inputs: HeadInputs
    geometry: FrameGeometry
    frames: NDArray[np.intp]


def frame_inputs(network: CompactEncoder, scene: SceneFrames, num_threads: int = 1) -> HeadInputs:
    """All patches of the frames as they are, `num_threads` frames at a time."""
    with ThreadPoolExecutor(num_threads) as pool:
        views = list(pool.map(lambda frame: _describe_frame(network, scene, frame), range(len(scene))))
    return _stack(views, rival_patches(_grid(scene)))


def make_training_views(
    network: CompactEncoder,
    scene: SceneFrames,
    settings: ChangedCopiesSettings,
    go_on: GoOn,
    *,
    num_threads: int = 1,
) -> TrainingViews:
    """Each frame as it is, and copies of it with another lens, colour, light and depth noise.

    Args:
        network: whose heads will be trained.
        scene: frames to train on.
        settings: number and kind of copies.
        go_on: asked again and again; when there is no time for more copies, the frames as they are have been done.
        num_threads: views that are made at a time.

    Returns:
        Views by rising number of the copy, then of the frame.
    """
    views: list[tuple[_View, FrameGeometry]] = []
    rivals = rival_patches(_grid(scene))
    total = len(scene) * (1 + settings.num_copies)

    def describe(number: int) -> tuple[_View, FrameGeometry]:
        copy, frame = divmod(number, len(scene))
        return _describe_view(network, scene, frame, copy, settings, rivals)

    with ThreadPoolExecutor(num_threads) as pool:
        while len(views) < total:
            views += pool.map(describe, range(len(views), min(len(views) + num_threads, total)))
            if not go_on(len(views) / total) and len(views) > len(scene):
                break
    return TrainingViews(
        # the rivals are the first patches of each view
        inputs=_stack([view for view, _ in views], torch.arange(len(rivals))),
        geometry=_join([geometry for _, geometry in views]),
        frames=np.arange(len(views)) % len(scene),
    )


@torch.no_grad()
def _describe_frame(network: CompactEncoder, scene: SceneFrames, frame: int) -> _View:
    """All patches of a frame as it is."""
    geometry = scene.geometry([frame])
    return network.head_inputs(scene.image_tensor([frame]), geometry.depth, geometry.intrinsics.float())


@torch.no_grad()
def _describe_view(
    network: CompactEncoder,
    scene: SceneFrames,
    frame: int,
    copy: int,
    settings: ChangedCopiesSettings,
    rivals: Tensor,
) -> tuple[_View, FrameGeometry]:
    """The rivals and some other patches of one view; copy 0 is the frame as it is."""
    generator = make_generator(settings.seed, copy, frame)
    if copy:
        images, geometry = zoomed_frames(scene, [frame], settings.zoom, generator)
        images = augment_photometrically(images, settings.photometric, generator)
        depth = disturb_depth(geometry.depth, settings.depth_noise, generator)
    else:
        images, geometry = scene.image_tensor([frame]), scene.geometry([frame])
        depth = geometry.depth
    values, points = network.head_inputs(images, depth, geometry.intrinsics.float())
    drawn = torch.randperm(points.shape[1], generator=generator)
    patches = torch.cat([rivals, drawn[~torch.isin(drawn, rivals)][: settings.num_patches]])
    some = FrameGeometry(
        points_world=geometry.points_world[:, patches],
        depth=geometry.depth,
        intrinsics=geometry.intrinsics,
        T_camera_world=geometry.T_camera_world,
    )
    return (tuple(value[:, patches] for value in values), points[:, patches]), some


def _grid(scene: SceneFrames) -> tuple[int, int]:
    """(rows, cols) of the patches of a scene's frames."""
    return scene.images.shape[1] // PATCH_SIZE, scene.images.shape[2] // PATCH_SIZE


def _stack(views: Sequence[_View], rivals: Tensor) -> HeadInputs:
    """All views as one."""
    values = zip(*(values for values, _ in views), strict=True)
    return HeadInputs(
        # half precision halves the memory of some hundred MB
        values=tuple(torch.cat([one.half() for one in of_radius]) for of_radius in values),
        points_camera=torch.cat([points for _, points in views]),
        rivals=rivals,
    )


def _join(geometries: Sequence[FrameGeometry]) -> FrameGeometry:
    """All frames of several geometries."""
    return FrameGeometry(
        points_world=torch.cat([one.points_world for one in geometries]),
        depth=torch.cat([one.depth for one in geometries]),
        intrinsics=torch.cat([one.intrinsics for one in geometries]),
        T_camera_world=torch.cat([one.T_camera_world for one in geometries]),
    )
