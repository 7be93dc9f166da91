# SPDX-License-Identifier: Apache-2.0
"""`xover train TASK`: train a network, into a folder from which the run can be resumed."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xover_core.cli.arguments import SettingsT, Subparsers, add_own_settings_arguments, settings_over
from xover_core.config_io import dump_settings, load_settings_over, override
from xover_core.errors import ConfigError

if TYPE_CHECKING:
    from xover_core.training.crossover_settings import CrossoverSettings
    from xover_core.training.crossover_task import CrossoverTask
    from xover_core.training.feature_folder import PlaceFeatures
    from xover_core.training.inventory_settings import InventorySettings
    from xover_core.training.inventory_task import InventoryTask
    from xover_core.training.locus_settings import LocusSettings
    from xover_core.training.locus_task import LocusTask
    from xover_core.training.text_alignment import TextAlignmentTask
    from xover_core.training.text_pretraining import TextPretrainingTask
    from xover_core.training.text_settings import TextPretrainingSettings
    from xover_core.training.trainer import TrainingResult
    from xover_core.training.training_task import TrainingTask

# of every task, with the settings of the engine in `trainer`
TaskSettings: TypeAlias = "LocusSettings | TextPretrainingSettings | CrossoverSettings | InventorySettings"

_LOCUS = """\
Train LoCUS patch features on folders of scenes (docs/training.md; `xover scenes` makes them). Ctrl-C or SIGTERM stops
after the current step; --resume goes on. Several GPUs, or cores: `torchrun --nproc-per-node N -m xover_core
train locus ...`."""

_TEXT = """\
Teach the text network of the light CrossOver what words stand for, from phrases about procedural furniture; a start for
`xover train crossover --stage unified --start ...` (docs/crossover.md). No scans are needed."""

_CROSSOVER = """\
Train the light CrossOver on folders of scans (docs/crossover.md; `xover scenes --rooms` makes them), one stage after
another: --stage instance, then scene, unified and text with --start. Ctrl-C or SIGTERM stops after the current step;
--resume goes on."""

_INVENTORY = """\
Train what tells the things in a room and their colours from clouds, views, floorplans and texts, for the embeddings of
the light CrossOver (docs/crossover.md). Folders of scans are those of `xover scenes --rooms`."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb and what it can train."""
    parser = subparsers.add_parser("train", help="train a network", description="Train a network (docs/training.md).")
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", dest="task", required=True)
    _add_locus(tasks)
    _add_text(tasks)
    _add_crossover(tasks)
    _add_inventory(tasks)


def _add_locus(tasks: Subparsers) -> None:
    parser = tasks.add_parser("locus", help="LoCUS patch features", description=_LOCUS)
    _add_run_arguments(parser)
    parser.add_argument("--scenes", metavar="DIR", type=Path, nargs="+", help="folders of scenes to train on")
    parser.add_argument(
        "--validation", metavar="DIR", type=Path, nargs="+", help="folders of other scenes, to choose the best weights"
    )
    add_own_settings_arguments(parser)
    parser.set_defaults(run=run_locus)


def _add_text(tasks: Subparsers) -> None:
    parser = tasks.add_parser("text", help="words, for CrossOver's text network", description=_TEXT)
    _add_run_arguments(parser)
    add_own_settings_arguments(parser)
    parser.set_defaults(run=run_text)


def run_text(args: argparse.Namespace) -> int:
    """Train; KeyboardInterrupt after a clean stop by Ctrl-C."""
    from xover_core.training.text_settings import TextPretrainingSettings

    settings = _settings_of_run(args, TextPretrainingSettings(), {})
    return _run_task(args, settings, lambda: _make_text(settings))


def _make_text(settings: TextPretrainingSettings) -> TextPretrainingTask:
    """The text network alone; its phrases are made up."""
    from xover_core.training.text_pretraining import TextPretrainingTask, make_text_network

    return TextPretrainingTask(make_text_network(), settings)


