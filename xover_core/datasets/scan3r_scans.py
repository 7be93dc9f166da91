# SPDX-License-Identifier: Apache-2.0
"""3RScan with SceneVerse as scans of scenes: places that were scanned again after things had been moved.

Needed of a scan are its labelled points, and `3RScan.json` for all. The scans of a place are brought to the frame of
the reference scan here, no matter whether somebody did so before; an object has the same id in all of them. There are
no CAD models, floorplans or kinds of room. docs/scene-datasets.md describes the folders.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from xover_core.datasets.referrals import find_referrals
from xover_core.datasets.scan3r_annotation import (
    LABELS_PATTERN,
    Scan3rPoints,
    read_all_names,
    read_names,
    read_points,
)
from xover_core.datasets.scan3r_metadata import METADATA_FILE, Scan3rEntry, read_metadata
from xover_core.datasets.scan3r_views import has_frames, open_scan3r_frames
from xover_core.datasets.scan_objects import make_objects
from xover_core.datasets.scan_tree import ScanReadingSettings, choose_scans, find_file, scan_folders
from xover_core.datasets.scan_views import PointLabels, ScanViews
from xover_core.datasets.scene_scan import ScanView, SceneScan
from xover_core.errors import DatasetError

_FRAME_STEP = 1
_FIRST_OBJECT_ID = 0  # sentences name objects by their own ids
_NAMES_FILE = "objects.json"


def is_scan3r_tree(root: Path) -> bool:
    """Whether a folder holds scans of 3RScan."""
    return find_file(root, METADATA_FILE) is not None and bool(scan_folders(root, LABELS_PATTERN))


class Scan3rScans:
    """Implements `ScanSource`."""

    def __init__(self, root: Path, settings: ScanReadingSettings | None = None) -> None:
        """List the scans.

        Args:
            root: folder with `scans/` and `files/`, or with the scans themselves.
            settings: what is read; the defaults when not given. Splits are those of `3RScan.json`.

        Raises:
            DatasetError: no scans, no `3RScan.json`, or scans that it does not know.
        """
        self._settings = settings or ScanReadingSettings()
        metadata_path = find_file(root, METADATA_FILE)
        if metadata_path is None:
            raise DatasetError(f"{root}: expected {METADATA_FILE} there or in files/, found none; download it.")
        self._entries = read_metadata(metadata_path)
        folders = scan_folders(root, LABELS_PATTERN)
        unknown = sorted(set(folders) - set(self._entries))
        if unknown:
            raise DatasetError(f"{metadata_path}: does not know {', '.join(unknown[:3])}; is it another data set's?")
        split = self._settings.split
        chosen = tuple(scan_id for scan_id in folders if self._entries[scan_id].is_in_split(split)) if split else None
        self._folders = choose_scans(folders, root, chosen)
        self._ids = tuple(self._folders)
        self._names_path = find_file(root, _NAMES_FILE)
        self._referrals = find_referrals(root, first_id=_FIRST_OBJECT_ID)

    def __len__(self) -> int:
        """Number of scans."""
        return len(self._ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Such as `20c993b5-698f-29c5-85a5-12b8deae78fb`, rising."""
        return self._ids

    def entry(self, index: int) -> Scan3rEntry:
        """What `3RScan.json` says of one scan: place, split, changes, objects that cannot be told apart."""
        return self._entries[self._ids[index]]

    def scan(self, index: int) -> SceneScan:
        """Read one scan; its pictures are read when they are asked for.

        Raises:
            DatasetError: its labelled points are missing, or something that is there is broken.
        """
        scan_id, entry = self._ids[index], self.entry(index)
        folder = self._folders[scan_id]
        data = read_points(folder, entry.T_place_scan, use_label_colors=self._settings.use_label_colors)
        names = read_names(folder, scan_id, self._all_names)
        objects = make_objects(data.points, data.instance, names, self._referrals.by_object(scan_id))
        return SceneScan(
            scan_id=scan_id,
            place_id=entry.place_id,
            category="",
            points=data.points,
            colors=data.colors,
            instance=data.instance,
            objects=objects,
            views=self._views(scan_id, data, entry, names),
            sentences=self._referrals.draw(scan_id, self._settings.num_sentences, self._settings.seed),
            moved_ids=entry.moved_ids({item.object_id: item.center for item in objects}),
        )

    def _views(
        self, scan_id: str, data: Scan3rPoints, entry: Scan3rEntry, names: Mapping[int, str]
    ) -> Sequence[ScanView]:
        """Pictures, none when there are none."""
        folder = self._folders[scan_id]
        if not has_frames(folder):
            return ()
        labels = PointLabels(data.points, data.instance) if names and np.any(data.instance) else None
        step = self._settings.frame_step or _FRAME_STEP
        opened = functools.partial(open_scan3r_frames, folder, step, labels, entry.T_place_scan)
        return ScanViews(opened, scan_id, self._settings)

    @functools.cached_property
    def _all_names(self) -> dict[str, dict[int, str]]:
        """Nouns of all scans, read with the first scan that needs them."""
        return read_all_names(self._names_path)
