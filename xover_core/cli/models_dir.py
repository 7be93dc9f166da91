# SPDX-License-Identifier: Apache-2.0
"""The folder of models that a verb writes into."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_models_dir_argument(parser: argparse.ArgumentParser) -> None:
    """Add --models-dir; where it is not given, `model_install.user_models_folder` says."""
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        type=Path,
        help="where to write it (default: $XOVER_MODELS_DIR or the user's cache)",
    )


def tell_where(folder: Path) -> None:
    """How models of a folder are found, where that needs something."""
    from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_folders

    if folder.resolve() not in [known.resolve() for known in model_folders()]:
        print(f"to have it found: export {MODELS_DIR_VARIABLE}={folder.resolve()}")
