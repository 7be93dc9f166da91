# SPDX-License-Identifier: Apache-2.0
"""What the protocols share on the command line: outputs, options from settings, the printed table."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xover_core.config import Settings

if TYPE_CHECKING:
    from xover_core.evaluation.protocols.protocol_report import ProtocolReport

SettingsT = TypeVar("SettingsT", bound=Settings)


def add_outputs(parser: argparse.ArgumentParser, figure: str) -> None:
    """Add --json and --figure; `figure` says what is drawn."""
    parser.add_argument("--json", metavar="FILE", type=Path, help="write rows, settings and provenance")
    parser.add_argument("--figure", metavar="FILE", type=Path, help=f"write a PNG: {figure}")


def add_settings(parser: argparse.ArgumentParser, settings_class: type[Settings]) -> None:
    """Add one option for each field; `settings_from` reads them."""
    group = parser.add_argument_group("settings of the protocol")
    for field in dataclasses.fields(settings_class):  # type: ignore[arg-type]
        flag, text = "--" + field.name.replace("_", "-"), field.metadata["text"] + " (default: %(default)s)"
        options: dict[str, Any] = {"default": field.default, "help": text, "metavar": "X"}
        if isinstance(field.default, bool):
            group.add_argument(flag, action="store_true", help=field.metadata["text"])
        elif isinstance(field.default, tuple):
            group.add_argument(flag, type=float, nargs="+", **options)
        else:
            group.add_argument(flag, type=type(field.default), **options)


def settings_from(args: argparse.Namespace, settings_class: type[SettingsT]) -> SettingsT:
    """Settings as given.

    Raises:
        ConfigError: a value is out of range.
    """
    names = [field.name for field in dataclasses.fields(settings_class)]  # type: ignore[arg-type]
    values = {name: getattr(args, name) for name in names}
    return settings_class(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def publish(args: argparse.Namespace, report: ProtocolReport[Any]) -> None:
    """Print the table, write the JSON file."""
    from xover_core.evaluation.protocols.protocol_report import format_report, write_report

    print(format_report(report))
    if args.json:
        write_report(report, args.json)
