# SPDX-License-Identifier: Apache-2.0
"""`xover scene`: the scenes of a map file: what it knows of them, names, descriptions, floorplans."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers, add_settings_arguments, settings_from
from xover_core.errors import ConfigError, MapFormatError
from xover_core.types import Scene, SceneModality

if TYPE_CHECKING:
    from xover_core.landmark_map.landmark_map import LandmarkMap
    from xover_core.landmark_map.map_storage import MapStorage
    from xover_core.landmark_map.scene_data import SceneSource

_NAME_PARTS = ("building", "floor", "room")
_MODALITIES = ("image", "point_cloud", "floorplan", "text", "cad")
_NO_MODEL = "no scene encoder is set (scene_encoder.model), so it cannot be searched for yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRow:
    """What a map has of a scene.

    Attributes:
        scene_id: its number.
        name: `building/floor/room`, or `scene N`.
        keyframes: how many.
        embedded: keyframes, texts or drawings that the embedding of each modality was made of.
        not_embedded: modalities that users added and no model has embedded yet.
        texts: that users added.
    """

    scene_id: int
    name: str
    keyframes: int
    embedded: dict[str, int]
    not_embedded: list[str]
    texts: list[str]


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb with its own verbs."""
    text = "Show and change what a map knows of its scenes: names, descriptions, floorplans, embeddings."
    parser = subparsers.add_parser("scene", help="describe and name the scenes of a map", description=text)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_list(verbs)
    _add_name(verbs)
    _add_add(verbs)
    _add_refresh(verbs)


