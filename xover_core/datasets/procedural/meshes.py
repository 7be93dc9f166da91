# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes of objects, and points on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.materials import base_color
from xover_core.datasets.procedural.scene import Primitive, SceneObject, Shape, rotation_from_rpy
from xover_core.errors import DatasetError
from xover_core.types import Float32Array, Float64Array

_BOX_VERTICES = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangleMesh:
    """Triangles whose normals point outward by the right-hand rule.

    Attributes:
        vertices: (V, 3) float64 metres, map frame.
        faces: (F, 3) int64 rows of `vertices`.
        colors: (V, 3) uint8 main colour of the material.
    """

    vertices: Float64Array
    faces: NDArray[np.int64]
    colors: NDArray[np.uint8]

    def sample(self, num_points: int, rng: np.random.Generator) -> tuple[Float32Array, NDArray[np.uint8]]:
        """Draw points evenly over the surface: (N, 3) positions in the map and (N, 3) colours."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        face = rng.choice(len(areas), num_points, p=areas / areas.sum())
        r1, r2 = np.sqrt(rng.random((num_points, 1))), rng.random((num_points, 1))
        points = (1 - r1) * a[face] + r1 * (1 - r2) * b[face] + r1 * r2 * c[face]
        return points.astype(np.float32), self.colors[self.faces[face, 0]]


def object_mesh(scene_object: SceneObject, *, segments: int = 24) -> TriangleMesh:
    """Triangulate all parts of an object.

    Args:
        scene_object: any object.
        segments: corners around round parts, at least 3.

    Raises:
        DatasetError: `segments` is below 3.
    """
    if segments < 3:
        raise DatasetError(f"object_mesh: expected at least 3 segments, got {segments}.")
    pose = scene_object.T_map_object
    parts = []
    for primitive in scene_object.primitives:
        vertices, faces = _triangulate(primitive, segments)
        local = vertices * primitive.half_size @ rotation_from_rpy(primitive.rpy).T + primitive.center
        color = np.rint(np.array(base_color(primitive.material)) * 255).astype(np.uint8)
        parts.append((local @ pose[:3, :3].T + pose[:3, 3], faces, np.tile(color, (len(vertices), 1))))
    return _joined(parts)


def join_meshes(meshes: list[TriangleMesh]) -> TriangleMesh:
    """One mesh of several; no meshes give an empty one."""
    return _joined([(m.vertices, m.faces, m.colors) for m in meshes])


def _joined(parts: list[tuple[Float64Array, NDArray[np.int64], NDArray[np.uint8]]]) -> TriangleMesh:
    if not parts:
        return TriangleMesh(
            vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), np.int64), colors=np.zeros((0, 3), np.uint8)
        )
    offsets = np.cumsum([0] + [len(vertices) for vertices, _, _ in parts[:-1]])
    return TriangleMesh(
        vertices=np.concatenate([vertices for vertices, _, _ in parts]),
        faces=np.concatenate([faces + start for (_, faces, _), start in zip(parts, offsets, strict=True)]),
        colors=np.concatenate([colors for _, _, colors in parts]),
    )


def _triangulate(primitive: Primitive, segments: int) -> tuple[Float64Array, NDArray[np.int64]]:
    """Vertices in the unit cube, and faces."""
    if primitive.shape is Shape.BOX:
        return _BOX_VERTICES, _BOX_FACES
    if primitive.shape is Shape.CYLINDER:
        return _revolve(np.array([[1.0, -1.0], [1.0, 1.0]]), segments)
    angles = np.linspace(-np.pi / 2, np.pi / 2, max(segments // 2, 3) + 1)[1:-1]
    return _revolve(np.stack([np.cos(angles), np.sin(angles)], axis=1), segments)


def _revolve(profile: Float64Array, segments: int) -> tuple[Float64Array, NDArray[np.int64]]:
    """Turn a profile of (radius, z) from bottom to top about z, closed by the points (0, -1) and (0, 1)."""
    angles = 2 * np.pi * np.arange(segments) / segments
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [np.column_stack([ring * r, np.full(segments, z)]) for r, z in profile]
    vertices = np.concatenate([*rings, [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]])
    bottom, top = len(vertices) - 2, len(vertices) - 1
    here = np.arange(segments)
    after = (here + 1) % segments
    last = (len(profile) - 1) * segments
    faces = [
        np.stack([np.full(segments, bottom), after, here], axis=1),
        np.stack([last + here, last + after, np.full(segments, top)], axis=1),
    ]
    for low in range(0, last, segments):
        high = low + segments
        faces.append(np.stack([low + here, low + after, high + after], axis=1))
        faces.append(np.stack([low + here, high + after, high + here], axis=1))
    return vertices, np.concatenate(faces)
