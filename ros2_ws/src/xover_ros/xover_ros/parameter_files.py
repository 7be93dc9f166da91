# SPDX-License-Identifier: Apache-2.0
"""Writes the parameter files in `config/` from the settings: `python -m xover_ros.parameter_files FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from xover_core.config import Settings, XoverSettings
from xover_core.config_io import flatten
from xover_ros.node_settings import (
    LOCALIZER_CORE_GROUPS,
    MAPPER_CORE_GROUPS,
    BagPlayerSettings,
    LocalizerNodeSettings,
    MapperNodeSettings,
)
from xover_ros.parameters import SHORT_NAMES

_FILES: dict[str, tuple[Settings, tuple[str, ...]]] = {
    "localizer": (LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS),
    "mapper": (MapperNodeSettings(), MAPPER_CORE_GROUPS),
    "bag_player": (BagPlayerSettings(), ()),
}
# given by launch argument or on the command line, never by a shared file
_LEFT_OUT = ("map_file", "bag")


def parameter_file(node: str) -> str:
    """Text of the parameter file of a node: every parameter with its default and what it means."""
    settings, groups = _FILES[node]
    lines = [
        f"# Parameters of the node {node}, all with their defaults.",
        "# Written by `python -m xover_ros.parameter_files`; a test compares it with the settings.",
        f"/**/{node}:",
        "  ros__parameters:",
    ]
    lines += [_line(key, value, spec.metadata, 4) for key, spec, value in flatten(settings) if key not in _LEFT_OUT]
    core = [row for row in flatten(XoverSettings()) if row[0] in groups or row[0].split(".")[0] in groups]
    lines += [_line(_name(key), value, spec.metadata, 4) for key, spec, value in core if "." not in _name(key)]
    lines += _grouped([row for row in core if "." in _name(row[0])])
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write all files into the folder that is named."""
    folder = Path(sys.argv[1])
    for node in _FILES:
        (folder / f"{node}.yaml").write_text(parameter_file(node), encoding="utf-8")
    return 0


def _name(key: str) -> str:
    return SHORT_NAMES.get(key, key)


def _grouped(rows: list[tuple[str, Any, Any]]) -> list[str]:
    lines: list[str] = []
    group = ""
    for key, spec, value in rows:
        parent, _, name = key.rpartition(".")
        if parent != group:
            group = parent
            lines.append(f"    {group}:")
        lines.append(_line(name, value, spec.metadata, 6))
    return lines


def _line(name: str, value: object, metadata: Any, indent: int) -> str:
    choices = f" ({' or '.join(metadata['choices'])})" if metadata["choices"] else ""
    text = yaml.safe_dump(value).splitlines()[0]
    return f"{' ' * indent}{name}: {text}  # {metadata['text']}{choices}"


if __name__ == "__main__":
    sys.exit(main())
