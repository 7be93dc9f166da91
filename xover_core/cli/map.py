# SPDX-License-Identifier: Apache-2.0
"""`xover map`: posed RGB-D recording in, map file out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from xover_core.cli.arguments import (
    Subparsers,
    add_settings_arguments,
    add_topic_arguments,
    open_recording,
    settings_from,
)
from xover_core.errors import MapFormatError


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "map",
        help="build a map from a recording with poses",
        description="Build a map file from a recording with camera poses: a folder, a TUM RGB-D or 7-Scenes folder, or"
        " a rosbag2.",
    )
    parser.add_argument("recording", metavar="SRC", type=Path, help="folder or rosbag2")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="map file to write, usually *.xover")
    parser.add_argument("--append", action="store_true", help="extend the map in FILE")
    add_settings_arguments(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build or extend the map and say what is in it."""
    from xover_core.cli.progress import frame_progress, stage_progress
    from xover_core.evaluation.replay import map_recording
    from xover_core.landmark_map.map_builder import open_map_builder

    settings = settings_from(args)
    recording = open_recording(args.recording, args)
    _check_output(args.out, args.append)
    start = time.perf_counter()
    with open_map_builder(args.out, settings, append=args.append) as builder:
        with frame_progress("mapping") as progress:
            num_frames = map_recording(recording, builder, progress)
        with stage_progress("finishing") as progress_of_stage:
            builder.finish(progress_of_stage)
        num_keyframes = builder.num_keyframes
    seconds = time.perf_counter() - start
    print(
        f"{args.out}: {num_keyframes} keyframes from {num_frames} frames in {seconds:.1f} s,"
        f" {args.out.stat().st_size / 1e6:.1f} MB"
    )
    return 0


def _check_output(path: Path, is_append: bool) -> None:
    """Refuse to overwrite a map, or to extend one that is not there."""
    if path.exists() and not is_append:
        raise MapFormatError(f"map {path}: exists already; remove it, or give --append to extend it.")
    if is_append and not path.exists():
        raise MapFormatError(f"map {path}: --append needs a map to extend, but there is none; leave it out.")
    path.parent.mkdir(parents=True, exist_ok=True)
