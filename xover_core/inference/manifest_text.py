# SPDX-License-Identifier: Apache-2.0
"""Changing one row of a manifest of models; its other lines and comments stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xover_core.errors import ModelError

MODELS, EXPORTS = "models", "exports"
NEW_MANIFEST = f"# Models that xover knows, beside the shipped ones.\n{MODELS}: {{}}\n"


def put_row(text: str, section: str, name: str, fields: Mapping[str, Any], manifest: Path) -> str:
    """The manifest's text with a row replaced, or added at the end of its section.

    Args:
        text: of the manifest.
        section: `MODELS` or `EXPORTS`; added when missing.
        name: of the row.
        fields: what stands below the name.
        manifest: for errors.

    Raises:
        ModelError: the text is no manifest.
    """
    try:
        content: dict[str, Any] = {**yaml.safe_load(text)}
        content[MODELS] = content[MODELS] or {}
        expected = {**content, section: {**(content.get(section) or {}), name: _plain(fields)}}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ModelError(f"model manifest {manifest}: cannot be read, {error}; mend or remove it.") from error
    changed = _put_block(text, section, name, _dump({name: _plain(fields)}))
    try:
        if yaml.safe_load(changed) == expected:
            return changed
    except yaml.YAMLError:
        pass
    # laid out by somebody else: right values go before comments
    return _dump(expected)


def _put_block(text: str, section: str, name: str, block: str) -> str:
    """The text with an indented block in a section, as far as the text is laid out as this module does."""
    block = "".join(f"  {line}\n" for line in block.splitlines())
    head = re.search(rf"^{section}:(?: \{{\}})?[ \t]*\n", text, re.MULTILINE)
    if head is None:
        return f"{text.rstrip()}\n{section}:\n{block}"
    rest = text[head.end() :]
    following = re.search(r"^[^\s#]", rest, re.MULTILINE)
    rows, others = (rest[: following.start()], rest[following.start() :]) if following else (rest, "")
    old = re.compile(rf"^  {re.escape(name)}:.*\n(?:    .*\n)*", re.MULTILINE)
    rows = old.sub(lambda _: block, rows) if old.search(rows) else f"{rows.rstrip()}\n{block}".lstrip("\n")
    return f"{text[: head.start()]}{section}:\n{rows}{others}"


def _dump(content: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None))


def _plain(value: Any) -> Any:
    """Lists and dictionaries instead of what YAML does not know, at any depth."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (tuple, list)) else value
