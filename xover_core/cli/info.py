# SPDX-License-Identifier: Apache-2.0
"""`xover info`: what is installed here; `xover info MAP`: what a map file holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers

if TYPE_CHECKING:
    from xover_core.landmark_map.landmark_map import LandmarkMap
    from xover_core.types import Landmarks


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "info",
        help="show what is installed here, or what a map file holds",
        description="Show what is installed here and what runs the models; with MAP, what a map file holds.",
    )
    parser.add_argument("map", metavar="MAP", type=Path, nargs="?", help="map file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is asked for, a line for each thing."""
    if args.map is None:
        from xover_core.cli.installation import installation_rows

        rows = installation_rows()
    else:
        rows = _map_rows(args.map)
    width = max(len(what) for what, _ in rows)
    print("\n".join(f"{what:<{width}}  {value}".rstrip() for what, value in rows))
    return 0


def _map_rows(path: Path) -> list[tuple[str, str]]:
    """Header, model, counts and scenes of a map file."""
    from xover_core.landmark_map.map_storage import MapStorage

    with MapStorage.open(path, read_only=True) as storage:
        content = storage.load()
    header, model = content.header, content.header.model
    radii = ", ".join(f"{r:g}" for r in model.radii)
    rows = [
        ("map", f"{header.map_id}, revision {header.revision}, schema {header.schema_version}"),
        ("frame", header.frame_id),
        ("size", f"{content.size_bytes / 1e6:.1f} MB"),
        ("model", f"{model.name}, {model.descriptor_dim} values, radii {radii} m, checksum {model.checksum[:16]}"),
        ("scene model", _describe_scene_model(content)),
        ("keyframes", str(len(content.keyframes))),
        ("landmarks", _describe_landmarks(content.landmarks)),
        ("scenes", str(len(content.scenes))),
    ]
    for scene in content.scenes:
        num = sum(k.scene_id == scene.scene_id for k in content.keyframes)
        x, y, z = scene.center_map
        rows.append((f"  {scene.name}", f"{num} keyframes around ({x:.1f}, {y:.1f}, {z:.1f}) m"))
    return rows


def _describe_scene_model(content: LandmarkMap) -> str:
    """Whose embeddings the scenes have."""
    model = content.header.scene_model
    if model is None:
        return "none; `xover scene refresh` embeds the scenes"
    return f"{model.name}, {len(content.scene_embeddings)} embeddings, checksum {model.checksum[:16]}"


def _describe_landmarks(landmarks: Landmarks) -> str:
    """How many, and how well their embeddings find their own patches again."""
    if not len(landmarks):
        return "0"
    import numpy as np

    tenth, middle, ninth = np.quantile(landmarks.scores, (0.1, 0.5, 0.9))
    return (
        f"{len(landmarks)}, smooth AP {landmarks.scores.mean():.2f} in the mean,"
        f" {tenth:.2f} / {middle:.2f} / {ninth:.2f} at 10 / 50 / 90 %"
    )
