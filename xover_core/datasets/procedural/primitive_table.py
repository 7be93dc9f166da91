# SPDX-License-Identifier: Apache-2.0
"""An apartment's primitives as parallel tensors, which is what the ray caster and the shader work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.bounds import primitive_corners
from xover_core.datasets.procedural.scene import Material, Primitive, SceneObject, rotation_from_rpy


@dataclass(frozen=True, slots=True)
class PrimitiveTable:
    """P primitives; float32 unless said otherwise, map frame, metres.

    Attributes:
        center: (P, 3).
        rotation: (P, 3, 3) R_map_primitive.
        half_size: (P, 3).
        corners: (P, 8, 3) of the box around each.
        shape: (P,) int64, values of `Shape`.
        instance: (P,) int32 object ids.
        semantic: (P,) int16 values of `ObjectClass`.
        room: (P,) int64 index of the room, from 0.
        material: (P,) int64 index into `materials`.
        texture_shift: (P, 3) metres added to local coordinates, so that equal parts don't show equal grain.
        materials: the distinct materials.
    """

    center: Tensor
    rotation: Tensor
    half_size: Tensor
    corners: Tensor
    shape: Tensor
    instance: Tensor
    semantic: Tensor
    room: Tensor
    material: Tensor
    texture_shift: Tensor
    materials: tuple[Material, ...]

    def __len__(self) -> int:
        """Number of primitives P."""
        return len(self.center)


def build_primitive_table(apartment: Apartment, device: str | torch.device) -> PrimitiveTable:
    """Flatten all objects of an apartment."""
    rows = [(o, p, k) for o in apartment.objects for k, p in enumerate(o.primitives)]
    materials = list(dict.fromkeys(p.material for _, p, _ in rows))
    index = {material: i for i, material in enumerate(materials)}
    poses = [_pose(o, p) for o, p, _ in rows]
    corners = [primitive_corners(p) @ o.T_map_object[:3, :3].T + o.position for o, p, _ in rows]

    def floats(values: list[np.ndarray] | list[tuple[float, float, float]]) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)

    def integers(values: list[int], dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=device)

    return PrimitiveTable(
        center=floats([center for _, center in poses]),
        rotation=floats([rotation for rotation, _ in poses]),
        half_size=floats([p.half_size for _, p, _ in rows]),
        corners=floats(corners),
        shape=integers([int(p.shape) for _, p, _ in rows], torch.int64),
        instance=integers([o.object_id for o, _, _ in rows], torch.int32),
        semantic=integers([int(o.object_class) for o, _, _ in rows], torch.int16),
        room=integers([o.room_id - 1 for o, _, _ in rows], torch.int64),
        material=integers([index[p.material] for _, p, _ in rows], torch.int64),
        texture_shift=floats([_texture_shift(o, p, k) for o, p, k in rows]),
        materials=tuple(materials),
    )


def _pose(scene_object: SceneObject, primitive: Primitive) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and centre of a primitive in the map."""
    T_map_object = scene_object.T_map_object
    rotation = T_map_object[:3, :3] @ rotation_from_rpy(primitive.rpy)
    return rotation, T_map_object[:3, :3] @ np.asarray(primitive.center) + T_map_object[:3, 3]


def _texture_shift(scene_object: SceneObject, primitive: Primitive, part: int) -> tuple[float, float, float]:
    """Where a primitive's texture begins; it depends on the object alone, so that grain moves along with it."""
    if primitive.is_world_textured:
        return primitive.center
    key = scene_object.object_id * 31 + part
    return (key * 0.377) % 7.0, (key * 0.731) % 7.0, (key * 0.193) % 7.0
