# SPDX-License-Identifier: Apache-2.0
"""Features of many scans: made once into a folder, then held in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from xover_core.datasets.scan_source import ScanSource
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.errors import TrainingError
from xover_core.inference.compact_session import make_compact_session
from xover_core.training.room_features import (
    FEATURES_SUFFIX,
    RoomFeatures,
    extract_features,
    load_features,
    save_features,
)

FEATURES_FOLDER = "features"
"""Folder beside the scans in which their features are kept."""

Progress = Callable[[int, int], None]
"""Called with (scans done, all scans)."""


def extract_missing(scans: ScanSource, directory: Path, progress: Progress | None = None) -> list[Path]:
    """Make the features of those scans that have none in a folder; it can be stopped and called again.

    Args:
        scans: any.
        directory: made when missing.
        progress: called at the start and after each scan.

    Returns:
        The files of all scans, in their order.

    Raises:
        TrainingError: the folder cannot be written, or a scan has no points.
        ModelError: there is no LoCUS model here.
        DatasetError: a scan is damaged.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"features in {directory}: the folder cannot be made, {error}.") from error
    tokenizer = ViewTokenizer(make_compact_session(VIEW_BACKBONE))
    paths = [directory / f"{scan_id}{FEATURES_SUFFIX}" for scan_id in scans.ids]
    for index, path in enumerate(paths):
        if progress:
            progress(index, len(paths))
        if not path.exists():
            save_features(extract_features(scans.scan(index), tokenizer, seed=index), path)
    if progress:
        progress(len(paths), len(paths))
    return paths


class PlaceFeatures:
    """Features in memory, grouped by place: the reference scan first, then its rescans."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the files.

        Raises:
            TrainingError: none are given, or one is damaged.
        """
        if not paths:
            raise TrainingError("features: expected files of at least one scan, got none; make scans to train on.")
        groups: dict[str, list[RoomFeatures]] = {}
        for path in paths:
            features = load_features(path)
            groups.setdefault(features.place_id, []).append(features)
        self._places = [
            tuple(sorted(scans, key=lambda scan: (scan.scan_id != scan.place_id, scan.scan_id)))
            for _, scans in sorted(groups.items())
        ]

    def __len__(self) -> int:
        """Number of places."""
        return len(self._places)

    def place(self, index: int) -> tuple[RoomFeatures, ...]:
        """All scans of a place."""
        return self._places[index]
