# SPDX-License-Identifier: Apache-2.0
"""From a model's name to its verified weights. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from xover_core.errors import ModelError

MODELS_DIR_VARIABLE = "XOVER_MODELS_DIR"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model of `models/manifest.yaml`.

    Attributes:
        name: by which settings and maps call it.
        kind: of encoder that its weights are for.
        file: weights, relative to the models folder.
        sha256: of the file.
        licence: SPDX identifier of the weights.
        source: who trained it on what.
        radii: metres, finest first, of the patch descriptors that it makes; empty for other encoders.
        calibration_with_depth: weights of the pose probability for queries with depth; empty if never calibrated.
        calibration_without_depth: the same for queries without depth.
        calibration_scene: of a scene encoder, (temperature, unknown similarity) of pairs of modalities, as
            `image->text`: what was asked and what the scene has; empty if never calibrated.
        inventory: of a scene encoder, the model that adds what is in a scene to its embeddings; empty for none.
    """

    name: str
    kind: str
    file: str
    sha256: str
    licence: str
    source: str
    radii: tuple[float, ...]
    calibration_with_depth: tuple[float, ...] = ()
    calibration_without_depth: tuple[float, ...] = ()
    calibration_scene: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    inventory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One network as an ONNX file; `graph/precision` in the `exports` of a manifest.

    Attributes:
        graph: name of the network, of `ModelGraph`.
        precision: one of `session.PRECISIONS`.
        file: relative to the models folder.
        sha256: of the file.
        weights_sha256: of the weights that it was made of.
    """

    graph: str
    precision: str
    file: str
    sha256: str
    weights_sha256: str


def model_folders() -> list[Path]:
    """Folders that are searched, first match wins: $XOVER_MODELS_DIR, the user's cache, the package."""
    named = os.environ.get(MODELS_DIR_VARIABLE)
    # expanduser, unlike Path.home, has an answer for users without a home, as in containers
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "xover" / "models"
    return [*([Path(named)] if named else []), cache, Path(str(resources.files("xover_core") / "resources" / "models"))]


def model_entries() -> dict[str, ModelEntry]:
    """All models by name, from every manifest in the model folders.

    Raises:
        ModelError: a manifest cannot be read.
    """
    entries: dict[str, ModelEntry] = {}
    for folder in reversed(model_folders()):
        manifest = folder / "manifest.yaml"
        if manifest.is_file():
            entries.update(_read_manifest(manifest))
    return entries


def model_entry(name: str) -> ModelEntry:
    """What the manifests say of one model.

    Raises:
        ModelError: unknown model, or a manifest cannot be read.
    """
    entries = model_entries()
    if name not in entries:
        raise ModelError(f"model {name!r}: not in any manifest; known are {', '.join(sorted(entries)) or 'none'}.")
    return entries[name]


def load_weights(name: str) -> bytes:
    """Contents of a model's weights file, after its checksum was compared.

    Raises:
        ModelError: unknown model, no file, or another checksum.
    """
    entry = model_entry(name)
    data = _find_file(name, entry.file, entry.sha256)
    if data is not None:
        return data
    places = ", ".join(str(folder) for folder in model_folders())
    raise ModelError(f"model {name!r}: {entry.file} is in none of {places}; put it there or set {MODELS_DIR_VARIABLE}.")


def exported_file(graph: str, precision: str, *, weights_sha256: str = "") -> ExportedFile | None:
    """What the manifests say of a network's exported file; None where there is none of the weights that are there.

    Args:
        graph: name of the network, of `ModelGraph`.
        precision: one of `session.PRECISIONS`.
        weights_sha256: of those weights; empty for what the manifests say of the model, if they know it.

    Raises:
        ModelError: a manifest cannot be read.
    """
    entries = model_entries()
    found = _exported_files().get((graph, precision))
    model = entries.get(graph) or entries.get(graph.rpartition(".")[0])
    expected = weights_sha256 or (model.sha256 if model else "")
    if found is not None and expected and found.weights_sha256 != expected:
        _LOGGER.warning("%s was exported of other weights of %s, and is not used; export it again", found.file, graph)
        return None
    return found


def load_export(graph: str, precision: str, *, weights_sha256: str = "") -> bytes | None:
    """Contents of a network's exported file, after its checksum was compared; None where there is no such file.

    Args:
        graph: name of the network, of `ModelGraph`.
        precision: one of `session.PRECISIONS`.
        weights_sha256: as for `exported_file`.

    Raises:
        ModelError: another checksum, or a manifest cannot be read.
    """
    exported = exported_file(graph, precision, weights_sha256=weights_sha256)
    return None if exported is None else _find_file(graph, exported.file, exported.sha256)


def _find_file(name: str, file: str, sha256: str) -> bytes | None:
    """Contents of the first file of that name in the models folders, or None; ModelError for another checksum."""
    for folder in model_folders():
        path = folder / file
        if path.is_file():
            data = path.read_bytes()
            found = hashlib.sha256(data).hexdigest()
            if found != sha256:
                raise ModelError(
                    f"model {name!r}: {path} has sha256 {found}, the manifest says {sha256}; get the file again."
                )
            return data
    return None


def _exported_files() -> dict[tuple[str, str], ExportedFile]:
    """Exported files by (graph, precision), from every manifest in the model folders."""
    files: dict[tuple[str, str], ExportedFile] = {}
    for folder in reversed(model_folders()):
        manifest = folder / "manifest.yaml"
        if manifest.is_file():
            files.update(_read_exports(manifest))
    return files


def _read_exports(path: Path) -> dict[tuple[str, str], ExportedFile]:
    """Exported files of one manifest."""
    files = {}
    try:
        rows: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8")).get("exports") or {}
        for key, row in rows.items():
            graph, _, precision = key.rpartition("/")
            values = {name: str(row[name]) for name in ("file", "sha256", "weights_sha256")}
            files[graph, precision] = ExportedFile(graph=graph, precision=precision, **values)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error
    return files


def _read_manifest(path: Path) -> dict[str, ModelEntry]:
    """Entries of one manifest."""
    try:
        rows: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
        return {
            str(name): ModelEntry(
                name=str(name),
                kind=str(row["kind"]),
                file=str(row["file"]),
                sha256=str(row["sha256"]),
                licence=str(row["licence"]),
                source=str(row["source"]),
                radii=tuple(float(radius) for radius in row.get("radii", ())),
                calibration_with_depth=tuple(float(w) for w in row.get("calibration_with_depth", ())),
                calibration_without_depth=tuple(float(w) for w in row.get("calibration_without_depth", ())),
                calibration_scene={
                    str(pair): (float(temperature), float(unknown))
                    for pair, (temperature, unknown) in row.get("calibration_scene", {}).items()
                },
                inventory=str(row.get("inventory", "")),
            )
            for name, row in rows.items()
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelError:
    """What is said of a manifest that is no manifest."""
    reason = " ".join(str(error).split())  # YAML's own message has several lines
    return ModelError(f"model manifest {path}: cannot be read, {type(error).__name__}: {reason}; mend or remove it.")
