# SPDX-License-Identifier: Apache-2.0
"""`xover protocol NAME`: compare features by a protocol of the literature, print the table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xover_core.cli.arguments import Subparsers, add_topic_arguments, open_recording
from xover_core.cli.protocol_arguments import add_outputs, add_settings, publish, settings_from
from xover_core.cli.scene_protocols import add_scene_protocols
from xover_core.evaluation.protocols.protocol_settings import (
    LinearProbeSettings,
    PatchRetrievalSettings,
    RelativePoseSettings,
)
from xover_core.inference.session import PRECISIONS

if TYPE_CHECKING:
    from xover_core.datasets.rgbd_sequence import RgbdSequence

_DESCRIPTION = """\
Compare features of patches, objects or scenes, baselines and ours, by a protocol of the literature
(docs/protocols.md)."""
_RECORDING = "folder or rosbag2 with depth and poses, or a folder that holds `map` and `query`, taken as one"
_PATCH_RETRIEVAL = """\
Patch retrieval as in Table 1 of LoCUS: in batches of overlapping frames of a recording with depth and poses, rank
patches by their similarity to a query patch; right are those whose 3D point is near the query's."""

_RELATIVE_POSE = """\
Relative pose as in Table 3 of LoCUS: random pairs of frames whose views overlap little; matches, RANSAC, errors. Each
feature is solved by the 5-point method with the true length of the translation, with its length from depth, and by
aligning 3D points."""

_LINEAR_PROBE = """\
Segmentation by a linear probe as in Table 2 of LoCUS: one linear classifier on patch features with a class for every
object. On a procedural apartment it is trained on one walk and tested on another; on a ScanNet scan with labels it is
trained and tested on frames in turns."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb and its protocols."""
    parser = subparsers.add_parser("protocol", help="compare features by a protocol", description=_DESCRIPTION)
    protocols = parser.add_subparsers(title="protocols", metavar="NAME", required=True)
    _add_patch_retrieval(protocols)
    _add_relative_pose(protocols)
    _add_linear_probe(protocols)
    add_scene_protocols(protocols)


def _add_patch_retrieval(protocols: Subparsers) -> None:
    parser = protocols.add_parser("patch-retrieval", help="average precision of patches", description=_PATCH_RETRIEVAL)
    _add_recording_arguments(parser)
    add_outputs(parser, "co-segmentation picture of the last feature of the table")
    add_settings(parser, PatchRetrievalSettings)
    add_topic_arguments(parser)
    parser.set_defaults(run=run_patch_retrieval)


def _add_relative_pose(protocols: Subparsers) -> None:
    parser = protocols.add_parser("relative-pose", help="errors between pairs of views", description=_RELATIVE_POSE)
    _add_recording_arguments(parser)
    add_outputs(parser, "share of pairs by error")
    add_settings(parser, RelativePoseSettings)
    add_topic_arguments(parser)
    parser.set_defaults(run=run_relative_pose)


def _add_linear_probe(protocols: Subparsers) -> None:
    parser = protocols.add_parser("linear-probe", help="segmentation by a linear classifier", description=_LINEAR_PROBE)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "scan",
        metavar="SEQUENCE_DIR",
        type=Path,
        nargs="?",
        help="exported ScanNet scan with label-filt/ (instance-filt/)",
    )
    place.add_argument("--apartment", metavar="SEED", type=int, help="procedural apartment to walk through")
    parser.add_argument(
        "--label-table",
        metavar="FILE",
        type=Path,
        help="scannetv2-labels.combined.tsv (default: looked for in SEQUENCE_DIR and above)",
    )
    _add_models(parser)
    add_outputs(parser, "test frames, true and predicted objects, by the last feature of the table")
    add_settings(parser, LinearProbeSettings)
    parser.set_defaults(run=run_linear_probe)


