# SPDX-License-Identifier: Apache-2.0
"""Hand-built apartments and exact rays for the tests of the procedural apartments."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural import Apartment, ObjectClass, RoomType
from xover_core.datasets.procedural.layout import Layout
from xover_core.datasets.procedural.materials import solid
from xover_core.datasets.procedural.scene import (
    Light,
    Lighting,
    Primitive,
    Room,
    SceneObject,
    Shape,
    Texture,
    rotation_from_rpy,
)
from xover_core.geometry.transforms import make_pose
from xover_core.types import CameraIntrinsics, Float64Array, Mat4

SMALL_CAMERA = CameraIntrinsics(fx=70.0, fy=70.0, cx=39.5, cy=29.5, width=80, height=60)
MATERIAL = solid((0.6, 0.5, 0.4))


def primitive(
    shape: Shape,
    center: tuple[float, float, float],
    half_size: tuple[float, float, float],
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Primitive:
    return Primitive(shape=shape, center=center, half_size=half_size, material=MATERIAL, rpy=rpy)


def scene_object(
    object_id: int,
    object_class: ObjectClass,
    position: tuple[float, float, float],
    *parts: Primitive,
    yaw: float = 0.0,
    support_id: int = 0,
) -> SceneObject:
    return SceneObject(
        object_id=object_id, object_class=object_class, room_id=1, position=position, yaw=yaw, primitives=parts,
        support_id=support_id,
    )  # fmt: skip


def hand_built(*objects: SceneObject) -> Apartment:
    """One room of 6 x 4 m without walls, doors or windows, holding only the given objects."""
    room = Room(room_id=1, room_type=RoomType.OFFICE, name="office", lower=(0.0, 0.0), upper=(6.0, 4.0), height=2.5)
    lighting = Lighting(
        lights=(Light(room_id=1, position=(3.0, 2.0, 2.3), color=(3.0, 3.0, 3.0)),),
        ambient=((1, (0.3, 0.3, 0.3)),),
        outside=Texture(kind="outside"),
        outside_brightness=0.5,
    )
    return Apartment(seed=0, layout=Layout(rooms=(room,), openings=()), objects=objects, lighting=lighting)


def look_along(position: tuple[float, float, float], yaw: float, pitch: float = 0.0) -> Mat4:
    """T_map_camera that looks along a heading, `pitch` upwards."""
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    return make_pose(np.stack([right, np.cross(forward, right), forward], axis=1), position)


def exact_depths(
    apartment: Apartment, origin: Float64Array, rays: Float64Array
) -> tuple[Float64Array, NDArray[np.int64]]:
    """First hits of (N, 3) rays by textbook formulas in float64: (N,) ray parameters (infinite) and object ids (0)."""
    best, ids = np.full(len(rays), np.inf), np.zeros(len(rays), np.int64)
    for item in apartment.objects:
        pose = item.T_map_object
        for part in item.primitives:
            rotation = pose[:3, :3] @ rotation_from_rpy(part.rpy)
            center = pose[:3, :3] @ part.center + pose[:3, 3]
            o = (origin - center) @ rotation / part.half_size
            d = rays @ rotation / part.half_size
            depth = _enter(part.shape, o, d)
            ids[depth < best] = item.object_id
            best = np.minimum(best, depth)
    return best, ids


def _enter(shape: Shape, o: Float64Array, d: Float64Array) -> Float64Array:
    """Entry into the unit cube, cylinder or sphere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (-1 - o) / d, (1 - o) / d
        slab_in, slab_out = np.minimum(low, high), np.maximum(low, high)
        if shape is Shape.BOX:
            enter, leave = slab_in.max(axis=1), slab_out.min(axis=1)
        else:
            k = 3 if shape is Shape.ELLIPSOID else 2
            a, b, c = (d[:, :k] ** 2).sum(1), d[:, :k] @ o[:k], o[:k] @ o[:k] - 1
            root = np.sqrt(b * b - a * c)
            enter, leave = (-b - root) / a, (-b + root) / a
            if shape is Shape.CYLINDER:
                enter, leave = np.maximum(enter, slab_in[:, 2]), np.minimum(leave, slab_out[:, 2])
        return np.where((enter <= leave) & (enter > 0.02), enter, np.inf)
