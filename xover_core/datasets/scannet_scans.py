# SPDX-License-Identifier: Apache-2.0
"""ScanNet with Scan2CAD, ShapeNet, SceneCAD and SceneVerse as scans of scenes.

Needed of a scan is `<scan>_vh_clean_2.ply`. What else is there is read: objects, kind of room, pictures, CAD models,
layout, sentences. docs/scene-datasets.md describes the folders. The scans of a place (`scene0000_00`, `scene0000_01`)
were annotated one by one: they share neither frame nor object ids.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.ply_file import PlyVertices, read_ply_vertices
from xover_core.datasets.referrals import find_referrals
from xover_core.datasets.scan2cad import assign_models, find_scan2cad
from xover_core.datasets.scan_floorplan import draw_scan_floorplan, read_layout_edges
from xover_core.datasets.scan_objects import make_objects
from xover_core.datasets.scan_tree import (
    ScanReadingSettings,
    choose_scans,
    find_file,
    find_folder,
    read_scan_list,
    scan_folders,
)
from xover_core.datasets.scan_views import PointLabels, ScanViews
from xover_core.datasets.scannet_annotation import (
    FIRST_OBJECT_ID,
    ScanNetAnnotation,
    ScanNetFacts,
    read_annotation,
    read_facts,
)
from xover_core.datasets.scannet_views import has_frames, open_scannet_frames
from xover_core.datasets.scene_scan import ScanFloorplan, ScanObject, ScanView, SceneScan
from xover_core.errors import DatasetError
from xover_core.geometry.transforms import transform_points
from xover_core.types import Float32Array

_MESH = "_vh_clean_2.ply"
_FRAME_STEP = 5
_WALL_LABEL = "wall"
_LAYOUT_FOLDERS = ("scannet_planes", "scenecad", "layout")


def is_scannet_tree(root: Path) -> bool:
    """Whether a folder holds scans of ScanNet."""
    return bool(scan_folders(root, f"*{_MESH}"))


class ScanNetScans:
    """Implements `ScanSource`."""

    def __init__(self, root: Path, settings: ScanReadingSettings | None = None) -> None:
        """List the scans.

        Args:
            root: folder with `scans/` and `files/`, or with the scans themselves.
            settings: what is read; the defaults when not given.

        Raises:
            DatasetError: no scans, no list of the split, or a folder of ShapeNet that is not there.
        """
        self._root = root
        self._settings = settings or ScanReadingSettings()
        split_ids = _split_ids(root, self._settings.split)
        self._folders = choose_scans(scan_folders(root, f"*{_MESH}"), root, split_ids)
        self._ids = tuple(self._folders)
        self._referrals = find_referrals(root, first_id=FIRST_OBJECT_ID)
        self._models = find_scan2cad(root, self._settings.shapenet)
        self._layouts = find_folder(root, *_LAYOUT_FOLDERS)

    def __len__(self) -> int:
        """Number of scans."""
        return len(self._ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Such as `scene0000_00`, rising."""
        return self._ids

    def scan(self, index: int) -> SceneScan:
        """Read one scan; its pictures are read when they are asked for.

        Raises:
            DatasetError: its mesh is missing, or something that is there is broken.
        """
        scan_id = self._ids[index]
        folder = self._folders[scan_id]
        facts = read_facts(folder / f"{scan_id}.txt")
        mesh = read_ply_vertices(folder / f"{scan_id}{_MESH}")
        points = transform_points(facts.T_scan_mesh, mesh.columns("x", "y", "z")).astype(np.float32)
        annotation = read_annotation(folder, scan_id, len(points))
        objects = self._objects(scan_id, points, annotation, facts)
        return SceneScan(
            scan_id=scan_id,
            place_id=scan_id.rpartition("_")[0] or scan_id,
            category=facts.category,
            points=points,
            colors=_colors(mesh),
            instance=annotation.instance,
            objects=objects,
            views=self._views(scan_id, points, annotation, facts),
            floorplan=self._floorplan(scan_id, points, annotation, objects, facts),
            sentences=self._referrals.draw(scan_id, self._settings.num_sentences, self._settings.seed),
        )

    def _objects(
        self, scan_id: str, points: Float32Array, annotation: ScanNetAnnotation, facts: ScanNetFacts
    ) -> tuple[ScanObject, ...]:
        """Objects with their sentences and CAD models."""
        objects = make_objects(points, annotation.instance, annotation.labels, self._referrals.by_object(scan_id))
        seed = zlib.crc32(f"{self._settings.seed} {scan_id}".encode())
        sets = self._models.point_sets(scan_id, facts.T_scan_mesh, self._settings.num_cad_points, seed)
        centers = np.array([item.center for item in objects]).reshape(-1, 3)
        sizes = np.array([item.size for item in objects]).reshape(-1, 3)
        models = assign_models(sets, centers, sizes, [item.object_id for item in objects])
        return tuple(dataclasses.replace(item, cad_points=models.get(item.object_id)) for item in objects)

    def _views(
        self, scan_id: str, points: Float32Array, annotation: ScanNetAnnotation, facts: ScanNetFacts
    ) -> Sequence[ScanView]:
        """Pictures, none when there are none."""
        folder = self._folders[scan_id]
        if not has_frames(folder):
            return ()
        labels = PointLabels(points, annotation.instance) if annotation.labels else None
        step = self._settings.frame_step or _FRAME_STEP
        opened = functools.partial(open_scannet_frames, folder, step, labels, facts.T_scan_mesh)
        return ScanViews(opened, scan_id, self._settings)

    def _floorplan(
        self,
        scan_id: str,
        points: Float32Array,
        annotation: ScanNetAnnotation,
        objects: tuple[ScanObject, ...],
        facts: ScanNetFacts,
    ) -> ScanFloorplan | None:
        """A plan from the layout, or from what is labelled as wall; None when there is neither."""
        layout = None if self._layouts is None else self._layouts / f"{scan_id}.json"
        edges = read_layout_edges(layout, facts.T_scan_mesh) if layout is not None and layout.is_file() else None
        walls = [i for i, label in annotation.labels.items() if label == _WALL_LABEL]
        return draw_scan_floorplan(
            edges=edges,
            wall_points=points[np.isin(annotation.instance, walls)],
            models=[item.cad_points for item in objects if item.cad_points is not None],
        )


def _colors(mesh: PlyVertices) -> NDArray[np.uint8]:
    """(N, 3) RGB."""
    return mesh.columns("red", "green", "blue").astype(np.uint8)


def _split_ids(root: Path, split: str) -> tuple[str, ...] | None:
    """Scans of a split; None when none is named."""
    if not split:
        return None
    names = (f"scannetv2_{split}.txt", f"{split}_scans.txt")
    path = find_file(root, *names)
    if path is None:
        raise DatasetError(
            f"{root}: expected {names[0]} there or in files/, found none; it is in Tasks/Benchmark of ScanNet's"
            " repository."
        )
    return read_scan_list(path)
