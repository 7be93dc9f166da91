# SPDX-License-Identifier: Apache-2.0
"""`xover query MAP "the room with the red sofa"`: which scene of a map is this?"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers, add_settings_arguments, settings_from
from xover_core.errors import ConfigError

if TYPE_CHECKING:
    from xover_core.localization.scene_finder import SceneQuery
    from xover_core.types import SceneMatch

_DESCRIPTION = """\
Rank the scenes of a map by how well they fit a description in words, a picture, a floorplan or a point cloud; several
of them are weighed together. Prints probability, similarity, scene, and what of the scene spoke loudest."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "query", help="find a scene of a map by text, picture, floorplan or cloud", description=_DESCRIPTION
    )
    parser.add_argument("map", metavar="MAP", type=Path, help="map file")
    parser.add_argument("text", metavar="TEXT", nargs="?", default="", help="description in English")
    parser.add_argument("--image", metavar="FILE", type=Path, help="picture taken in the scene")
    parser.add_argument("--floorplan", metavar="FILE", type=Path, help="drawing of the scene from above")
    parser.add_argument("--pixels-per-m", metavar="X", type=float, help="scale of the floorplan, if it is known")
    parser.add_argument(
        "--cloud",
        metavar="FILE",
        type=Path,
        help=".ply, or .npy of (N, 3) or (N, 6) numbers: x y z in m, z up, red green blue",
    )
    parser.add_argument("--top", metavar="N", type=int, default=10, help="scenes to print (default: 10; 0 = all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_settings_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scenes that fit best."""
    from xover_core.landmark_map.map_reader import open_map
    from xover_core.localization.scene_finder import make_scene_finder

    if args.top < 0:
        raise ConfigError(f"query: expected --top of 0 or more, got {args.top}.")
    query = _query(args)
    settings = settings_from(args)
    landmark_map = open_map(args.map, settings.retrieval)
    matches = make_scene_finder(landmark_map, settings, str(args.map)).find(query, max_matches=None)
    none_of_these = max(0.0, 1.0 - sum(match.probability for match in matches))
    shown = matches[: args.top or None]
    if args.json:
        rows = [dataclasses.asdict(match) for match in shown]
        print(json.dumps({"scenes": rows, "none_of_these": none_of_these}))
    else:
        print(_table(shown, none_of_these))
    return 0


def _query(args: argparse.Namespace) -> SceneQuery:
    """What is asked for.

    Raises:
        ConfigError: nothing is.
        DatasetError: a file that cannot be read.
    """
    from xover_core.datasets.cloud_file import read_cloud
    from xover_core.datasets.image_files import read_color
    from xover_core.encoders.scene_encoder import ColoredPoints
    from xover_core.localization.scene_finder import SceneQuery, frame_of_picture

    cloud = None
    if args.cloud is not None:
        points, colors = read_cloud(args.cloud)
        cloud = ColoredPoints(points=points, colors=colors)
    query = SceneQuery(
        text=args.text,
        frame=None if args.image is None else frame_of_picture(read_color(args.image)),
        floorplan=None if args.floorplan is None else read_color(args.floorplan),
        pixels_per_m=args.pixels_per_m,
        cloud=cloud,
    )
    if not query.modalities:
        raise ConfigError("query: expected a text, --image, --floorplan or --cloud, got none of them.")
    return query


def _table(matches: Sequence[SceneMatch], none_of_these: float) -> str:
    """A line for each scene."""
    lines = ["probability  similarity  scene"]
    for match in matches:
        number = "" if match.name == f"scene {match.scene_id}" else f"scene {match.scene_id}, "
        name = f"{match.name} ({number}by its {match.modality.replace('_', ' ')})"
        lines.append(f"{match.probability:11.3f}  {match.similarity:10.3f}  {name}")
    lines.append(f"{none_of_these:11.3f}              none of these")
    return "\n".join(lines)
