# SPDX-License-Identifier: Apache-2.0
"""What is read of a large map when it is opened: where its keyframes are, and what tells whether a row has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.landmark_map import map_rows
from xover_core.landmark_map.keyframe_table import KeyframeTable

_CHECKSUMS = "k.crc32, d.crc32 FROM keyframe k JOIN descriptors d ON d.keyframe_id = k.keyframe_id AND d.scale = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapIndex:
    """State of a map file at one moment.

    Attributes:
        table: of the keyframes.
        checksums: (K, 2) of each keyframe's row and of its finest descriptors.
        landmark_counts: number of landmarks of each scene that has some.
        block_checksums: of the landmarks of each of these scenes.
    """

    table: KeyframeTable
    checksums: NDArray[np.int64]
    landmark_counts: Mapping[int, int]
    block_checksums: Mapping[int, int]


def read_index(connection: sqlite3.Connection) -> MapIndex:
    """The index of a map; needs a transaction around it."""
    query = f"SELECT k.keyframe_id, k.scene_id, k.T_map_camera, {_CHECKSUMS} ORDER BY k.keyframe_id"
    rows = connection.execute(query).fetchall()
    table = KeyframeTable(
        keyframe_ids=np.array([row[0] for row in rows], np.int64),
        scene_ids=np.array([row[1] for row in rows], np.int64),
        poses=map_rows.from_blob(b"".join(row[2] for row in rows), "<f8", -1, 4, 4),
    )
    blocks = connection.execute(
        "SELECT scene_id, num_landmarks, crc32 FROM landmark_block ORDER BY scene_id"
    ).fetchall()
    return MapIndex(
        table=table,
        checksums=np.array([row[3:] for row in rows], np.int64).reshape(-1, 2),
        landmark_counts={row[0]: row[1] for row in blocks if row[1]},
        block_checksums={row[0]: row[2] for row in blocks},
    )


def read_checksums(connection: sqlite3.Connection, keyframe_id: int) -> tuple[int, int] | None:
    """Checksums of a keyframe as it is now; None when it is gone."""
    row = connection.execute(f"SELECT {_CHECKSUMS} WHERE k.keyframe_id = ?", (keyframe_id,)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def read_block_checksum(connection: sqlite3.Connection, scene_id: int) -> int | None:
    """Checksum of the landmarks of a scene as they are now; None when they are gone."""
    row = connection.execute("SELECT crc32 FROM landmark_block WHERE scene_id = ?", (scene_id,)).fetchone()
    return None if row is None else int(row[0])
