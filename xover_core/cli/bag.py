# SPDX-License-Identifier: Apache-2.0
"""`xover bag make|info|play`: write a rosbag2 without ROS, show what one holds, and play one into ROS 2 nodes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from xover_core.cli.arguments import Subparsers, add_topic_arguments, open_recording
from xover_core.errors import DatasetError

_PLAYER_MODULE = "xover_ros.bag_player"
_STOP_TIMEOUT_S = 10.0


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb and its three parts."""
    parser = subparsers.add_parser(
        "bag", help="make, show or play a rosbag2", description="Make, show or play a rosbag2; only playing needs ROS."
    )
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    _add_make(parts)
    _add_info(parts)
    _add_play(parts)


def _add_make(parts: Subparsers) -> None:
    text = "Write a recording, or a drive through a procedural apartment, as a rosbag2."
    parser = parts.add_parser("make", help="write a rosbag2", description=text)
    parser.add_argument("bag", metavar="OUT", type=Path, help="folder to make; must not exist")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="recording", metavar="SRC", type=Path, help="folder or rosbag2 to convert")
    source.add_argument("--apartment", metavar="SEED", type=int, help="procedural apartment to drive through")
    parser.add_argument("--storage", choices=("sqlite3", "mcap"), default="sqlite3", help="default: %(default)s")
    parser.add_argument("--compressed", action="store_true", help="colour as JPEG, depth as lossless compressedDepth")
    drive = parser.add_argument_group("drive through an apartment")
    drive.add_argument("--walk", metavar="SEED", type=int, default=0, help="which drive (default: %(default)s)")
    drive.add_argument("--num-frames", metavar="N", type=int, help="length (default: one round through all rooms)")
    drive.add_argument(
        "--rate-hz", metavar="HZ", type=float, default=5.0, help="frames a second (default: %(default)s)"
    )
    drive.add_argument("--reverse", action="store_true", help="visit the rooms in the opposite order")
    add_topic_arguments(parser)
    parser.set_defaults(run=run_make)


def _add_info(parts: Subparsers) -> None:
    text = "Show topics, times and sizes of a rosbag2, and which topics would be read."
    parser = parts.add_parser("info", help="show what a rosbag2 holds", description=text)
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder, .db3 or .mcap file")
    add_topic_arguments(parser)
    parser.set_defaults(run=run_info)


def _add_play(parts: Subparsers) -> None:
    text = "Play a rosbag2 with /clock into running ROS 2 nodes, by xover's own player node."
    parser = parts.add_parser("play", help="play a rosbag2 into ROS 2 nodes", description=text)
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder, .db3 or .mcap file")
    parser.add_argument(
        "--rate", metavar="R", type=float, default=1.0, help="bag seconds a second (default: %(default)s)"
    )
    parser.add_argument("--lock-step", action="store_true", help="as fast as the nodes process frames, none is lost")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument("--start", metavar="S", type=float, default=0.0, help="skip the first S seconds")
    parser.add_argument("--duration", metavar="S", type=float, default=0.0, help="play S seconds (default: to the end)")
    parser.add_argument("--topics", metavar="NAME,...", default="", help="play only these topics")
    parser.add_argument("--paused", action="store_true", help="wait for the service ~/set_paused")
    parser.set_defaults(run=run_play)


def run_make(args: argparse.Namespace) -> int:
    """Write a bag and say what is in it."""
    from xover_core.cli.progress import frame_progress
    from xover_core.datasets.bag_frames import BagFrames
    from xover_core.datasets.bag_writer import write_bag
    from xover_core.datasets.rgbd_sequence import RgbdSequence

    sequence: RgbdSequence
    frames = BagFrames()
    if args.recording is not None:
        sequence = open_recording(args.recording, args)
    else:
        from xover_core.datasets.procedural import ApartmentWalk, make_apartment

        sequence = walk = ApartmentWalk(
            make_apartment(args.apartment),
            seed=args.walk,
            num_frames=args.num_frames,
            rate_hz=args.rate_hz,
            reverse=args.reverse,
        )
        frames = BagFrames(T_base_camera=walk.T_base_camera)
    with frame_progress(args.bag.name) as progress:
        num_frames = write_bag(
            args.bag, sequence, storage=args.storage, is_compressed=args.compressed, frames=frames, progress=progress
        )
    print(f"{args.bag}: {num_frames} frames of {sequence.name}")
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Print topics, roles and the first frame."""
    from xover_core.datasets.bag_access import summarize_bag

    summary = summarize_bag(args.bag)
    print(f"{args.bag}: {summary.duration_s:.1f} s from {summary.start_ns / 1e9:.3f} s, {len(summary.topics)} topics")
    width = max((len(topic.name) for topic in summary.topics), default=0)
    for topic in summary.topics:
        print(f"  {topic.name:<{width}}  {topic.num_messages:>8}  {topic.message_type}")
    try:
        print("\n".join(_describe_roles(args)))
    except DatasetError as error:
        print(f"not a recording that xover can read: {error}")
    return 0


def _describe_roles(args: argparse.Namespace) -> list[str]:
    """Lines that say which topic has which role, and what the first frame looks like."""
    from xover_core.datasets.bag_reader import BagSequence

    sequence = open_recording(args.bag, args)
    if not isinstance(sequence, BagSequence):
        raise DatasetError(f"{args.bag}: not a rosbag2.")
    lines = ["topics that xover reads:"]
    lines += [f"  {field.name:<12} {getattr(sequence.topics, field.name)}" for field in fields(sequence.topics)]
    first = next(iter(sequence))
    camera = first.frame.intrinsics
    parts = [
        f"{camera.width}x{camera.height}, fx {camera.fx:.1f} fy {camera.fy:.1f} cx {camera.cx:.1f} cy {camera.cy:.1f}",
        "with odometry" if first.frame.T_odom_camera is not None else "without odometry",
        "with pose" if first.T_world_camera is not None else "without pose",
    ]
    return [*lines, f"first frame of at most {len(sequence)}: {', '.join(parts)}"]


def run_play(args: argparse.Namespace) -> int:
    """Run the player node in the foreground and return its exit code."""
    from xover_core.cli.ros_processes import check_ros
    from xover_core.datasets.bag_access import summarize_bag

    summarize_bag(args.bag)
    check_ros()
    parameters = {
        "bag": str(args.bag.resolve()),
        "mode": "lock_step" if args.lock_step else "rate",
        "rate": args.rate,
        "loop": args.loop,
        "start_offset_s": args.start,
        "duration_s": args.duration,
        "topics": args.topics,
        "start_paused": args.paused,
    }
    # JSON is YAML, which is what ROS reads parameter values as
    rules = [part for name, value in parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
    process = subprocess.Popen([sys.executable, "-m", _PLAYER_MODULE, "--ros-args", *rules])
    try:
        return process.wait()
    except KeyboardInterrupt:
        # the terminal sent the player its own interrupt; give it time to end by itself
        process.wait(_STOP_TIMEOUT_S)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
