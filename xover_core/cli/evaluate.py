# SPDX-License-Identifier: Apache-2.0
"""`xover evaluate DIR`: map DIR/map, localize DIR/query, print the numbers, write the report."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import (
    Subparsers,
    add_settings_arguments,
    add_topic_arguments,
    open_recording,
    settings_from,
)
from xover_core.errors import DatasetError, MapFormatError

if TYPE_CHECKING:
    from xover_core.config import XoverSettings
    from xover_core.evaluation.run import EvaluationRun

_DESCRIPTION = """\
Map DIR/map, localize DIR/query frame by frame without odometry, compare with the true poses, and print a table. Both
parts may be folders of any layout that xover reads, or rosbag2 files (DIR/map.mcap, ...), in one world frame. An answer
counts only when it is given as LOCALIZED; all shares are of all queries."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "evaluate", help="measure localization on a recording with true poses", description=_DESCRIPTION
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds `map` and `query`")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers and records")
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a self-contained HTML report")
    parser.add_argument("--online", action="store_true", help="use odometry and time, as on a robot")
    group = parser.add_argument_group("map")
    group.add_argument(
        "--map",
        metavar="PATH",
        type=Path,
        help="use this recording or map file; taken for another place, so that every"
        " answer is wrong, unless it lies in DIR or --same-place is given",
    )
    group.add_argument("--same-place", action="store_true", help="--map shares the world frame of DIR/query")
    group.add_argument("--keep-map", metavar="FILE", type=Path, help="keep the map that is built")
    add_settings_arguments(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write what was asked for."""
    from xover_core.evaluation.evaluation import format_table, write_json

    done = _evaluate(args, settings_from(args))
    print(format_table(done.evaluation))
    if args.json:
        write_json(done.evaluation, args.json)
    if args.report:
        from xover_core.evaluation.report import write_report

        write_report(done.evaluation, done.landmark_map, done.examples, args.report)
        print(f"report: {args.report}")
    return 0


def find_part(directory: Path, name: str) -> Path:
    """`DIR/name`, or a single bag file `DIR/name.*`.

    Raises:
        DatasetError: neither is there.
    """
    if (directory / name).exists():
        return directory / name
    files = sorted(directory.glob(f"{name}.*"))
    if len(files) == 1:
        return files[0]
    raise DatasetError(
        f"{directory}: expected a recording {directory / name} (a folder, a rosbag2, or one file {name}.mcap or"
        f" {name}.db3), got {len(files)} candidates; `xover evaluate` needs DIR/map and DIR/query."
    )


def _evaluate(args: argparse.Namespace, settings: XoverSettings) -> EvaluationRun:
    """Find or build the map, then localize the queries in it."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.run import build_map, evaluate_recording

    queries = open_recording(find_part(args.directory, "query"), args)
    source = args.map or find_part(args.directory, "map")
    with tempfile.TemporaryDirectory(prefix="xover_") as scratch:
        map_path, mapping_s = source, None
        if not _is_map_file(source):
            map_path = _path_for_map(args.keep_map, Path(scratch))
            with frame_progress("mapping") as progress:
                mapping_s = build_map(open_recording(source, args), map_path, settings, progress)
        with frame_progress("localizing") as progress:
            return evaluate_recording(
                queries,
                map_path,
                settings,
                title=_title(args, source),
                is_same_place=_is_same_place(args),
                is_online=args.online,
                mapping_s=mapping_s,
                progress=progress,
            )


def _is_same_place(args: argparse.Namespace) -> bool:
    """Whether answers in the map's frame can be compared with the true poses of the queries."""
    if args.map is None or args.same_place:
        return True
    return args.directory.resolve() in args.map.resolve().parents


def _is_map_file(path: Path) -> bool:
    """Whether a path is a map rather than a recording."""
    return path.suffix == ".xover" and path.is_file()


def _path_for_map(kept: Path | None, scratch: Path) -> Path:
    """Where to build the map.

    Raises:
        MapFormatError: there is a file already.
    """
    if kept is None:
        return scratch / "evaluation.xover"
    if kept.exists():
        raise MapFormatError(f"map {kept}: exists already; remove it, or use it with --map {kept} --same-place.")
    kept.parent.mkdir(parents=True, exist_ok=True)
    return kept


def _title(args: argparse.Namespace, source: Path) -> str:
    """For example `office` or `curtain in the map of office`."""
    directory: Path = args.directory
    place = directory.resolve().name
    if args.map is None:
        return place
    other = source.resolve()
    return f"{place} in the map of {other.parent.name if other.stem == 'map' else other.stem}"