def run_patch_retrieval(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.feature_choice import baseline_features, encoder_features
    from xover_core.evaluation.protocols.patch_retrieval import measure_patch_retrieval

    settings = settings_from(args, PatchRetrievalSettings)
    frames, notes = _site_frames(args)
    features = (*baseline_features(frames), *encoder_features(_models(args), frames, settings.rho, args.precision))
    with frame_progress("patch retrieval") as progress:
        sequence = _open(args.recording, args)
        done = measure_patch_retrieval(sequence, features, settings, notes=notes, progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.cosegmentation_figure import draw_cosegmentation

        draw_cosegmentation(done.example, args.figure)
    return 0


def run_relative_pose(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.feature_choice import named_encoders
    from xover_core.evaluation.protocols.relative_pose import measure_relative_pose
    from xover_core.evaluation.protocols.view_matchers import EncoderMatcher, OrbMatcher, SiftMatcher, ViewMatcher

    settings = settings_from(args, RelativePoseSettings)
    frames, notes = _site_frames(args)
    named = named_encoders(_models(args), frames, precisions=args.precision)
    encoders = [EncoderMatcher(name, encoder) for name, encoder in named]
    with frame_progress("relative pose") as progress:
        sequence = _open(args.recording, args)
        matchers: tuple[ViewMatcher, ...] = (SiftMatcher(), OrbMatcher(), *encoders)
        done = measure_relative_pose(sequence, matchers, settings, notes=notes, progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.pair_error_figure import draw_pair_errors

        draw_pair_errors(done.errors, args.figure)
    return 0


def run_linear_probe(args: argparse.Namespace) -> int:
    """Measure, print, write what was asked for."""
    from xover_core.cli.progress import frame_progress
    from xover_core.evaluation.protocols.apartment_labels import label_apartment
    from xover_core.evaluation.protocols.feature_choice import PATCH_RADIUS, baseline_features, encoder_features
    from xover_core.evaluation.protocols.linear_probe import make_task, measure_linear_probe
    from xover_core.evaluation.protocols.scan_labels import label_scan

    settings = settings_from(args, LinearProbeSettings)
    with frame_progress("labelled views") as progress:
        if args.scan:
            scene = label_scan(args.scan, settings, label_table=args.label_table, progress=progress)
        else:
            scene = label_apartment(args.apartment, settings, progress)
    task = make_task(scene, settings.min_patches)
    frames = [view.frame for view in scene.train]
    features = (*baseline_features(frames), *encoder_features(_models(args), frames, PATCH_RADIUS, args.precision))
    notes = (f"pca64 and -fitted: whitened on the {len(frames)} training frames",)
    with frame_progress("linear probe") as progress:
        done = measure_linear_probe(task, features, settings, notes=notes, progress=progress)
    publish(args, done.report)
    if args.figure:
        from xover_core.evaluation.protocols.probe_figure import draw_segmentation

        draw_segmentation(done, args.figure)
    return 0


def _add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure on and which models."""
    parser.add_argument("recording", metavar="SEQUENCE_DIR", type=Path, help=_RECORDING)
    parser.add_argument(
        "--whiten-on", metavar="DIR", type=Path, help="recording that whitenings are fitted to (default: SEQUENCE_DIR)"
    )
    _add_models(parser)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        help="patch encoder of models/manifest.yaml; may be repeated (default: the settings' and all LoCUS models)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        action="append",
        default=[],
        help="a row for each model in these numbers, by the files of `xover export --install`; may be repeated",
    )


def _site_frames(args: argparse.Namespace) -> tuple[list[Any], tuple[str, ...]]:
    """Frames that whitenings are fitted to, and the note that says which."""
    from xover_core.evaluation.protocols.feature_choice import MAX_FIT_FRAMES
    from xover_core.evaluation.protocols.posed_frames import spread_frames

    sequence = _open(args.whiten_on or args.recording, args)
    frames = list(spread_frames(sequence, MAX_FIT_FRAMES))
    of = "" if args.whiten_on else ", the measured recording itself"
    return frames, (f"pca64 and -fitted: whitened on {len(frames)} images of {sequence.name}{of}",)


def _open(path: Path, args: argparse.Namespace) -> RgbdSequence:
    """A recording, or those of a place as one."""
    from xover_core.evaluation.protocols.joined_recordings import JoinedRecordings, parts_of

    recordings = [open_recording(part, args) for part in parts_of(path)]
    return recordings[0] if len(recordings) == 1 else JoinedRecordings(path.resolve().name, recordings)


def _models(args: argparse.Namespace) -> tuple[str, ...]:
    """Models that were named, or else the default ones."""
    from xover_core.evaluation.protocols.feature_choice import default_models

    return tuple(args.model) if args.model else default_models()
