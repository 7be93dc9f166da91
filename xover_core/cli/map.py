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


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "map",
        help="build a map from a recording with poses",
        description="Build a map file from a recording with camera poses: a folder, a TUM RGB-D or 7-Scenes sequence, a"
        " Matterport3D or ScanNet scan, or a rosbag2 (docs/recordings.md).",
    )
    parser.add_argument("recording", metavar="SRC", type=Path, help="folder, rosbag2 or .sens file")
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
    args.out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    builder = open_map_builder(args.out, settings, append=args.append)
    try:
        with frame_progress("mapping") as frame_done:
            num_frames = map_recording(recording, builder, frame_done)
        with stage_progress("finishing") as share_done:
            summary = builder.finish(share_done)
    finally:
        is_empty = builder.num_keyframes == 0
        builder.storage.close()
        if is_empty and not args.append:
            args.out.unlink()
    seconds = time.perf_counter() - start
    print(
        f"{args.out}: {summary.num_keyframes} keyframes from {num_frames} frames, {summary.num_landmarks} landmarks,"
        f" {summary.num_scenes} scenes, {summary.size_bytes / 1e6:.1f} MB, {seconds:.1f} s"
    )
    return 0
