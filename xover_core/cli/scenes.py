# SPDX-License-Identifier: Apache-2.0
"""`xover scenes`: make what `xover train` trains on, from procedural apartments or from a recording with poses."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import (
    Subparsers,
    add_own_settings_arguments,
    add_topic_arguments,
    open_recording,
    settings_over,
)
from xover_core.config_io import dump_settings, flatten
from xover_core.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from xover_core.config import Settings
    from xover_core.training.procedural_scenes import ProceduralScenesSettings
    from xover_core.training.recording_scenes import RecordingSceneSettings
    from xover_core.training.room_scans import RoomScansSettings

_DESCRIPTION = """\
Fill a folder with training scenes (docs/training-data.md): procedural apartments, or with --recording one scene from a
recording with depth and poses. Apartments that are in the folder are kept, so rendering can be stopped and goes on when
called again."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("scenes", help="make scenes to train on", description=_DESCRIPTION)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", metavar="DIR", type=Path, help="folder of scenes, made when missing")
    target.add_argument("--show-settings", action="store_true", help="print all settings as YAML, and do nothing")
    parser.add_argument(
        "--recording",
        metavar="SRC",
        type=Path,
        help="make a scene of this recording: folder, rosbag2, or scan of Matterport3D or ScanNet",
    )
    parser.add_argument(
        "--rooms",
        action="store_true",
        help="for CrossOver: scans of single rooms in all modalities, with rescans, instead of scenes of frames",
    )
    parser.add_argument("--name", help="of the recording's scene (default: the recording's own)")
    add_own_settings_arguments(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the scenes and say how many there are."""
    from xover_core.training.procedural_scenes import ProceduralScenesSettings
    from xover_core.training.recording_scenes import RecordingSceneSettings
    from xover_core.training.room_scans import RoomScansSettings

    if args.rooms and args.recording:
        raise ConfigError("scenes: --rooms makes scans of procedural rooms; leave out --recording.")
    defaults: Settings = RecordingSceneSettings() if args.recording else ProceduralScenesSettings()
    settings = settings_over(args, RoomScansSettings() if args.rooms else defaults)
    if args.show_settings:
        print(dump_settings(settings), end="")
    elif isinstance(settings, RoomScansSettings):
        _scan(args.out, settings)
    elif isinstance(settings, RecordingSceneSettings):
        _convert(args, settings)
    elif isinstance(settings, ProceduralScenesSettings):
        _render(args.out, settings)
    return 0


def _render(folder: Path, settings: ProceduralScenesSettings) -> None:
    """Render apartments.

    Raises:
        TrainingError: the folder cannot be written, or no apartment gave a scene.
    """
    from xover_core.cli.progress import frame_progress
    from xover_core.training.procedural_scenes import render_scenes

    _start(folder, settings, source="procedural apartments")
    with frame_progress("rendering", "scenes") as progress:
        paths = render_scenes(folder, settings, progress)
    if not paths:
        raise TrainingError(f"scenes in {folder}: expected {settings.num_scenes}, got none; the warnings say why.")
    print(f"{folder}: {len(paths)} of {settings.num_scenes} scenes, {_megabytes(*paths):.1f} MB")


def _scan(folder: Path, settings: RoomScansSettings) -> None:
    """Scan the rooms of apartments.

    Raises:
        TrainingError: the folder cannot be written, or no apartment gave a scan.
    """
    from xover_core.cli.progress import frame_progress
    from xover_core.training.room_scans import render_room_scans

    _start(folder, settings, source="rooms of procedural apartments")
    with frame_progress("scanning", "apartments") as progress:
        paths = render_room_scans(folder, settings, progress)
    if not paths:
        raise TrainingError(f"scans in {folder}: expected some of {settings.num_apartments} apartments, got none.")
    print(f"{folder}: {len(paths)} scans of {settings.num_apartments} apartments, {_megabytes(*paths):.1f} MB")


def _convert(args: argparse.Namespace, settings: RecordingSceneSettings) -> None:
    """Make a scene of a recording.

    Raises:
        DatasetError: no recording there, or a broken one.
        TrainingError: there is such a scene already, it cannot be written, or the recording does not suffice.
    """
    from xover_core.cli.progress import frame_progress
    from xover_core.training.recording_scenes import make_recording_scene
    from xover_core.training.scene_folder import SCENE_SUFFIX

    recording = open_recording(args.recording, args)
    path = args.out / f"{args.name or recording.name}{SCENE_SUFFIX}"
    if path.exists():
        raise TrainingError(f"scene file {path}: exists already; remove it, or choose another name with --name.")
    _start(args.out, settings, source=str(args.recording))
    with frame_progress(recording.name) as progress:
        scene = make_recording_scene(recording, settings, progress)
    scene.save(path)
    print(f"{path}: {len(scene)} of {len(recording)} frames, {_megabytes(path):.1f} MB")


def _start(folder: Path, settings: Settings, *, source: str) -> None:
    """Write down what the folder's scenes are made with."""
    from xover_core.evaluation.provenance import log_provenance

    values = {key: value for key, _, value in flatten(settings)}
    log_provenance(folder, {"source": source, "settings": values})


def _megabytes(*paths: Path) -> float:
    """Size of files together."""
    return sum(path.stat().st_size for path in paths) / 1e6
