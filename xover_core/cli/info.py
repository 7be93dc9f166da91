# SPDX-License-Identifier: Apache-2.0
"""`xover info`: what is installed here; `xover info MAP`: what a map file holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers

if TYPE_CHECKING:
    from xover_core.landmark_map.landmark_blocks import LandmarkBlocks
    from xover_core.landmark_map.landmark_map import LandmarkMap


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
    import numpy as np

    from xover_core.config import RetrievalSettings
    from xover_core.landmark_map.lazy_keyframes import find_table
    from xover_core.landmark_map.map_reader import open_map

    content = open_map(path, RetrievalSettings())
    header, model = content.header, content.header.model
    radii = ", ".join(f"{r:g}" for r in model.radii)
    rows = [
        ("map", f"{header.map_id}, revision {header.revision}, schema {header.schema_version}"),
        ("frame", header.frame_id),
        ("size", f"{content.size_bytes / 1e6:.1f} MB"),
        ("model", f"{model.name}, {model.descriptor_dim} values, radii {radii} m, checksum {model.checksum[:16]}"),
        ("scene model", _describe_scene_model(content)),
        ("keyframes", str(len(content.keyframes))),
        ("landmarks", _describe_landmarks(content.blocks)),
        ("scenes", str(len(content.scenes))),
    ]
    ids, counts = np.unique(find_table(content.keyframes).scene_ids, return_counts=True)
    keyframes = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    for scene in content.scenes:
        x, y, z = scene.center_map
        num = keyframes.get(scene.scene_id, 0)
        rows.append((f"  {scene.name}", f"{num} keyframes around ({x:.1f}, {y:.1f}, {z:.1f}) m"))
    return rows


def _describe_scene_model(content: LandmarkMap) -> str:
    """Whose embeddings the scenes have."""
    model = content.header.scene_model
    if model is None:
        return "none; `xover scene refresh` embeds the scenes"
    return f"{model.name}, {len(content.scene_embeddings)} embeddings, checksum {model.checksum[:16]}"


def _describe_landmarks(blocks: LandmarkBlocks) -> str:
    """How many, and how well their embeddings find their own patches again."""
    if not len(blocks):
        return "0"
    import numpy as np

    # scene by scene: all landmarks of a large map together take GBs
    scores = np.concatenate([blocks.of_scene(scene_id).scores for scene_id in blocks.counts])
    tenth, middle, ninth = np.quantile(scores, (0.1, 0.5, 0.9))
    return (
        f"{len(blocks)}, smooth AP {scores.mean():.2f} in the mean,"
        f" {tenth:.2f} / {middle:.2f} / {ninth:.2f} at 10 / 50 / 90 %"
    )
