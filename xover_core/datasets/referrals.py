# SPDX-License-Identifier: Apache-2.0
"""Sentences of SceneVerse about objects of scans: `ssg_ref_rel2_template.json`.

A list of entries with `scan_id`, `target_id` and `utterance` ("the chair that is next to the desk"). For ScanNet
`target_id` is the `objectId` of the scan's aggregation, which counts from 0; for 3RScan it is the id of the instance.

See https://scene-verse.github.io/.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from xover_core.datasets.json_file import expecting, read_json
from xover_core.datasets.scan_tree import find_file

REFERRALS_FILE = "ssg_ref_rel2_template.json"


class Referrals:
    """The sentences of all scans of a data set, read with the first question. No file: no sentences."""

    def __init__(self, path: Path | None, *, first_id: int) -> None:
        """Remember where to read.

        Args:
            path: the file, or None when the data set has none.
            first_id: object id that `target_id` 0 stands for.
        """
        self._path = path
        self._first_id = first_id
        self._entries: dict[str, list[tuple[int, str]]] | None = None

    def by_object(self, scan_id: str) -> dict[int, tuple[str, ...]]:
        """Sentences of one scan by the object that they are about, in the order of the file.

        Raises:
            DatasetError: the file is no list of referrals.
        """
        sentences: dict[int, tuple[str, ...]] = {}
        for object_id, sentence in self._of(scan_id):
            sentences[object_id] = (*sentences.get(object_id, ()), sentence)
        return sentences

    def draw(self, scan_id: str, count: int, seed: int) -> tuple[str, ...]:
        """At most `count` sentences of one scan, drawn at random but always the same for a scan and seed.

        Raises:
            DatasetError: the file is no list of referrals.
        """
        entries = self._of(scan_id)
        generator = np.random.default_rng((seed, zlib.crc32(scan_id.encode())))
        chosen = generator.choice(len(entries), size=min(count, len(entries)), replace=False) if entries else ()
        return tuple(entries[index][1] for index in chosen)

    def _of(self, scan_id: str) -> list[tuple[int, str]]:
        """Object id and sentence of each referral of a scan."""
        if self._entries is None:
            self._entries = self._read(self._path) if self._path else {}
        return self._entries.get(scan_id, [])

    def _read(self, path: Path) -> dict[str, list[tuple[int, str]]]:
        """Of all scans."""
        entries: dict[str, list[tuple[int, str]]] = defaultdict(list)
        rows = read_json(path)
        with expecting(path, "a list of entries with scan_id, target_id and utterance"):
            for row in rows:
                entries[str(row["scan_id"])].append((int(row["target_id"]) + self._first_id, str(row["utterance"])))
        return dict(entries)


def find_referrals(root: Path, *, first_id: int) -> Referrals:
    """The sentences of a data set: the file in its root, in `files/`, or in `sceneverse/` of either."""
    return Referrals(find_file(root, REFERRALS_FILE), first_id=first_id)
