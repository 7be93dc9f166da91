# SPDX-License-Identifier: Apache-2.0
"""`xover train locus`: train a network on scenes of posed RGB-D frames, into a folder from which it can be resumed."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xover_core.cli.arguments import Subparsers, add_own_settings_arguments, settings_over
from xover_core.config_io import dump_settings, load_settings_over, override
from xover_core.errors import ConfigError

if TYPE_CHECKING:
    from xover_core.training.locus_settings import LocusSettings
    from xover_core.training.processes import Processes
    from xover_core.training.trainer import TrainingResult

_DESCRIPTION = """\
Train LoCUS patch features on folders of scenes (docs/training.md; `xover scenes` makes them). Ctrl-C or SIGTERM stops
after the current step; --resume goes on. Several GPUs, or cores: `torchrun --nproc-per-node N -m xover_core.cli.main
train locus ...`."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb and what it can train."""
    parser = subparsers.add_parser("train", help="train a network", description="Train a network (docs/training.md).")
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    _add_locus(tasks)


def _add_locus(tasks: Subparsers) -> None:
    parser = tasks.add_parser("locus", help="LoCUS patch features", description=_DESCRIPTION)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", metavar="DIR", type=Path, help="folder of the run")
    target.add_argument("--show-settings", action="store_true", help="print all settings as YAML, and do nothing")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/last.safetensors, with DIR/settings.yaml")
    parser.add_argument("--overfit", action="store_true", help="train on the first batch only: its loss must vanish")
    parser.add_argument("--scenes", metavar="DIR", type=Path, nargs="+", help="folders of scenes to train on")
    parser.add_argument(
        "--validation", metavar="DIR", type=Path, nargs="+", help="folders of other scenes, to choose the best weights"
    )
    add_own_settings_arguments(parser)
    parser.set_defaults(run=run_locus)


def run_locus(args: argparse.Namespace) -> int:
    """Train; KeyboardInterrupt after a clean stop by Ctrl-C."""
    settings = _locus_settings(args)
    if args.show_settings:
        print(dump_settings(settings), end="")
        return 0
    from xover_core.training.processes import Processes
    from xover_core.training.run_folder import RunFolder
    from xover_core.training.trainer import StopReason

    RunFolder(args.out).check(resume=args.resume)
    training_log = logging.getLogger("xover_core.training")
    training_log.setLevel(min(training_log.getEffectiveLevel(), logging.INFO))
    processes = Processes.join(settings.trainer.device)
    try:
        result = _train_locus(settings, args, processes)
    finally:
        processes.leave()
    if processes.is_main:
        _tell(result, args.out)
    if result.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return 0


def _locus_settings(args: argparse.Namespace) -> LocusSettings:
    """Resolve default < those of the resumed run < file < single values and arguments.

    Raises:
        ConfigError: a file, key or value that is not accepted.
    """
    from xover_core.training.locus_settings import LocusSettings

    settings = LocusSettings()
    if args.resume and args.out:
        settings = load_settings_over(args.out / "settings.yaml", settings)
    settings = settings_over(args, settings)
    values: dict[str, Any] = {}
    if args.scenes:
        values["data.scenes"] = [str(folder) for folder in args.scenes]
    if args.validation:
        values["data.validation"] = [str(folder) for folder in args.validation]
    if args.overfit:
        values["trainer.overfit"] = True
    return override(settings, values)


def _train_locus(settings: LocusSettings, args: argparse.Namespace, processes: Processes) -> TrainingResult:
    """Make network and task, and train."""
    from xover_core.evaluation.provenance import log_provenance
    from xover_core.training.locus_networks import make_locus_network
    from xover_core.training.locus_task import LocusTask
    from xover_core.training.scene_folder import SceneFolder
    from xover_core.training.scene_source import MixedScenes
    from xover_core.training.trainer import Trainer
    from xover_core.training.training_task import seed_everything

    data = settings.data
    if not data.scenes:
        raise ConfigError("setting data.scenes: nothing to train on; name folders of scenes with --scenes.")
    scenes = MixedScenes([SceneFolder(Path(folder)) for folder in data.scenes])
    validation = MixedScenes([SceneFolder(Path(folder)) for folder in data.validation]) if data.validation else None
    seed_everything(settings.trainer.seed)
    task = LocusTask(make_locus_network(settings.network, scenes), scenes, validation, settings)
    trainer = Trainer(task, settings.trainer, args.out, processes=processes)
    if processes.is_main:
        log_provenance(args.out)
    return trainer.run(resume=args.resume)


def _tell(result: TrainingResult, folder: Path) -> None:
    """How it ended, and how to go on."""
    from xover_core.training.trainer import StopReason

    print(f"stopped after step {result.step}: {result.reason.value}")
    if result.best_score is not None:
        print(f"best score {result.best_score:.4f} after step {result.best_step}: {folder / 'best.safetensors'}")
    if result.reason is not StopReason.FINISHED:
        print(f"go on with: xover train locus --out {folder} --resume")
