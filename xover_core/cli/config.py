# SPDX-License-Identifier: Apache-2.0
"""`xover config`: print all settings as YAML that `--settings` reads."""

from __future__ import annotations

import argparse

from xover_core.cli.arguments import Subparsers, add_settings_arguments, settings_from
from xover_core.config_io import dump_settings


def add_parser(subparsers: Subparsers) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "config",
        help="print the settings with their meaning",
        description="Print all settings as YAML with comments, after presets, files and single values are applied.",
    )
    add_settings_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the resolved settings."""
    print(dump_settings(settings_from(args)), end="")
    return 0
