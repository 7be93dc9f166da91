# SPDX-License-Identifier: Apache-2.0
"""`xover export`: a model's networks as ONNX files, compared with torch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers, add_topic_arguments, open_map_or_recording
from xover_core.cli.models_dir import add_models_dir_argument, tell_where
from xover_core.errors import ConfigError
from xover_core.inference.session import PRECISIONS

if TYPE_CHECKING:
    from xover_core.inference.model_graph import ModelGraph
    from xover_core.inference.onnx_export import ExportReport
    from xover_core.inference.session import Arrays
    from xover_core.types import RgbdFrame

_BYTES_PER_MB = 1e6
_COLUMNS = ("network", "precision", "MB", "largest difference", "tolerance", "time of torch's", "file")
_DESCRIPTION = """\
Write the networks of a model as ONNX files, for ONNX Runtime, OpenVINO and TensorRT. Every output is compared with that
of torch; a file in fp32 that differs by more than the network's tolerance is not kept (docs/export.md)."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("export", help="write a model's networks as ONNX files", description=_DESCRIPTION)
    parser.add_argument(
        "model", metavar="MODEL", help="of a manifest, or a published architecture, then with random weights"
    )
    parser.add_argument(
        "--part", metavar="NAME", action="append", help="only this network of the model; may be repeated (default: all)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        action="append",
        help="numbers that it computes in; may be repeated (default: fp32)",
    )
    parser.add_argument(
        "--size", metavar="HxW", type=_size, help="pictures of this size only, such as 240x320 (default: of any size)"
    )
    parser.add_argument(
        "--calibrate",
        metavar="SRC",
        type=Path,
        help="map (*.xover) or recording by whose frames the scales of int8 are fixed (default: found anew each time)",
    )
    parser.add_argument(
        "--calibration-frames", metavar="N", type=int, default=32, help="of SRC, evenly spread (default: %(default)s)"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--output", metavar="DIR", type=Path, default=Path(), help="folder for files (default: here)")
    target.add_argument("--install", action="store_true", help="into a models folder instead, where xover finds them")
    add_models_dir_argument(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, and print a row for each file.

    Raises:
        BackendUnavailableError: a library that is needed is missing.
        ConfigError: arguments that do not fit together, or a part that the model does not have.
        ModelError: unknown model, one that cannot be exported, or a file that is not like torch.
    """
    from xover_core.inference.libraries import load_library

    load_library("torch")
    from xover_core.inference.model_graphs import graphs_of

    precisions = list(dict.fromkeys(args.precision or ["fp32"]))
    graphs = _choose_parts(args.model, graphs_of(args.model, args.size), args.part)
    _check(args, graphs, precisions)
    frames = _calibration_frames(args)
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for graph in graphs:
        rows += _export(args, graph, precisions, frames)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    print(
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )
    )
    if args.install and args.models_dir:
        tell_where(args.models_dir)
    return 0


def _choose_parts(model: str, graphs: Sequence[ModelGraph], parts: Sequence[str] | None) -> list[ModelGraph]:
    """The graphs that were asked for; ConfigError for one that there is not."""
    by_part = {graph.name.removeprefix(model).removeprefix("."): graph for graph in graphs}
    unknown = [part for part in parts or () if part not in by_part]
    if unknown:
        known = ", ".join(name for name in by_part if name) or "none"
        raise ConfigError(
            f"--part {unknown[0]}: no network of {model} that can be exported is called so; there are: {known}."
        )
    return [by_part[part] for part in parts] if parts else list(graphs)


def _check(args: argparse.Namespace, graphs: Sequence[ModelGraph], precisions: Sequence[str]) -> None:
    """Refuse what would end in an error after minutes, or in a file that serves nobody."""
    from xover_core.inference.architecture_graphs import has_random_weights

    if args.calibrate and "int8" not in precisions:
        raise ConfigError("--calibrate: it is for int8; add --precision int8, or leave it out.")
    if args.calibration_frames < 1:
        raise ConfigError(f"--calibration-frames: expected at least 1, got {args.calibration_frames}.")
    if args.models_dir and not args.install:
        raise ConfigError("--models-dir: it is for --install; name a folder for files with --output.")
    if args.install and args.size:
        raise ConfigError("--install: xover's own files take pictures of any size; leave out --size, or --install.")
    if args.install and any(has_random_weights(graph) for graph in graphs):
        raise ConfigError(f"--install: {args.model} has random weights here; write its files with --output.")


def _calibration_frames(args: argparse.Namespace) -> list[RgbdFrame]:
    """Frames of the map or recording; none where none was named."""
    if not args.calibrate:
        return []
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.posed_frames import spread_frames

    with frame_progress("reading") as frame_done:
        return list(spread_frames(open_map_or_recording(args.calibrate, args), args.calibration_frames, frame_done))


def _export(
    args: argparse.Namespace, graph: ModelGraph, precisions: Sequence[str], frames: Sequence[RgbdFrame]
) -> Iterator[tuple[str, ...]]:
    """Write a graph in all precisions; a row of the table for each."""
    from xover_core.inference.export_install import export_into
    from xover_core.inference.export_timing import time_against_torch
    from xover_core.inference.model_install import exported_file_name, user_models_folder
    from xover_core.inference.onnx_export import export_graph, open_exported, trace

    traced = trace(graph)
    for precision in precisions:
        calibration = _calibration(graph, frames) if frames and precision == "int8" else None
        if args.install:
            write = partial(export_into, args.models_dir or user_models_folder(), graph)
        else:
            args.output.mkdir(parents=True, exist_ok=True)
            write = partial(export_graph, graph, args.output / exported_file_name(graph.name, precision))
        report = write(precision=precision, calibration=calibration, traced=traced)
        ratio = time_against_torch(graph, open_exported(graph, report.path), traced.module)
        yield _row(report, ratio, is_calibrated=calibration is not None)


def _calibration(graph: ModelGraph, frames: Sequence[RgbdFrame]) -> Iterator[Arrays]:
    from xover_core.config import EncoderSettings
    from xover_core.encoders.calibration_inputs import calibration_inputs

    return calibration_inputs(graph, frames, EncoderSettings().image_height)


def _row(report: ExportReport, ratio: float, *, is_calibrated: bool) -> tuple[str, ...]:
    """Cells of the table."""
    return (
        report.graph,
        f"{report.precision}, calibrated" if is_calibrated else report.precision,
        f"{report.num_bytes / _BYTES_PER_MB:.2f}",
        f"{max(report.differences.values()):.1e}",
        "-" if report.tolerance is None else f"{report.tolerance:g}",
        f"{ratio:.2f}",
        str(report.path),
    )


def _size(text: str) -> tuple[int, int]:
    """`240x320` -> (240, 320), rows first."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 240x320, got {text!r}")
    return int(match[1]), int(match[2])
