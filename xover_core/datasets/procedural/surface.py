# SPDX-License-Identifier: Apache-2.0
"""Where on a primitive each pixel lies: position, normal, and texture coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xover_core.datasets.procedural.primitive_table import PrimitiveTable
from xover_core.datasets.procedural.ray_caster import Hits, View
from xover_core.datasets.procedural.scene import Shape


@dataclass(frozen=True, slots=True)
class SurfacePoints:
    """N visible surface points.

    Attributes:
        pixel: (N,) int64 index into the image, row by row.
        primitive: (N,) int64.
        depth: (N,).
        position: (N, 3) map.
        normal: (N, 3) map, unit length, outward.
        view: (N, 3) map, unit vector from the point to the camera.
        uv_m: (N, 2) texture coordinates in metres.
        uv_face: (N, 2) in [0, 1] over the face.
    """

    pixel: Tensor
    primitive: Tensor
    depth: Tensor
    position: Tensor
    normal: Tensor
    view: Tensor
    uv_m: Tensor
    uv_face: Tensor


def surface_points(table: PrimitiveTable, hits: Hits, view: View) -> SurfacePoints:
    """Evaluate the geometry of all pixels that see a primitive."""
    pixel = torch.nonzero(hits.primitive >= 0)[:, 0]
    primitive, depth = hits.primitive[pixel], hits.depth[pixel]
    rays_pixel = torch.stack([(pixel % view.width).float(), (pixel // view.width).float(), torch.ones_like(depth)], dim=1)
    directions = rays_pixel @ (view.R_map_camera @ view.inverse_matrix).T
    position = view.t_map_camera + directions * depth[:, None]
    rotation, half = table.rotation[primitive], table.half_size[primitive]
    local = ((position - table.center[primitive])[:, :, None] * rotation).sum(1) / half
    normal_local, uv_m, uv_face = _box_faces(local, half, table.texture_shift[primitive])
    is_round = table.shape[primitive] != Shape.BOX
    rows = torch.nonzero(is_round)[:, 0]
    if len(rows):
        is_ellipsoid = table.shape[primitive[rows]] == Shape.ELLIPSOID
        normal_local[rows], uv_m[rows], uv_face[rows] = _round_faces(local[rows], half[rows], is_ellipsoid, uv_m[rows], uv_face[rows])
    normal = (rotation * normal_local[:, None, :]).sum(2)
    to_camera = -directions / directions.norm(dim=1, keepdim=True)
    return SurfacePoints(pixel, primitive, depth, position, normal, to_camera, uv_m, uv_face)


def _box_faces(local: Tensor, half: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normals and coordinates on boxes: u runs to the right and v down for somebody who looks at the face."""
    axis = local.abs().argmax(1, keepdim=True)
    sign = local.gather(1, axis).sign()
    normal = torch.zeros_like(local).scatter_(1, axis, sign)
    u_axis, v_axis = (axis == 0).long(), 2 - (axis == 2).long()
    u_sign = torch.where(axis == 2, 1.0, torch.where(axis == 0, sign, -sign))
    u, v = u_sign * local.gather(1, u_axis), -local.gather(1, v_axis)
    u_m = u * half.gather(1, u_axis) + u_sign * shift.gather(1, u_axis)
    v_m = v * half.gather(1, v_axis) - shift.gather(1, v_axis)
    return normal, torch.cat([u_m, v_m], dim=1), torch.cat([u, v], dim=1) * 0.5 + 0.5


def _round_faces(
    local: Tensor, half: Tensor, is_ellipsoid: Tensor, cap_uv_m: Tensor, cap_uv_face: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same on cylinders and ellipsoids; the caps of a cylinder are as on a box."""
    radial = local[:, :2].norm(dim=1)
    is_cap = ~is_ellipsoid & (local[:, 2].abs() > radial)
    gradient = local / half
    gradient[:, 2] = torch.where(is_ellipsoid, gradient[:, 2], 0.0)
    cap = torch.zeros_like(local)
    cap[:, 2] = local[:, 2].sign()
    normal = torch.where(is_cap[:, None], cap, gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12))
    angle = torch.atan2(local[:, 1], local[:, 0])
    height = torch.where(is_ellipsoid, torch.asin(local[:, 2].clamp(-1, 1)), local[:, 2])
    side_m = torch.stack([angle * half[:, :2].amax(1), -height * half[:, 2]], dim=1)
    extent = torch.where(is_ellipsoid, math.pi / 2, 1.0)
    side_face = torch.stack([angle / (2 * math.pi) + 0.5, 0.5 - 0.5 * height / extent], dim=1)
    uv_m = torch.where(is_cap[:, None], cap_uv_m, side_m)
    return normal, uv_m, torch.where(is_cap[:, None], cap_uv_face, side_face)