def _add_crossover(tasks: Subparsers) -> None:
    parser = tasks.add_parser("crossover", help="CrossOver scene embeddings", description=_CROSSOVER)
    _add_run_arguments(parser)
    _add_scan_folders(parser)
    parser.add_argument("--stage", help="instance, scene, unified or text (default: unified)")
    parser.add_argument(
        "--start", metavar="FILE", type=Path, nargs="+", help="weights of stages before (best.safetensors)"
    )
    add_own_settings_arguments(parser)
    parser.set_defaults(run=run_crossover)


def _add_inventory(tasks: Subparsers) -> None:
    parser = tasks.add_parser("inventory", help="things in rooms, for CrossOver", description=_INVENTORY)
    _add_run_arguments(parser)
    _add_scan_folders(parser)
    add_own_settings_arguments(parser)
    parser.set_defaults(run=run_inventory)


def _add_scan_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scans",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="folders of scans to train on: of `xover scenes --rooms`, or trees of ScanNet or 3RScan",
    )
    parser.add_argument(
        "--validation", metavar="DIR", type=Path, nargs="+", help="folders of other scans, to choose the best weights"
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a run is kept, and whether it goes on; the same for every task."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", metavar="DIR", type=Path, help="folder of the run")
    target.add_argument("--show-settings", action="store_true", help="print all settings as YAML, and do nothing")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/last.safetensors, with DIR/settings.yaml")
    parser.add_argument("--overfit", action="store_true", help="train on the first batch only: its loss must vanish")


def run_locus(args: argparse.Namespace) -> int:
    """Train; KeyboardInterrupt after a clean stop by Ctrl-C."""
    from xover_core.training.locus_settings import LocusSettings

    settings = _settings_of_run(args, LocusSettings(), {"data.scenes": args.scenes, "data.validation": args.validation})
    return _run_task(args, settings, lambda: _make_locus(settings))


def _settings_of_run(
    args: argparse.Namespace, settings: SettingsT, folders: Mapping[str, Sequence[Path] | None]
) -> SettingsT:
    """Resolve default < those of the resumed run < file < single values and arguments.

    Args:
        args: of the command line.
        settings: defaults of the task.
        folders: of arguments of their own, by key of the settings.

    Raises:
        ConfigError: a file, key or value that is not accepted.
    """
    if args.resume and args.out:
        settings = load_settings_over(args.out / "settings.yaml", settings)
    settings = settings_over(args, settings)
    values: dict[str, Any] = {key: [str(path) for path in paths] for key, paths in folders.items() if paths}
    if args.overfit:
        values["trainer.overfit"] = True
    return override(settings, values)


def _run_task(args: argparse.Namespace, settings: TaskSettings, make_task: Callable[[], TrainingTask[Any]]) -> int:
    """Train what `make_task` makes, or show its settings; KeyboardInterrupt after a clean stop by Ctrl-C."""
    if args.show_settings:
        print(dump_settings(settings), end="")
        return 0
    from xover_core.evaluation.provenance import log_provenance
    from xover_core.training.processes import Processes
    from xover_core.training.run_folder import RunFolder
    from xover_core.training.trainer import StopReason, Trainer
    from xover_core.training.training_task import seed_everything

    RunFolder(args.out).check(resume=args.resume)
    training_log = logging.getLogger("xover_core.training")
    training_log.setLevel(min(training_log.getEffectiveLevel(), logging.INFO))
    processes = Processes.join(settings.trainer.device)
    try:
        seed_everything(settings.trainer.seed)
        trainer = Trainer(make_task(), settings.trainer, args.out, processes=processes)
        if processes.is_main:
            log_provenance(args.out)
        result = trainer.run(resume=args.resume)
    finally:
        processes.leave()
    if processes.is_main:
        _tell(result, args.out, args.task)
    if result.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return 0


