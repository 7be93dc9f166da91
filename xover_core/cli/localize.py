# SPDX-License-Identifier: Apache-2.0
"""`xover localize`: recording and map in, a line or JSON object for each frame out."""

from __future__ import annotations

import argparse
import json
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
        "localize",
        help="localize the frames of a recording in a map",
        description="Localize the frames of a recording in a map, and print a line for each: name, state, probability,"
        " position in m, quaternion x y z w.",
    )
    parser.add_argument("recording", metavar="SRC", type=Path, help="folder, rosbag2 or .sens file")
    parser.add_argument("--map", metavar="FILE", type=Path, required=True, help="map file")
    parser.add_argument(
        "--online", action="store_true", help="use odometry and time, as on a robot; default: each frame alone"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all hypotheses")
    parser.add_argument("--tum", metavar="FILE", type=Path, help="write the answers as a TUM trajectory (evo reads it)")
    add_settings_arguments(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Localize frame after frame, printing on the way."""
    from xover_core.evaluation.answers import answer_as_json, answer_line, tum_line
    from xover_core.localization.localizer import load_localizer

    recording = open_recording(args.recording, args)
    localizer = load_localizer(args.map, settings_from(args))
    localize = localizer.process if args.online else localizer.localize_image
    if args.tum:
        args.tum.parent.mkdir(parents=True, exist_ok=True)
    trajectory = []
    for item in recording:
        result = localize(item.frame)
        line = json.dumps(answer_as_json(item.name, result)) if args.json else answer_line(item.name, result)
        print(line, flush=True)
        if result.T_map_camera is not None:
            trajectory.append(tum_line(result.stamp_ns, result.T_map_camera))
    if args.tum:
        args.tum.write_text("".join(trajectory), encoding="utf-8")
    return 0
