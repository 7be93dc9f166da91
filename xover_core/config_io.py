# SPDX-License-Identifier: Apache-2.0
"""Settings <-> YAML and flat dotted keys. Unknown keys are refused, never ignored."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from xover_core.config import Settings, XoverSettings
from xover_core.errors import ConfigError

SettingsT = TypeVar("SettingsT", bound=Settings)


def flatten(settings: Settings, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Yield (dotted key, field declaration, value) for every leaf of the tree, in order of declaration."""
    for spec in dataclasses.fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, spec.name)
        key = prefix + spec.name
        if isinstance(value, Settings):
            yield from flatten(value, key + ".")
        else:
            yield key, spec, value


def override(settings: SettingsT, values: Mapping[str, Any]) -> SettingsT:
    """Return a copy with `values`, given by dotted key, put in.

    Raises:
        ConfigError: a key that does not exist, or a value that its field refuses.
    """
    known = [key for key, _, _ in flatten(settings)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; {_what_was_meant(key, known)}")
        settings = _replace(settings, key.split("."), value)
    return settings


def _what_was_meant(key: str, known: Sequence[str]) -> str:
    """The settings of a group, those with a similar name, or else all."""
    inside = [one for one in known if one.startswith(f"{key}.")]
    similar = inside or difflib.get_close_matches(key, known)
    return f"did you mean {', '.join(similar)}?" if similar else f"known are {', '.join(known)}."


def _replace(settings: SettingsT, path: list[str], value: Any) -> SettingsT:
    """Replace one leaf, rebuilding (and so checking) the groups on the way."""
    name, *rest = path
    # YAML has lists only; settings of several values are tuples
    leaf = tuple(value) if isinstance(value, list) else value
    new = _replace(getattr(settings, name), rest, value) if rest else leaf
    return dataclasses.replace(settings, **{name: new})  # type: ignore[type-var]


def flat_values(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into dotted keys: {"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flat_values(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def load_settings(path: Path, base: XoverSettings | None = None) -> XoverSettings:
    """Read a YAML file (nested or dotted keys) over `base`, or over the defaults; errors as `load_settings_over`."""
    return load_settings_over(path, base or XoverSettings())


def load_settings_over(path: Path, base: SettingsT) -> SettingsT:
    """Read a YAML file (nested or dotted keys) over any tree of settings.

    Raises:
        ConfigError: the file is missing or no YAML mapping, or a key or value is refused.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())  # YAML's own message has several lines
        raise ConfigError(f"settings file {path}: cannot be read as YAML: {reason}") from error
    if not isinstance(tree, Mapping):
        raise ConfigError(f"settings file {path}: expected a mapping of settings, got {type(tree).__name__}.")
    try:
        return override(base, flat_values(tree))
    except ConfigError as error:
        raise ConfigError(f"settings file {path}: {error}") from error


def dump_settings(settings: Settings) -> str:
    """Return the tree as YAML with the text of each field as a comment; `load_settings` reads it back."""
    lines: list[str] = []
    group = ""
    for key, spec, value in flatten(settings):
        *parents, name = key.split(".")
        if ".".join(parents) != group:
            group = ".".join(parents)
            lines.extend([f"{group}:"] if group else [])
        indent = "  " if parents else ""
        lines.append(f"{indent}{name}: {_one_line(value)}  # {spec.metadata['text']}")
    return "\n".join(lines) + "\n"


def _one_line(value: Any) -> str:
    """YAML of a leaf."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=math.inf).splitlines()[0]


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("xover_core") / "presets"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_preset(name: str) -> XoverSettings:
    """Settings of a preset by name.

    Raises:
        ConfigError: no such preset.
    """
    if name not in preset_names():
        raise ConfigError(f"unknown preset {name!r}; there are {', '.join(preset_names())}.")
    with resources.as_file(resources.files("xover_core") / "presets" / f"{name}.yaml") as path:
        return load_settings(path)
