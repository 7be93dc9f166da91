# SPDX-License-Identifier: Apache-2.0
"""`xover protocol scene-retrieval, instance-retrieval, scene-graph-loc, which-place`: about scenes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers, add_topic_arguments, open_recording
from xover_core.cli.protocol_arguments import add_outputs, add_settings, publish, settings_from
from xover_core.evaluation.protocols.scene_protocol_settings import (
    InstanceRetrievalSettings,
    SceneGraphLocSettings,
    SceneProtocolSettings,
    SceneRetrievalSettings,
    WhichPlaceSettings,
)

if TYPE_CHECKING:
    from xover_core.datasets.scan_source import ScanSource
    from xover_core.evaluation.protocols.place_recordings import RecordedPlace
    from xover_core.evaluation.protocols.scene_table import NamedSceneEncoder
    from xover_core.types import RgbdFrame

_SCENE_RETRIEVAL = """\
Scene retrieval as in Tables 2 to 4 of CrossOver: from a scan in one modality to the same scan, its rescan or its kind
of room in another one, for all pairs; with fewer views and sentences, and with each modality missing."""

_INSTANCE_RETRIEVAL = """\
Instance matching as in Table 1 of CrossOver: which object of a scan is this in another modality, and which one is it
after the room was rearranged."""

_SCENE_GRAPH_LOC = """\
A place from a single image, out of 10 or 50: by the protocol of SceneGraphLoc (the same scan, or another one of the
place) and by CrossOver's variant of it (Table E.1)."""

_WHICH_PLACE = """\
Which of a few recorded places a frame shows: places are described from one recording each, and every frame of another
recording of each asks, alone and together with those before it, by colour only and with depth."""

_SCANS = "folder of scan files (`xover scenes`), ScanNet or 3RScan"
_PLACE = "folder that holds two recordings of a place, `map` with poses and `query`; at least two places"


def add_scene_protocols(protocols: Subparsers) -> None:
    """Register the four."""
    parser = protocols.add_parser("scene-retrieval", help="which scene is this", description=_SCENE_RETRIEVAL)
    _add_arguments(parser, SceneRetrievalSettings, "recall by k, pairs of modalities, what views and modalities matter")
    parser.set_defaults(run=run_scene_retrieval)
    parser = protocols.add_parser("instance-retrieval", help="which object is this", description=_INSTANCE_RETRIEVAL)
    _add_arguments(parser, InstanceRetrievalSettings, "pairs of modalities, and how many moved objects are found")
    parser.set_defaults(run=run_instance_retrieval)
    parser = protocols.add_parser("scene-graph-loc", help="a place from one image", description=_SCENE_GRAPH_LOC)
    _add_arguments(parser, SceneGraphLocSettings, "recall by k for every kind of reference")
    parser.set_defaults(run=run_scene_graph_loc)
    parser = protocols.add_parser("which-place", help="a recorded place from frames", description=_WHICH_PLACE)
    parser.add_argument("places", metavar="PLACE_DIR", type=Path, nargs="+", help=_PLACE)
    _add_scene_model(parser)
    add_outputs(parser, "the margin of every frame for every way of asking")
    add_settings(parser, WhichPlaceSettings)
    add_topic_arguments(parser)
    parser.set_defaults(run=run_which_place)


