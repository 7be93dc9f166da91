# SPDX-License-Identifier: Apache-2.0
"""Tables of embeddings by hand, for the protocols of scenes."""

from __future__ import annotations

import numpy as np
from fake_scene_encoder import FakeSceneEncoder

from xover_core.evaluation.protocols.scene_table import (
    EmbeddedScan,
    EmbeddedScans,
    NamedSceneEncoder,
    ScanFacts,
    SceneTable,
    Timing,
)


def make_facts(scan_id, category="", place_id=None, objects=(), moved=()):
    """Facts of a scan with objects {id: label}; its own place where none is given."""
    ids = np.array(list(objects), np.int64)
    return ScanFacts(
        scan_id=scan_id,
        place_id=place_id or scan_id,
        category=category,
        object_ids=ids,
        labels=tuple(dict(objects).values()),
        is_moved=np.isin(ids, list(moved)),
    )


def make_scan(scenes=None, objects=None, views=()):
    """Embeddings by modality; a missing one is missing."""
    as_rows = {m: np.array(rows, np.float32) for m, rows in (objects or {}).items()}
    return EmbeddedScan(
        scenes={m: np.array(v, np.float32) for m, v in (scenes or {}).items()},
        views=np.array(views, np.float32),
        poses=np.tile(np.eye(4), (len(views), 1, 1)),
        texts={},
        objects=as_rows,
    )


def make_table(facts, scans):
    """A table of one encoder."""
    named = NamedSceneEncoder(name="hand", encoder=FakeSceneEncoder())
    embedded = EmbeddedScans(named=named, scans=list(scans), timing=Timing())
    return SceneTable(facts=tuple(facts), by_encoder=(embedded,))
