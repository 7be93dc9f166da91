# SPDX-License-Identifier: Apache-2.0
"""The labelled points of a 3RScan scan, and their colours.

`labels.instances.annotated.v2.ply` has the object of each vertex (`objectId`) in the scan's own frame,
`labels.instances.align.annotated.v2.ply`, which people make of it with other projects, in the frame of the reference.
The first is enough. Its colours say which label a vertex has; what the camera saw is on the texture
(`mesh.refined_0.png`) of `mesh.refined.v2.obj`. `semseg.v2.json` says what each object is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xover_core.datasets.image_files import read_color
from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.obj_mesh import read_obj_mesh
from xover_core.datasets.ply_file import read_ply_vertices
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import invert, transform_points
from xover_core.types import Float32Array, Mat4

LABEL_FILE, ALIGNED_FILE = "labels.instances.annotated.v2.ply", "labels.instances.align.annotated.v2.ply"
LABELS_PATTERN = "labels.instances*annotated.v2.ply"
_NAMES_FILE, _MESH_FILE, _TEXTURE_FILE = "semseg.v2.json", "mesh.refined.v2.obj", "mesh.refined_0.png"
_UNKNOWN_COLOR = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan3rPoints:
    """Vertices of a scan in the frame of the reference.

    Attributes:
        points: (N, 3) float32.
        colors: (N, 3) uint8; grey where nobody knows.
        instance: (N,) int32, 0 = none.
    """

    points: Float32Array
    colors: NDArray[np.uint8]
    instance: NDArray[np.int32]


def read_points(folder: Path, T_place_scan: Mat4, *, use_label_colors: bool) -> Scan3rPoints:
    """Read the vertices from whichever of both files is there.

    Raises:
        DatasetError: neither is, or one of the files is broken.
    """
    path = folder / LABEL_FILE
    is_aligned = not path.is_file()
    vertices = read_ply_vertices(folder / ALIGNED_FILE if is_aligned else path)
    points = vertices.columns("x", "y", "z").astype(np.float64)
    aligned = points if is_aligned else transform_points(T_place_scan, points)
    if use_label_colors:
        colors = vertices.columns("red", "green", "blue").astype(np.uint8)
    else:
        colors = _seen_colors(folder, transform_points(invert(T_place_scan), points) if is_aligned else points)
    instance = vertices.columns("objectId")[:, 0].astype(np.int32)
    return Scan3rPoints(points=aligned.astype(np.float32), colors=colors, instance=instance)


def read_names(folder: Path, scan_id: str, all_names: dict[str, dict[int, str]]) -> dict[int, str]:
    """Noun of each object, from the scan's own file, else from that of all scans; none when both do not know it.

    Raises:
        DatasetError: a file that is there is broken.
    """
    path = folder / _NAMES_FILE
    if not path.is_file():
        return all_names.get(scan_id, {})
    content = read_json(path)
    with expecting(path, "segGroups with objectId and label"):
        return {int(group["objectId"]): str(group["label"]) for group in content["segGroups"]}


def read_all_names(path: Path | None) -> dict[str, dict[int, str]]:
    """Noun of each object of each scan, from 3DSSG's `objects.json`; none without the file.

    Raises:
        DatasetError: it is another one.
    """
    if path is None:
        return {}
    content = read_json(path)
    with expecting(path, "scans with objects that have id and label"):
        return {
            str(scan["scan"]): {int(entry["id"]): str(entry["label"]) for entry in scan["objects"]}
            for scan in content["scans"]
        }


def _seen_colors(folder: Path, points: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(N, 3) colours of the textured mesh at its vertices nearest to points in the scan's own frame."""
    mesh_path, texture_path = folder / _MESH_FILE, folder / _TEXTURE_FILE
    colors = np.full((len(points), 3), _UNKNOWN_COLOR, np.uint8)
    if not mesh_path.is_file() or not texture_path.is_file():
        return colors
    mesh, texture = read_obj_mesh(mesh_path), read_color(texture_path)
    has_place = np.isfinite(mesh.texture_points).all(axis=1)
    if not has_place.any():
        raise DatasetError(f"{mesh_path}: expected a mesh with places on its texture (rows vt), got none.")
    height, width = texture.shape[:2]
    places = mesh.texture_points[has_place] % 1.0
    u = np.clip((places[:, 0] * width).astype(np.intp), 0, width - 1)
    v = np.clip(((1.0 - places[:, 1]) * height).astype(np.intp), 0, height - 1)
    nearest = cKDTree(mesh.vertices[has_place]).query(points)[1]
    return np.asarray(texture[v, u][nearest], dtype=np.uint8)
