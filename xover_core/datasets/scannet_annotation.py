# SPDX-License-Identifier: Apache-2.0
"""What ScanNet says about the mesh of a scan: which vertex is of which object, which way is along the walls.

`<scan>_vh_clean_2.0.010000.segs.json` puts each vertex into a segment, `<scan>.aggregation.json` each segment into an
object with a label, and `<scan>.txt` has the rows `axisAlignment` (sixteen numbers, row by row) and `sceneType`.
Objects are counted from 0 there, and from 1 here and in `instance-filt/`.

See https://github.com/ScanNet/ScanNet#data-organization.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.errors import DatasetError
from xover_core.types import Mat4

FIRST_OBJECT_ID = 1
_ALIGNMENT, _SCENE_TYPE = "axisAlignment", "sceneType"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetAnnotation:
    """Objects of a scan.

    Attributes:
        instance: (N,) int32 object of each vertex, 0 = none.
        labels: noun of each object by its id.
    """

    instance: NDArray[np.int32]
    labels: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetFacts:
    """The file `<scan>.txt`.

    Attributes:
        T_scan_mesh: (4, 4) from the mesh as published to one whose walls run along the axes; the identity without.
        category: kind of room, such as "Living room / Lounge"; empty when the file does not say.
    """

    T_scan_mesh: Mat4
    category: str


def read_annotation(folder: Path, scan_id: str, num_vertices: int) -> ScanNetAnnotation:
    """Objects of a scan; none where it has no annotation, as in the hidden test set.

    Raises:
        DatasetError: one of both files is missing, or they fit neither each other nor the mesh.
    """
    aggregation_path = folder / f"{scan_id}.aggregation.json"
    segments_path = folder / f"{scan_id}_vh_clean_2.0.010000.segs.json"
    if not aggregation_path.is_file() and not segments_path.is_file():
        return ScanNetAnnotation(instance=np.zeros(num_vertices, np.int32), labels={})
    aggregation, segmentation = read_json(aggregation_path), read_json(segments_path)
    with expecting(segments_path, "segIndices, a segment for each vertex"):
        segments = np.array(segmentation["segIndices"], dtype=np.int64)
    object_of: dict[int, int] = {}
    labels: dict[int, str] = {}
    with expecting(aggregation_path, "segGroups with objectId, label and segments"):
        for group in aggregation["segGroups"]:
            object_id = int(group["objectId"]) + FIRST_OBJECT_ID
            labels[object_id] = str(group["label"])
            object_of.update(dict.fromkeys((int(segment) for segment in group["segments"]), object_id))
    if segments.shape != (num_vertices,):
        raise DatasetError(
            f"{segments_path}: expected {num_vertices} segments, one for each vertex of the mesh, got {segments.shape};"
            " is it that of another mesh?"
        )
    known, rows = np.unique(segments, return_inverse=True)
    instance = np.array([object_of.get(int(segment), 0) for segment in known], dtype=np.int32)[rows]
    if labels and not instance.any():
        raise DatasetError(
            f"{aggregation_path}: none of its segments is in {segments_path.name}; is it another mesh's?"
        )
    return ScanNetAnnotation(instance=instance, labels=labels)


def read_facts(path: Path) -> ScanNetFacts:
    """Alignment and kind of room; nothing known when the file is missing.

    Raises:
        DatasetError: the alignment is no rigid transform.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    rows = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    T_scan_mesh = np.eye(4)
    if _ALIGNMENT in rows:
        with expecting(path, f"{_ALIGNMENT} with sixteen numbers"):
            T_scan_mesh = np.array(rows[_ALIGNMENT].split(), dtype=np.float64).reshape(4, 4)
        T_scan_mesh = rigid_pose(T_scan_mesh, f"{path} {_ALIGNMENT}")
    return ScanNetFacts(T_scan_mesh=T_scan_mesh, category=rows.get(_SCENE_TYPE, ""))
