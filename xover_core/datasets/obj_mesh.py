# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes in OBJ files: reading them, and points on their surface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError
from xover_core.types import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjMesh:
    """A mesh.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3) rows of `vertices`.
        texture_points: (V, 2) place of each vertex on the texture, origin at its lower left, both in [0, 1]; NaN where
            a vertex has none. Of a vertex with several places one is taken.
    """

    vertices: Float64Array
    faces: NDArray[np.int64]
    texture_points: Float64Array


def read_obj_mesh(path: Path) -> ObjMesh:
    """Read a mesh; faces with more corners are cut into triangles. Materials and normals are passed over.

    Raises:
        DatasetError: the file is missing, has no vertices, or a number in it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the data set complete?") from error
    words = [line.split() for line in lines]
    try:
        vertices = np.array([row[1:4] for row in words if row[:1] == ["v"]], dtype=np.float64).reshape(-1, 3)
        places = np.array([row[1:3] for row in words if row[:1] == ["vt"]], dtype=np.float64).reshape(-1, 2)
        corners = [[_corner(word, len(vertices), len(places)) for word in row[1:]] for row in words if row[:1] == ["f"]]
    except ValueError as error:
        raise DatasetError(f"{path}: expected a mesh in OBJ format, got a row that is none ({error}).") from error
    if not len(vertices):
        raise DatasetError(f"{path}: expected a mesh in OBJ format, got no vertices.")
    triangles = [(face[0], face[i], face[i + 1]) for face in corners for i in range(1, len(face) - 1)]
    table = np.array(triangles, dtype=np.int64).reshape(-1, 3, 2)
    if len(table) and (
        table[:, :, 0].min() < 0 or (table.reshape(-1, 2).max(axis=0) >= (len(vertices), max(len(places), 1))).any()
    ):
        raise DatasetError(f"{path}: a face names a vertex that is not in the file; is it complete?")
    return ObjMesh(
        vertices=vertices, faces=table[:, :, 0], texture_points=_texture_points(table, places, len(vertices))
    )


def sample_surface(mesh: ObjMesh, count: int, generator: np.random.Generator) -> Float64Array:
    """(count, 3) points spread evenly over the area of a mesh; of its vertices when it has no area."""
    corners = mesh.vertices[mesh.faces]
    edges = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    if not areas.sum() > 0:
        return mesh.vertices[generator.integers(len(mesh.vertices), size=count)]
    chosen = generator.choice(len(areas), size=count, p=areas / areas.sum())
    u, v = generator.random((2, count, 1))
    is_outside = u + v > 1  # the other half of the parallelogram is folded back
    u, v = np.where(is_outside, 1 - u, u), np.where(is_outside, 1 - v, v)
    return np.asarray(corners[chosen, 0] + u * edges[chosen, 0] + v * edges[chosen, 1], dtype=np.float64)


def _corner(word: str, num_vertices: int, num_places: int) -> tuple[int, int]:
    """Rows of the vertex and of its texture place (-1 without) in `v`, `v/vt`, `v//vn` or `v/vt/vn`."""
    vertex, _, rest = word.partition("/")
    place = rest.partition("/")[0]
    return _row(vertex, num_vertices), _row(place, num_places) if place else -1


def _row(text: str, count: int) -> int:
    """A number from 1 on, or a negative one that counts from the end, as row."""
    number = int(text)
    return number - 1 if number > 0 else count + number


def _texture_points(table: NDArray[np.int64], places: Float64Array, num_vertices: int) -> Float64Array:
    """(V, 2) texture place of each vertex; NaN without."""
    points = np.full((num_vertices, 2), np.nan)
    pairs = table.reshape(-1, 2)
    pairs = pairs[pairs[:, 1] >= 0]
    points[pairs[:, 0]] = places[pairs[:, 1]]
    return points
