# SPDX-License-Identifier: Apache-2.0
"""Boxes around primitives and objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural.scene import Primitive, SceneObject, Shape, rotation_from_rpy
from xover_core.geometry.transforms import make_pose
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


def primitive_extent(primitive: Primitive, T_frame_object: Mat4 | None = None) -> tuple[Float64Array, Float64Array]:
    """((3,), (3,)) exact axis-aligned bounds of a primitive, in its object's frame or in the one given."""
    pose = np.eye(4) if T_frame_object is None else T_frame_object
    rotation = pose[:3, :3] @ rotation_from_rpy(primitive.rpy)
    half = np.asarray(primitive.half_size)
    if primitive.shape is Shape.BOX:
        reach = np.abs(rotation) @ half
    elif primitive.shape is Shape.ELLIPSOID:
        reach = np.sqrt((rotation**2) @ half**2)
    else:
        reach = np.hypot(rotation[:, 0] * half[0], rotation[:, 1] * half[1]) + np.abs(rotation[:, 2]) * half[2]
    center = pose[:3, :3] @ np.asarray(primitive.center) + pose[:3, 3]
    return center - reach, center + reach


def primitive_corners(primitive: Primitive) -> Float64Array:
    """(8, 3) corners of the box around a primitive along its own axes, in its object's frame."""
    local = _CORNER_SIGNS * np.asarray(primitive.half_size)
    return np.asarray(local @ rotation_from_rpy(primitive.rpy).T + np.asarray(primitive.center))


def local_extent(scene_object: SceneObject) -> tuple[Float64Array, Float64Array]:
    """((3,), (3,)) bounds of an object in its own frame."""
    return _joint_extent(scene_object, np.eye(4))


def object_boxes(scene_object: SceneObject) -> ObjectBoxes:
    """Axis-aligned and oriented box of an object."""
    T_map_object = scene_object.T_map_object
    lower_map, upper_map = _joint_extent(scene_object, T_map_object)
    lower, upper = local_extent(scene_object)
    middle = T_map_object[:3, :3] @ ((lower + upper) / 2) + T_map_object[:3, 3]
    return ObjectBoxes(
        object_id=scene_object.object_id,
        lower_map=lower_map,
        upper_map=upper_map,
        T_map_box=make_pose(T_map_object[:3, :3], middle),
        half_size=(upper - lower) / 2,
    )


def _joint_extent(scene_object: SceneObject, T_frame_object: Mat4) -> tuple[Float64Array, Float64Array]:
    extents = [primitive_extent(p, T_frame_object) for p in scene_object.primitives]
    return np.min([e[0] for e in extents], axis=0), np.max([e[1] for e in extents], axis=0)
