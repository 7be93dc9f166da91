# SPDX-License-Identifier: Apache-2.0
"""Putting a model into a models folder: its files, and its entry in the folder's manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.model_store import ModelEntry, model_entries, model_folders

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER = "# Models that xover knows, beside the shipped ones.\nmodels:\n"


def user_models_folder() -> Path:
    """Where this user's own models go: $XOVER_MODELS_DIR, else the user's cache."""
    return model_folders()[0]


def check_name(name: str, folder: Path) -> None:
    """Refuse a name under which a model cannot be installed; one in the same folder may be replaced.

    Raises:
        ConfigError: no name of a file, or that of a model elsewhere, which would be hidden.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name of the new model: expected letters, digits and . _ -, got {name!r}.")
    known = model_entries().get(name)
    if known and not (folder / known.file).is_file():
        raise ConfigError(f"name of the new model: {name!r} is taken by a model outside of {folder}; name another.")


def make_entry(
    *,
    name: str,
    kind: str,
    weights: bytes,
    onnx: bytes = b"",
    licence: str,
    source: str,
    radii: tuple[float, ...],
    like: ModelEntry | None = None,
) -> ModelEntry:
    """The manifest entry of weights that are stored as `name.safetensors` and, if exported, `name.onnx`.

    Args:
        name: of the model.
        kind: of encoder.
        weights: contents of the safetensors file.
        onnx: contents of the exported file, or nothing.
        licence: SPDX identifier.
        source: who trained it on what.
        radii: metres.
        like: a model whose calibration is taken over.
    """
    return ModelEntry(
        name=name,
        kind=kind,
        file=f"{name}.safetensors",
        sha256=hashlib.sha256(weights).hexdigest(),
        licence=licence,
        source=source,
        radii=radii,
        calibration_with_depth=like.calibration_with_depth if like else (),
        calibration_without_depth=like.calibration_without_depth if like else (),
        onnx=f"{name}.onnx" if onnx else "",
        onnx_sha256=hashlib.sha256(onnx).hexdigest() if onnx else "",
    )


def install_model(folder: Path, entry: ModelEntry, weights: bytes, onnx: bytes = b"") -> None:
    """Write a model's files, then its entry; each file is replaced as a whole, and other entries stay as they are.

    Args:
        folder: of models; made when missing.
        entry: as `make_entry` gives it.
        weights: contents of `entry.file`.
        onnx: contents of `entry.onnx`, if it has one.

    Raises:
        ModelError: the folder cannot be written to, or its manifest cannot be read.
    """
    manifest = folder / "manifest.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = manifest.read_text(encoding="utf-8") if manifest.is_file() else _HEADER
        changed = _put_entry(text, entry.name, _as_fields(entry), manifest)
        _replace_file(folder / entry.file, weights)
        if entry.onnx:
            _replace_file(folder / entry.onnx, onnx)
        _replace_file(manifest, changed.encode())
    except OSError as error:
        raise ModelError(f"model {entry.name!r}: cannot be written into {folder} ({error.strerror}).") from error


def _as_fields(entry: ModelEntry) -> dict[str, Any]:
    """What stands below the name; fields that are empty are left out."""
    fields = {key: value for key, value in dataclasses.asdict(entry).items() if key != "name" and value}
    return {key: _plain(value) for key, value in fields.items()}


def _plain(value: Any) -> Any:
    """Lists instead of tuples, at any depth, as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (tuple, list)) else value


def _put_entry(text: str, name: str, fields: dict[str, Any], manifest: Path) -> str:
    """The manifest's text with an entry replaced or added at the end; its other lines and comments stay."""
    try:
        expected: dict[str, Any] = {**(yaml.safe_load(text)["models"] or {}), name: fields}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ModelError(f"model manifest {manifest}: cannot be read, {error}; mend or remove it.") from error
    block = yaml.safe_dump({name: fields}, sort_keys=False, width=120, default_flow_style=None)
    block = "".join(f"  {line}\n" for line in block.splitlines())
    old = re.compile(rf"^  {re.escape(name)}:.*\n(?:    .*\n)*", re.MULTILINE)
    changed = old.sub(lambda _: block, text) if old.search(text) else f"{text.rstrip()}\n{block}"
    try:
        if yaml.safe_load(changed)["models"] == expected:
            return changed
    except yaml.YAMLError:
        pass
    # laid out by somebody else: right values go before comments
    return yaml.safe_dump({"models": expected}, sort_keys=False, width=120, default_flow_style=None)


def _replace_file(path: Path, data: bytes) -> None:
    """Write a file under another name, then rename it: it is there as a whole or as it was before."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
