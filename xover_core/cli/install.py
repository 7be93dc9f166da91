# SPDX-License-Identifier: Apache-2.0
"""`xover install`: published weights -> a model that settings can name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from xover_core.cli.arguments import Subparsers
from xover_core.cli.models_dir import add_models_dir_argument, tell_where
from xover_core.errors import ConfigError

if TYPE_CHECKING:
    from xover_core.inference.model_store import ModelEntry
    from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork

# LoCUS's heads, and the DINO backbone that is in the same file.
_LICENCE = "MIT AND Apache-2.0"
_BYTES_PER_MB = 1e6
_DESCRIPTION = """\
Check the checkpoints that LoCUS published, one for each radius, and write them as one model: the frozen backbone once,
a head for each radius, as safetensors. Nothing is downloaded, and nothing in a file is run (docs/locus.md)."""


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser("install", help="make a model of published weights")
    kinds = parser.add_subparsers(title="kinds of weights", metavar="KIND", required=True)
    locus = kinds.add_parser("locus", help="a frozen transformer with LoCUS heads", description=_DESCRIPTION)
    locus.add_argument(
        "--checkpoint",
        metavar="RADIUS=FILE",
        action="append",
        default=[],
        help="published file and the radius in m of its head, such as 0.2=locus_dino_rad0.2m_ep20.pth; may be repeated",
    )
    locus.add_argument("--weights", metavar="FILE", type=Path, help="instead: a file that `xover train` wrote")
    locus.add_argument("--name", required=True, help="of the new model, such as locus-dino-vitb8")
    locus.add_argument(
        "--backbone", metavar="NAME", default="dino-vitb8", help="in the checkpoints (default: %(default)s)"
    )
    locus.add_argument(
        "--calibration-of",
        metavar="MODEL",
        default="locus-compact",
        help="whose calibration of pose probabilities is taken over until the model has its own (default: %(default)s)",
    )
    locus.add_argument("--licence", default=_LICENCE, help="of the weights, SPDX (default: %(default)s)")
    add_models_dir_argument(locus)
    locus.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, check, write, and say how to use it.

    Raises:
        ConfigError: arguments that do not fit together, or a name that is taken.
        ModelError: weights that cannot be read or do not fit the network.
        BackendUnavailableError: the library `transformers` is missing.
    """
    from xover_core.inference.locus_install import install_locus
    from xover_core.inference.model_install import check_name, user_models_folder
    from xover_core.inference.model_store import model_entry

    if bool(args.checkpoint) == bool(args.weights):
        raise ConfigError("install locus: expected either --checkpoint, once for each radius, or --weights.")
    folder = args.models_dir or user_models_folder()
    check_name(args.name, folder)
    like = model_entry(args.calibration_of)
    network, source = _read(args)
    entry = install_locus(network, name=args.name, folder=folder, licence=args.licence, source=source, like=like)
    print(_describe(entry, folder, like))
    tell_where(folder)
    return 0


def _read(args: argparse.Namespace) -> tuple[MultiRadiusEncoderNetwork, str]:
    """The network, and where it is from."""
    from xover_core.inference.locus_checkpoint import load_locus, load_published_locus
    from xover_core.networks.vit_backbone import vit_shape

    if args.weights:
        return load_locus(args.weights), f"LoCUS heads trained with xover, {args.weights.name}"
    files = _radii_and_files(args.checkpoint)
    network = load_published_locus(files, vit_shape(args.backbone))
    names = ", ".join(path.name for _, path in sorted(files.items()))
    return network, f"LoCUS (ICCV 2023) on {args.backbone}, as published: {names}"


def _radii_and_files(texts: list[str]) -> dict[float, Path]:
    """`0.2=file.pth` -> {0.2: file}.

    Raises:
        ConfigError: no radius, no file, or a radius twice.
    """
    files: dict[float, Path] = {}
    for text in texts:
        radius_text, equals, name = text.partition("=")
        try:
            radius = float(radius_text)
        except ValueError:
            radius = 0.0
        if not equals or not name or not radius > 0 or radius in files:
            raise ConfigError(
                f"--checkpoint {text}: expected RADIUS=FILE with another radius in m each time, for example"
                " 0.2=locus_dino_rad0.2m_ep20.pth."
            )
        files[radius] = Path(name)
    return files


def _describe(entry: ModelEntry, folder: Path, like: ModelEntry) -> str:
    """What was written, and what to do next."""
    size_mb = (folder / entry.file).stat().st_size / _BYTES_PER_MB
    radii = ", ".join(f"{radius:g}" for radius in entry.radii)
    return (
        f"{entry.name}: {size_mb:.0f} MB, radii {radii} m, written to {folder}\n"
        f"use it with: xover map ... --set encoder.model={entry.name} --set encoder.image_height=256\n"
        f"its probabilities of poses are by the weights of {like.name}, which were fitted to other descriptors; fit its"
        f" own with: python tools/fit_defaults.py calibration --model {entry.name} --models-dir {folder}"
    )
