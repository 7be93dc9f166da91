# SPDX-License-Identifier: Apache-2.0
"""CAD models of the objects in a ScanNet scan: Scan2CAD's alignments and ShapeNet's meshes.

`full_annotations.json` is a list with an entry for each scan: `id_scan`, `trs` (from the mesh to the annotators' world)
and `aligned_models`, each with `catid_cad`, `id_cad` and `trs` (from the CAD model to that world). A `trs` has
`translation`, `rotation` (quaternion w x y z) and `scale`, applied in the order scale, rotation, translation.

It does not say which object of ScanNet a model stands for; that is the one whose box agrees best, as in CrossOver. See
https://github.com/skanti/Scan2CAD.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.obj_mesh import read_obj_mesh, sample_surface
from xover_core.datasets.scan_tree import find_file, find_folder
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import rotation_from_quaternion, transform_points
from xover_core.types import Float32Array, Float64Array, Mat4

_ANNOTATION_FILES = ("scan2cad_full_annotations.json", "full_annotations.json")
_SHAPENET_FOLDERS = ("ShapeNetCore.v2", "shapenet", "ShapeNet")


@dataclass(frozen=True, slots=True, kw_only=True)
class CadPlacement:
    """A model in a scan.

    Attributes:
        category_id: of ShapeNet, such as "03001627".
        model_id: of ShapeNet.
        T_mesh_cad: (4, 4) with scale, from the model to ScanNet's mesh as published.
    """

    category_id: str
    model_id: str
    T_mesh_cad: Mat4


class Scan2Cad:
    """Models of all scans; none where annotations or meshes are missing. Files are read when they are needed."""

    def __init__(self, annotations: Path | None, shapenet: Path | None) -> None:
        """Remember where to read."""
        self._annotations = annotations
        self._shapenet = shapenet
        self._entries: dict[str, tuple[CadPlacement, ...]] | None = None

    def placements(self, scan_id: str) -> tuple[CadPlacement, ...]:
        """Models of a scan.

        Raises:
            DatasetError: the annotations are not Scan2CAD's.
        """
        if self._entries is None:
            self._entries = _read_annotations(self._annotations) if self._annotations else {}
        return self._entries.get(scan_id, ())

    def point_sets(self, scan_id: str, T_scan_mesh: Mat4, count: int, seed: int) -> list[Float32Array]:
        """(count, 3) points in the scan's frame on each model of a scan; none without ShapeNet.

        A model that ShapeNet's folder does not have is left out.

        Raises:
            DatasetError: annotations or a mesh that cannot be read.
        """
        if self._shapenet is None:
            return []
        generator = np.random.default_rng(seed)
        sets = []
        for placement in self.placements(scan_id):
            path = self._shapenet / placement.category_id / placement.model_id / "models" / "model_normalized.obj"
            if path.is_file():
                points = sample_surface(read_obj_mesh(path), count, generator)
                sets.append(transform_points(T_scan_mesh @ placement.T_mesh_cad, points).astype(np.float32))
        return sets


def find_scan2cad(root: Path, shapenet: str = "") -> Scan2Cad:
    """Annotations and meshes of a data set.

    Args:
        root: of the data set.
        shapenet: folder of ShapeNet's models; looked for in the root when empty.

    Raises:
        DatasetError: the named folder of ShapeNet does not exist.
    """
    folder = Path(shapenet) if shapenet else find_folder(root, *_SHAPENET_FOLDERS)
    if folder is not None and not folder.is_dir():
        raise DatasetError(f"{folder}: expected ShapeNet's folders of categories, found nothing; check the path.")
    return Scan2Cad(find_file(root, *_ANNOTATION_FILES), folder)


def assign_models(
    point_sets: list[Float32Array], centers: Float64Array, sizes: Float64Array, object_ids: list[int]
) -> dict[int, Float32Array]:
    """Points of the model that stands for an object, by object id.

    A model stands for the object with whose axis-aligned box its own shares most; of several models for one object the
    best counts, and a model that shares nothing with any box for none.

    Args:
        point_sets: (P, 3) of each model.
        centers: (M, 3) of the objects' boxes.
        sizes: (M, 3) of them.
        object_ids: M.
    """
    chosen: dict[int, Float32Array] = {}
    best: dict[int, float] = {}
    for points in point_sets:
        overlaps = _box_overlaps(points.min(axis=0), points.max(axis=0), centers - sizes / 2, centers + sizes / 2)
        row = int(np.argmax(overlaps)) if len(overlaps) else -1
        if row >= 0 and overlaps[row] > best.get(object_ids[row], 0.0):
            best[object_ids[row]] = float(overlaps[row])
            chosen[object_ids[row]] = points
    return chosen


def _box_overlaps(lower: Float32Array, upper: Float32Array, lowers: Float64Array, uppers: Float64Array) -> Float64Array:
    """(M,) intersection over union of one box with others."""
    shared = np.prod(np.clip(np.minimum(upper, uppers) - np.maximum(lower, lowers), 0, None), axis=1)
    union = np.prod(upper - lower) + np.prod(uppers - lowers, axis=1) - shared
    return np.asarray(np.where(union > 0, shared / np.where(union > 0, union, 1), 0), dtype=np.float64)


def _read_annotations(path: Path) -> dict[str, tuple[CadPlacement, ...]]:
    """Models of each scan."""
    entries = {}
    scans = read_json(path)
    with expecting(path, "a list of scans with id_scan, trs and aligned_models"):
        for scan in scans:
            T_mesh_world = np.linalg.inv(_matrix(scan["trs"]))
            entries[str(scan["id_scan"])] = tuple(
                CadPlacement(
                    category_id=str(model["catid_cad"]),
                    model_id=str(model["id_cad"]),
                    T_mesh_cad=T_mesh_world @ _matrix(model["trs"]),
                )
                for model in scan["aligned_models"]
            )
    return entries


def _matrix(trs: Any) -> Mat4:
    """(4, 4) of translation, rotation and scale."""
    w, x, y, z = trs["rotation"]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion([x, y, z, w]) * np.array(trs["scale"], dtype=np.float64)
    matrix[:3, 3] = trs["translation"]
    return matrix