def _add_list(verbs: Subparsers) -> None:
    parser = verbs.add_parser("list", help="show the scenes and what each has", description="Show the scenes of a map.")
    parser.add_argument("map", metavar="MAP", type=Path, help="map file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run_list)


def _add_name(verbs: Subparsers) -> None:
    text = "Name a scene; parts that are not given stay."
    parser = verbs.add_parser("name", help="name a scene", description=text)
    _add_scene_arguments(parser)
    for part in _NAME_PARTS:
        parser.add_argument(f"--{part}", metavar="NAME", help='"" clears it')
    parser.set_defaults(run=run_name)


def _add_add(verbs: Subparsers) -> None:
    text = "Tell what a scene is like, in words or by a floorplan, so that it is found by them."
    parser = verbs.add_parser("add", help="add a description or a floorplan to a scene", description=text)
    _add_scene_arguments(parser)
    parser.add_argument("--text", action="append", default=[], help="description in English; may be repeated")
    parser.add_argument("--floorplan", metavar="FILE", type=Path, help="drawing from above; replaces the one before")
    parser.add_argument("--pixels-per-m", metavar="X", type=float, help="scale of the floorplan, if it is known")
    parser.add_argument("--replace", action="store_true", help="forget what was added to the scene before")
    add_settings_arguments(parser)
    parser.set_defaults(run=run_add)


def _add_refresh(verbs: Subparsers) -> None:
    text = "Make all embeddings anew, with the scene encoder of the settings, from images, points, texts, floorplans."
    parser = verbs.add_parser("refresh", help="embed all scenes anew", description=text)
    parser.add_argument("map", metavar="MAP", type=Path, help="map file")
    add_settings_arguments(parser)
    parser.set_defaults(run=run_refresh)


def _add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("map", metavar="MAP", type=Path, help="map file")
    parser.add_argument("scene", metavar="SCENE", help="its number or name, as `xover scene list` shows them")


def run_list(args: argparse.Namespace) -> int:
    """Print a row for each scene."""
    from xover_core.config import RetrievalSettings
    from xover_core.landmark_map.lazy_keyframes import find_table
    from xover_core.landmark_map.map_reader import open_map
    from xover_core.landmark_map.map_storage import MapStorage

    with MapStorage.open(args.map, read_only=True) as storage:
        sources = storage.scenes.read_sources()
    content = open_map(args.map, RetrievalSettings())
    num_keyframes = Counter(find_table(content.keyframes).scene_ids.tolist())
    rows = [_describe(scene, num_keyframes[scene.scene_id], content, sources) for scene in content.scenes]
    print(json.dumps([dataclasses.asdict(row) for row in rows]) if args.json else _table(rows))
    return 0


def run_name(args: argparse.Namespace) -> int:
    """Name a scene."""
    from xover_core.landmark_map.map_storage import MapStorage

    if all(getattr(args, part) is None for part in _NAME_PARTS):
        raise ConfigError("scene name: expected --building, --floor or --room, got none of them.")
    with MapStorage.open(args.map, read_only=False) as storage:
        scene = find_scene(storage, args.scene)
        given = {part: getattr(args, part) for part in _NAME_PARTS}
        names = {part: getattr(scene, part) if name is None else name for part, name in given.items()}
        storage.set_scene_name(scene.scene_id, **names)
        print(f"scene {scene.scene_id}: {find_scene(storage, str(scene.scene_id)).name}")
    return 0


def run_add(args: argparse.Namespace) -> int:
    """Add texts and a floorplan to a scene."""
    from xover_core.datasets.image_files import read_color
    from xover_core.encoders.scene_factory import make_scene_encoder
    from xover_core.landmark_map.map_storage import MapStorage
    from xover_core.landmark_map.scene_data import floorplan_source, text_source
    from xover_core.landmark_map.scene_describer import tell_scene

    if not args.text and args.floorplan is None:
        raise ConfigError("scene add: expected --text or --floorplan, got neither.")
    settings = settings_from(args)
    encoder = make_scene_encoder(settings.scene_encoder, settings.inference)
    with MapStorage.open(args.map, read_only=False) as storage:
        scene = find_scene(storage, args.scene)
        told = [text_source(scene.scene_id, text) for text in args.text]
        if args.floorplan is not None:
            told.append(floorplan_source(scene.scene_id, read_color(args.floorplan), args.pixels_per_m))
        is_embedded = tell_scene(storage, encoder, told, replace=args.replace)
    what = " and ".join(dict.fromkeys(source.modality.value for source in told))
    reason = "" if is_embedded else f"; {_NO_MODEL}" if encoder is None else "; it cannot be searched for yet"
    print(f"{scene.name}: {what} added{reason}")
    return 0


def run_refresh(args: argparse.Namespace) -> int:
    """Embed all scenes anew."""
    from xover_core.cli.progress import stage_progress
    from xover_core.encoders.scene_factory import make_scene_encoder
    from xover_core.landmark_map.map_storage import MapStorage
    from xover_core.landmark_map.scene_describer import refresh_scenes

    settings = settings_from(args)
    encoder = make_scene_encoder(settings.scene_encoder, settings.inference)
    if encoder is None:
        raise ConfigError("scene refresh: setting scene_encoder.model is empty; name a scene encoder.")
    with MapStorage.open(args.map, read_only=False) as storage, stage_progress("describing") as share_done:
        update = refresh_scenes(storage, encoder, settings.mapping, lambda share: share_done("keyframes", share))
    num_scenes = len({embedding.scene_id for embedding in update.embeddings})
    print(
        f"{args.map}: {len(update.embeddings)} embeddings of {num_scenes} scenes by {encoder.model.name},"
        f" from {len(update.views)} keyframes"
    )
    return 0


def find_scene(storage: MapStorage, text: str) -> Scene:
    """The scene of this number or name.

    Raises:
        MapFormatError: there is none, or several have the name.
    """
    scenes = storage.load_scenes()
    fitting = [scene for scene in scenes if text in (str(scene.scene_id), scene.name, scene.room)]
    exact = [scene for scene in fitting if text == str(scene.scene_id)] or fitting
    if len(exact) != 1:
        known = ", ".join(f"{scene.scene_id} ({scene.name})" for scene in scenes) or "none"
        how_many = "no scene" if not exact else f"{len(exact)} scenes"
        raise MapFormatError(f"map {storage.path}: there is {how_many} {text!r}; use a number of these: {known}.")
    return exact[0]


def _describe(scene: Scene, num_keyframes: int, content: LandmarkMap, sources: Sequence[SceneSource]) -> SceneRow:
    """What a map has of a scene."""
    embedded = {e.modality.value: e.num_sources for e in content.scene_embeddings if e.scene_id == scene.scene_id}
    told = [source for source in sources if source.scene_id == scene.scene_id]
    return SceneRow(
        scene_id=scene.scene_id,
        name=scene.name,
        keyframes=num_keyframes,
        embedded=embedded,
        not_embedded=sorted({source.modality.value for source in told} - set(embedded)),
        texts=[source.text for source in told if source.modality is SceneModality.TEXT],
    )


def _table(rows: Sequence[SceneRow]) -> str:
    """The rows as text; a number of sources for each modality that has an embedding, `?` for one without."""
    lines: list[tuple[str, ...]] = [("scene", "name", "keyframes", *_MODALITIES)]
    for row in rows:
        cells = [str(row.embedded.get(name, "?" if name in row.not_embedded else "-")) for name in _MODALITIES]
        lines.append((str(row.scene_id), row.name, str(row.keyframes), *cells))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
    if any(row.not_embedded for row in rows):
        text += "\n? has no embedding yet; `xover scene refresh` makes it"
    return text
