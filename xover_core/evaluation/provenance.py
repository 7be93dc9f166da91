# SPDX-License-Identifier: Apache-2.0
"""What made a result: version, commit, machine, libraries. Written next to every number."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xover_core
from xover_core.errors import TrainingError

_LIBRARIES = (
    *("numpy", "opencv-python-headless", "faiss-cpu", "faiss-gpu", "poselib"),
    *("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt"),
)
_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a result comes from.

    Attributes:
        version: of xover.
        commit: of the source tree, with `+changes` when it was modified; empty outside of a git checkout.
        created: UTC time, ISO 8601.
        machine: operating system, processor and number of cores.
        python: version.
        libraries: name -> version of those that move numbers.
    """

    version: str
    commit: str
    created: str
    machine: str
    python: str
    libraries: dict[str, str]


def find_provenance() -> Provenance:
    """Describe this process."""
    return Provenance(
        version=xover_core.__version__,
        commit=_source_commit(Path(xover_core.__file__).resolve().parent.parent),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        machine=f"{platform.platform()}, {os.cpu_count()} cores",
        python=platform.python_version(),
        libraries={name: version for name in _LIBRARIES if (version := _library_version(name))},
    )


def log_provenance(folder: Path, facts: Mapping[str, Any] | None = None) -> None:
    """Add a line to `folder/provenance.jsonl`, made when missing: this process, and what else to remember of it.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "provenance.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**dataclasses.asdict(find_provenance()), **(facts or {})}) + "\n")
    except OSError as error:
        raise TrainingError(f"folder {folder}: cannot be written to, {error}; name another one.") from error


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _library_version(name: str) -> str:
    """Version of an installed distribution, empty when it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _source_commit(folder: Path) -> str:
    """Commit of the checkout that holds `folder`, empty when there is none."""
    if not (folder / ".git").exists():
        return ""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit + ("+changes" if commit and _git(folder, "status", "--porcelain") else "")


def _git(folder: Path, *arguments: str) -> str:
    """Output of a git command, empty when git is not there or fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