def _make_locus(settings: LocusSettings) -> LocusTask:
    """Network and data of LoCUS."""
    from xover_core.training.locus_networks import make_locus_network
    from xover_core.training.locus_task import LocusTask
    from xover_core.training.scene_folder import SceneFolder
    from xover_core.training.scene_source import MixedScenes

    data = settings.data
    if not data.scenes:
        raise ConfigError("setting data.scenes: nothing to train on; name folders of scenes with --scenes.")
    scenes = MixedScenes([SceneFolder(Path(folder)) for folder in data.scenes])
    validation = MixedScenes([SceneFolder(Path(folder)) for folder in data.validation]) if data.validation else None
    return LocusTask(make_locus_network(settings.network, scenes), scenes, validation, settings)


def run_crossover(args: argparse.Namespace) -> int:
    """Train; KeyboardInterrupt after a clean stop by Ctrl-C."""
    from xover_core.training.crossover_settings import CrossoverSettings

    defaults = CrossoverSettings()
    folders = {"data.scans": args.scans, "data.validation": args.validation, "data.start": args.start}
    settings = _settings_of_run(args, defaults, folders)
    settings = override(settings, {"stage": args.stage} if args.stage else {})
    return _run_task(args, settings, lambda: _make_crossover(settings))


def _make_crossover(settings: CrossoverSettings) -> CrossoverTask | TextAlignmentTask:
    """Network and data of the light CrossOver."""
    from xover_core.training.crossover_task import CrossoverTask, make_light
    from xover_core.training.text_alignment import TextAlignmentTask

    if not settings.data.scans:
        raise ConfigError("setting data.scans: nothing to train on; name folders of scans with --scans.")
    places = _read_places(settings.data.scans)
    validation = _read_places(settings.data.validation) if settings.data.validation else None
    make_task = TextAlignmentTask if settings.stage == "text" else CrossoverTask
    return make_task(make_light(), places, validation, settings)


def run_inventory(args: argparse.Namespace) -> int:
    """Train; KeyboardInterrupt after a clean stop by Ctrl-C."""
    from xover_core.training.inventory_settings import InventorySettings

    folders = {"data.scans": args.scans, "data.validation": args.validation}
    settings = _settings_of_run(args, InventorySettings(), folders)
    return _run_task(args, settings, lambda: _make_inventory(settings))


def _make_inventory(settings: InventorySettings) -> InventoryTask:
    """Network and data of the scene inventory."""
    from xover_core.training.inventory_rooms import make_up_rooms
    from xover_core.training.inventory_task import InventoryTask

    data = settings.data
    if not data.scans:
        raise ConfigError("setting data.scans: nothing to train on; name folders of scans with --scans.")
    places = _read_places(data.scans)
    validation = _read_places(data.validation) if data.validation else None
    rooms = make_up_rooms(range(data.first_seed, data.first_seed + data.num_apartments))
    return InventoryTask(rooms, places, validation, settings)


def _read_places(folders: Sequence[str]) -> PlaceFeatures:
    """Scans with their features, which are made once, beside the scans."""
    from xover_core.cli.progress import frame_progress
    from xover_core.datasets.open_scans import open_scans
    from xover_core.training.feature_folder import FEATURES_FOLDER, PlaceFeatures, extract_missing

    paths: list[Path] = []
    for folder in folders:
        with frame_progress(f"features of {folder}", "scans") as progress:
            paths += extract_missing(open_scans(Path(folder)), Path(folder) / FEATURES_FOLDER, progress)
    return PlaceFeatures(paths)


def _tell(result: TrainingResult, folder: Path, task: str) -> None:
    """How it ended, and how to go on."""
    from xover_core.training.trainer import StopReason

    print(f"stopped after step {result.step}: {result.reason.value}")
    if result.best_score is not None:
        print(f"best score {result.best_score:.4f} after step {result.best_step}: {folder / 'best.safetensors'}")
    if result.reason is not StopReason.FINISHED:
        print(f"go on with: xover train {task} --out {folder} --resume")
