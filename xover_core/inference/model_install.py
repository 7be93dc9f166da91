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

from xover_core.errors import ConfigError, ModelError
from xover_core.inference.manifest_text import EXPORTS, MODELS, NEW_MANIFEST, put_row
from xover_core.inference.model_store import ExportedFile, ModelEntry, model_entries, model_folders

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    licence: str,
    source: str,
    radii: tuple[float, ...],
    like: ModelEntry | None = None,
) -> ModelEntry:
    """The manifest entry of weights that are stored as `name.safetensors`.

    Args:
        name: of the model.
        kind: of encoder.
        weights: contents of the safetensors file.
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
    )


def exported_file_name(graph: str, precision: str) -> str:
    """`graph.precision.onnx`, in fp32 `graph.onnx`."""
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


def make_exported(graph: str, precision: str, onnx: bytes, weights_sha256: str) -> ExportedFile:
    """The manifest's row of an exported file, which is stored under `exported_file_name`.

    Args:
        graph: name of the network.
        precision: one of `session.PRECISIONS`.
        onnx: contents of the file.
        weights_sha256: of the weights that it was made of.
    """
    return ExportedFile(
        graph=graph,
        precision=precision,
        file=exported_file_name(graph, precision),
        sha256=hashlib.sha256(onnx).hexdigest(),
        weights_sha256=weights_sha256,
    )


def install_model(folder: Path, entry: ModelEntry, weights: bytes) -> None:
    """Write a model's weights, then its entry; each file is replaced as a whole, and other entries stay as they are.

    Args:
        folder: of models; made when missing.
        entry: as `make_entry` gives it.
        weights: contents of `entry.file`.

    Raises:
        ModelError: the folder cannot be written to, or its manifest cannot be read.
    """
    fields = {key: value for key, value in dataclasses.asdict(entry).items() if key != "name" and value}
    _install(folder, entry.file, weights, (MODELS, entry.name, fields))


def install_export(folder: Path, exported: ExportedFile, onnx: bytes) -> None:
    """Write an exported file, then its row; as `install_model`.

    Args:
        folder: of models; made when missing.
        exported: as `make_exported` gives it.
        onnx: contents of the file.

    Raises:
        ModelError: the folder cannot be written to, or its manifest cannot be read.
    """
    fields = {"file": exported.file, "sha256": exported.sha256, "weights_sha256": exported.weights_sha256}
    _install(folder, exported.file, onnx, (EXPORTS, f"{exported.graph}/{exported.precision}", fields))


def _install(folder: Path, file: str, data: bytes, row: tuple[str, str, dict[str, Any]]) -> None:
    """Write a file, then its row (section, name, fields) of the manifest."""
    manifest = folder / "manifest.yaml"
    section, name, fields = row
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = manifest.read_text(encoding="utf-8") if manifest.is_file() else NEW_MANIFEST
        changed = put_row(text, section, name, fields, manifest)
        _replace_file(folder / file, data)
        _replace_file(manifest, changed.encode())
    except OSError as error:
        raise ModelError(f"model {name!r}: cannot be written into {folder} ({error.strerror}).") from error


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
