# SPDX-License-Identifier: Apache-2.0
"""Renders an apartment: colour, metric depth, object and class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.primitive_table import build_primitive_table
from xover_core.datasets.procedural.ray_caster import Views, cast_rays
from xover_core.datasets.procedural.shading import Shader, tone_map
from xover_core.datasets.procedural.surface import surface_points
from xover_core.errors import BackendUnavailableError
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4, as_pose


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedView:
    """A perfect picture with its ground truth.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 metres along the optical axis, 0 outside the windows.
        instance: (H, W) int32 object ids, 0 outside the windows.
        object_class: (H, W) int16 values of `ObjectClass`.
    """

    rgb: NDArray[np.uint8]
    depth: Float32Array
    instance: NDArray[np.int32]
    object_class: NDArray[np.int16]


class Renderer:
    """Renders one apartment; making it takes about a second, a 320x240 view some tens of milliseconds on two cores."""

    def __init__(self, apartment: Apartment, device: str | torch.device = "cpu") -> None:
        """Put textures, primitives and light onto the device.

        Raises:
            BackendUnavailableError: the device is a GPU that torch cannot use here.
        """
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise BackendUnavailableError(
                f"renderer: expected a device that torch can use, got {device!s} without CUDA; use device='cpu'."
            )
        self._table = build_primitive_table(apartment, device)
        self._shader = Shader(apartment, self._table)

    def render(self, T_map_camera: Mat4, intrinsics: CameraIntrinsics) -> RenderedView:
        """Render the view of a camera (optical frame) at (4, 4) `T_map_camera`.

        Raises:
            GeometryError: the pose is no rigid transform.
        """
        return self.render_batch([T_map_camera], intrinsics)[0]

    def render_batch(self, T_map_camera: Sequence[Mat4], intrinsics: CameraIntrinsics) -> list[RenderedView]:
        """Render several views at once, which keeps a GPU busy; no poses give no views.

        Raises:
            GeometryError: a pose is no rigid transform.
        """
        poses = [as_pose(pose, "T_map_camera") for pose in T_map_camera]
        if not poses:
            return []
        with torch.inference_mode():
            views = self._make_views(np.stack(poses), intrinsics)
            hits = cast_rays(self._table, views)
            points = surface_points(self._table, hits, views)
            radiance = torch.empty((3, len(hits.depth)), device=hits.depth.device)
            radiance[:, points.pixel] = self._shader.shade(points, intrinsics.fx)
            is_outside = hits.primitive < 0
            beyond = torch.nonzero(is_outside)[:, 0]
            if len(beyond):
                radiance[:, beyond] = self._shader.outside(beyond, views)
            row = hits.primitive.clamp_min(0) % len(self._table)
            size = (len(views), views.height, views.width)
            rgb = tone_map(radiance).T.reshape(*size, 3).cpu().numpy()
            depth = hits.depth.masked_fill(is_outside, 0.0).view(size).cpu().numpy()
            instance = self._table.instance[row].masked_fill(is_outside, 0).view(size).cpu().numpy()
            semantic = self._table.semantic[row].masked_fill(is_outside, 0).view(size).cpu().numpy()
        images = zip(rgb, depth, instance, semantic, strict=True)
        return [RenderedView(rgb=r, depth=d, instance=i, object_class=c) for r, d, i, c in images]

    def _make_views(self, T_map_camera: Float64Array, intrinsics: CameraIntrinsics) -> Views:
        """(V, 4, 4) cameras as tensors."""
        device = self._table.center.device

        def tensor(values: Float64Array) -> torch.Tensor:
            return torch.as_tensor(values.astype(np.float32), device=device)

        return Views(
            R_map_camera=tensor(T_map_camera[:, :3, :3]),
            t_map_camera=tensor(T_map_camera[:, :3, 3]),
            matrix=tensor(intrinsics.matrix),
            inverse_matrix=tensor(np.asarray(np.linalg.inv(intrinsics.matrix), dtype=np.float64)),
            width=intrinsics.width,
            height=intrinsics.height,
        )
