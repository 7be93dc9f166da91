# SPDX-License-Identifier: Apache-2.0
"""`xover adapt`: train a model's heads on a site, and keep them as a new model if they are better there."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import (
    Subparsers,
    add_own_settings_arguments,
    add_topic_arguments,
    open_map_or_recording,
    settings_over,
)
from xover_core.cli.models_dir import add_models_dir_argument, tell_where
from xover_core.config_io import dump_settings
from xover_core.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from xover_core.training.adaptation_settings import AdaptationSettings
    from xover_core.training.site_adaptation import AdaptationResult

_DESCRIPTION = """\
Train the heads of a patch encoder on a recording with depth and poses, or on the keyframes of a map
(docs/adaptation.md). Some stretches of it are kept apart; when the new heads find patches there no better than the old
ones, nothing is written."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("adapt", help="adapt a model to a site", description=_DESCRIPTION)
    parser.add_argument("source", metavar="SRC", type=Path, nargs="?", help="folder, rosbag2 or map (*.xover)")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", metavar="NAME", help="name of the new model")
    target.add_argument("--show-settings", action="store_true", help="print all settings as YAML, and do nothing")
    parser.add_argument("--model", metavar="NAME", default="locus-compact", help="to start from (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="for all of it (default: max_minutes of the settings)")
    add_models_dir_argument(parser)
    add_own_settings_arguments(parser)
    add_topic_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Adapt, say what it brought, and write the model.

    Raises:
        TrainingError: the adapted heads are not better, or the recording does not suffice.
    """
    from xover_core.training.adaptation_settings import AdaptationSettings

    settings = settings_over(args, AdaptationSettings())
    if args.minutes is not None:
        settings = dataclasses.replace(settings, max_minutes=args.minutes)
    if args.show_settings:
        print(dump_settings(settings), end="")
    elif args.source is None:
        raise ConfigError("adapt: expected a recording or map to adapt to; name a folder, rosbag2 or *.xover.")
    else:
        _adapt(args, settings)
    return 0


def _adapt(args: argparse.Namespace, settings: AdaptationSettings) -> None:
    """All of it, from the recording to the model."""
    from xover_core.cli.progress import frame_progress, stage_progress
    from xover_core.inference.model_install import check_name, user_models_folder
    from xover_core.training.adaptation_model import install_adapted, load_parent
    from xover_core.training.recording_scenes import make_recording_scene
    from xover_core.training.site_adaptation import adapt_to_site

    folder = args.models_dir or user_models_folder()
    check_name(args.out, folder)
    parent, network = load_parent(args.model)
    recording = open_map_or_recording(args.source, args)
    start = time.monotonic()
    with frame_progress("reading") as frame_done:
        scene = make_recording_scene(recording, settings.frames, frame_done)
    with stage_progress("adapting") as stage_done:
        result = adapt_to_site(network, scene, settings, stage_done)
    print(_describe(result, recording.name, time.monotonic() - start))
    if not result.is_better:
        raise TrainingError(
            f"model {args.model!r}: expected that adapted heads raise the mean average precision on frames kept apart"
            f" by more than {settings.held_out.min_gain:g}, got {result.gain:+.4f}; nothing was written, so keep the"
            " model, or record more of the site."
        )
    install_adapted(result, name=args.out, parent=parent, site=recording.name, folder=folder)
    print(f"{args.out}: written to {folder}; use it with: xover map ... --set encoder.model={args.out}")
    tell_where(folder)


def _describe(result: AdaptationResult, site: str, seconds: float) -> str:
    """A table of what it brought."""
    lines = [
        f"{site}: {result.num_trained} frames trained on, {result.num_held_out} kept apart, {result.num_steps} steps,"
        f" {seconds / 60:.1f} minutes",
        "average precision on the frames kept apart (patches of other frames, all pairs in one ranking)",
        "radius   before    after   way from old to trained head",
    ]
    rows = zip(result.radii, result.before, result.after, result.shares, strict=True)
    lines += [f"{radius:4g} m  {before:7.4f}  {after:7.4f}  {share:5.2f}" for radius, before, after, share in rows]
    return "\n".join(lines)
