# SPDX-License-Identifier: Apache-2.0
"""`3RScan.json`: which scans are of one place, how a rescan lies in the frame of the reference, and what moved.

A list of places, each with `reference` (id of the first scan), `type` (split), `scans`, the rescans, and `ambiguity`
(objects that look alike), which is not read. A rescan has `reference` (its own id), `transform` (to the reference's
frame), and `rigid`, the objects that were moved, each with `instance_reference`, `instance_rescan` and `transform`; in
the test split these are bare ids. Transforms are sixteen numbers, column by column, in metres, whatever the data set's
FAQ says of millimetres.

The `transform` of an object takes it from where the reference's frame has it to where the rescan's own frame has it, so
it holds the way between both frames too; only together with the rescan's `transform` it says how far the object moved.

See https://github.com/WaldJohannaU/3RScan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.matrix_file import rigid_pose
from xover_core.geometry.transforms import invert, rotation_angle
from xover_core.types import Float64Array, Mat4

METADATA_FILE = "3RScan.json"
_MIN_ROTATION, _MIN_TRANSLATION = np.deg2rad(1.0), 0.05  # rad, m; CrossOver's thresholds of "moved"
_SPLITS = {"val": "validation"}  # of lists of scans -> of the metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan3rEntry:
    """One scan.

    Attributes:
        place_id: id of the reference scan of the place.
        split: train, validation or test.
        T_place_scan: (4, 4) from the scan's own frame to that of the reference.
        motions: for each object that was taken elsewhere, by its id in this scan, its (4, 4) motion in the frame of the
            reference.
    """

    place_id: str
    split: str
    T_place_scan: Mat4
    motions: Mapping[int, Mat4]

    def moved_ids(self, centers: Mapping[int, Float64Array]) -> frozenset[int]:
        """Objects that turned by more than 1 deg or whose centre moved by more than 5 cm.

        Args:
            centers: (3,) of the objects of this scan in the frame of the reference; an object that is not there, by
                annotation or since it was carried out, is not counted.
        """
        return frozenset(i for i, motion in self.motions.items() if i in centers and _is_moved(motion, centers[i]))

    def is_in_split(self, split: str) -> bool:
        """Whether the scan is of a split, by its short name or its own."""
        return self.split in (split, _SPLITS.get(split))


def read_metadata(path: Path) -> dict[str, Scan3rEntry]:
    """All scans by their id.

    Raises:
        DatasetError: the file is missing or another one, or a transform is none.
    """
    entries: dict[str, Scan3rEntry] = {}
    places = read_json(path)
    with expecting(path, "a list of places with reference, type and scans"):
        for place in places:
            reference, split = str(place["reference"]), str(place.get("type", ""))
            entries[reference] = Scan3rEntry(place_id=reference, split=split, T_place_scan=np.eye(4), motions={})
            for rescan in place.get("scans") or []:
                scan_id = str(rescan["reference"])
                T_place_scan = _transform(rescan.get("transform"), f"{path} scan {scan_id}")
                entries[scan_id] = Scan3rEntry(
                    place_id=reference,
                    split=split,
                    T_place_scan=T_place_scan,
                    motions=_motions(rescan.get("rigid") or [], T_place_scan, f"{path} scan {scan_id}"),
                )
    return entries


def _is_moved(motion: Mat4, center: Float64Array) -> bool:
    """Whether a motion that ended with the object's centre at a place is more than noise."""
    start = invert(motion) @ np.append(center, 1.0)
    is_turned = rotation_angle(motion[:3, :3]) > _MIN_ROTATION
    return bool(is_turned or np.linalg.norm(center - start[:3]) > _MIN_TRANSLATION)


def _motions(rigid: list[Any], T_place_scan: Mat4, where: str) -> dict[int, Mat4]:
    """Motion of each moved object; entries of the test split are bare ids and say nothing of it."""
    return {
        int(entry["instance_rescan"]): T_place_scan @ _transform(entry["transform"], f"{where} object")
        for entry in rigid
        if isinstance(entry, dict)
    }


def _transform(numbers: Any, where: str) -> Mat4:
    """(4, 4) of sixteen numbers, column by column; the identity where the data set gives none."""
    if numbers is None:
        return np.eye(4)
    return rigid_pose(np.array(numbers, dtype=np.float64).reshape(4, 4).T, where)
