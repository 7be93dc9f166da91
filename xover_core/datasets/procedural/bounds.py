# SPDX-License-Identifier: Apache-2.0
"""Boxes around primitives and objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.scene import Primitive, SceneObject, rotation_from_rpy
from xover_core.types import Float64Array, Mat4

_CORNER_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBoxes:
    """Boxes around one object.

    Attributes:
        object_id: which.
        lower_map: (3,) smallest coordinates of the axis-aligned box in the map.
        upper_map: (3,) largest ones.
        T_map_box: (4, 4) pose of the oriented box: its middle, turned like the object.
        half_size: (3,) of the oriented box.
    """

    object_id: int
    lower_map: Float64Array
    upper_map: Float64Array
    T_map_box: Mat4
    half_size: Float64Array


def primitive_extent(primitive: Primitive) -> tuple[Float64Array, Float64Array]:
    """((3,), (3,)) exact axis-aligned bounds of a primitive in its object's frame."""
    rotation = rotation_from_rpy(primitive.rpy)
    half = np.asarray(primitive.half_size)
    if primitive.shape == 0:
        reach = np.abs(rotation) @ half
    elif primitive.shape == 2:
        reach = np.sqrt((rotation**2) @ half**2)
    else:
        reach = np.hypot(rotation[:, 0] * half[0], rotation[:, 1] * half[1]) + np.abs(rotation[:, 2]) * half[2]
    center = np.asarray(primitive.center)
    return center - reach, center + reach


def primitive_corners(primitive: Primitive) -> Float64Array:
    """(8, 3) corners of the box around a primitive along its own axes, in its object's frame."""
    local = _CORNER_SIGNS * np.asarray(primitive.half_size)
    return np.asarray(local @ rotation_from_rpy(primitive.rpy).T + np.asarray(primitive.center))


def local_extent(scene_object: SceneObject) -> tuple[Float64Array, Float64Array]:
    """((3,), (3,)) bounds of an object in its own frame."""
    extents = [primitive_extent(p) for p in scene_object.primitives]
    return np.min([e[0] for e in extents], axis=0), np.max([e[1] for e in extents], axis=0)


def object_boxes(scene_object: SceneObject) -> ObjectBoxes:
    """Axis-aligned and oriented box of an object."""
    lower, upper = local_extent(scene_object)
    T_map_box = scene_object.T_map_object
    T_map_box[:3, 3] += T_map_box[:3, :3] @ ((lower + upper) / 2)
    half = (upper - lower) / 2
    reach = np.abs(T_map_box[:3, :3]) @ half
    return ObjectBoxes(
        object_id=scene_object.object_id,
        lower_map=T_map_box[:3, 3] - reach,
        upper_map=T_map_box[:3, 3] + reach,
        T_map_box=T_map_box,
        half_size=half,
    )