def run_scene_retrieval(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.scene_retrieval import measure_scene_retrieval

    settings = settings_from(args, SceneRetrievalSettings)
    source, model = _open(args, settings)
    encoders = _with_classical(source, model, settings)
    with frame_progress("scene retrieval", "scans") as progress:
        done = measure_scene_retrieval(source, encoders, settings, name=_name(args), progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.scene_retrieval_figure import draw_scene_retrieval

        draw_scene_retrieval(done, args.figure)
    return 0


def run_instance_retrieval(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.instance_retrieval import measure_instance_retrieval
    from xover_core.evaluation.protocols.scene_encoder_choice import color_encoder

    settings = settings_from(args, InstanceRetrievalSettings)
    source, model = _open(args, settings)
    encoders = [model] if settings.no_classical else [model, color_encoder()]
    with frame_progress("instance retrieval", "scans") as progress:
        done = measure_instance_retrieval(source, encoders, settings, name=_name(args), progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.instance_retrieval_figure import draw_instance_retrieval

        draw_instance_retrieval(done, args.figure)
    return 0


def run_scene_graph_loc(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.scene_graph_loc import measure_scene_graph_loc

    settings = settings_from(args, SceneGraphLocSettings)
    source, model = _open(args, settings)
    encoders = _with_classical(source, model, settings)
    with frame_progress("scene graph loc", "scans") as progress:
        report = measure_scene_graph_loc(source, encoders, settings, name=_name(args), progress=progress)
    publish(args, report)
    if args.figure:
        from xover_core.evaluation.protocols.scene_graph_loc_figure import draw_scene_graph_loc

        draw_scene_graph_loc(report, args.figure)
    return 0


def run_which_place(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols import scene_encoder_choice
    from xover_core.evaluation.protocols.place_encoders import NamedViewEncoder, classical_view_encoders
    from xover_core.evaluation.protocols.which_place import measure_which_place

    settings = settings_from(args, WhichPlaceSettings)
    places = [_open_place(path, args) for path in args.places]
    model = scene_encoder_choice.model_encoder(args.scene_model)

    def make_encoders(frames: Sequence[RgbdFrame]) -> list[NamedViewEncoder]:
        classical = [] if settings.no_classical else classical_view_encoders(frames, settings.seed)
        return [NamedViewEncoder(name=model.name, encoder=model.encoder, reads_depth=True), *classical]

    with frame_progress("which place") as progress:
        done = measure_which_place(places, make_encoders, settings, progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.which_place_figure import draw_which_place

        draw_which_place(done, args.figure)
    return 0


def _add_arguments(parser: argparse.ArgumentParser, settings_class: type[SceneProtocolSettings], figure: str) -> None:
    """What to measure on, which model, outputs, settings."""
    parser.add_argument("scans", metavar="SCANS_DIR", type=Path, help=_SCANS)
    _add_scene_model(parser)
    parser.add_argument("--split", metavar="NAME", default="", help="of ScanNet or 3RScan (default: all scans there)")
    add_outputs(parser, figure)
    add_settings(parser, settings_class)


def _add_scene_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scene-model", metavar="NAME", help="scene encoder of models/manifest.yaml (default: the settings')"
    )


def _open(args: argparse.Namespace, settings: SceneProtocolSettings) -> tuple[ScanSource, NamedSceneEncoder]:
    """The scans, and the model."""
    from xover_core.datasets.open_scans import open_scans
    from xover_core.datasets.scan_tree import ScanReadingSettings
    from xover_core.evaluation.protocols import scene_encoder_choice

    reading = ScanReadingSettings(split=args.split, num_views=settings.max_views)
    return open_scans(args.scans, reading), scene_encoder_choice.model_encoder(args.scene_model)


def _open_place(path: Path, args: argparse.Namespace) -> RecordedPlace:
    """The two recordings of a place.

    Raises:
        DatasetError: one is missing or broken.
    """
    from xover_core.evaluation.protocols.place_recordings import MAP_PART, QUERY_PART, RecordedPlace

    mapping, query = (open_recording(path / part, args) for part in (MAP_PART, QUERY_PART))
    return RecordedPlace(name=path.resolve().name, mapping=mapping, query=query)


def _with_classical(
    source: ScanSource, model: NamedSceneEncoder, settings: SceneProtocolSettings
) -> list[NamedSceneEncoder]:
    """The model, and what it is compared with unless that is not wanted."""
    from xover_core.evaluation.protocols import scene_encoder_choice

    return (
        [model] if settings.no_classical else [model, *scene_encoder_choice.classical_encoders(source, settings.seed)]
    )


def _name(args: argparse.Namespace) -> str:
    """Of the data set, for people."""
    return str(args.scans.resolve().name)
