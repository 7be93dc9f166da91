# SPDX-License-Identifier: Apache-2.0
"""The folder of a training run, and its log: `log.jsonl` always, TensorBoard where that is installed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from xover_core.config import Settings
from xover_core.config_io import dump_settings
from xover_core.errors import TrainingError

_LOGGER = logging.getLogger(__name__)


class RunFolder:
    """Names of the files of a run."""

    def __init__(self, directory: Path) -> None:
        """Name a folder, which may not exist yet."""
        self.directory = Path(directory)
        self.settings = self.directory / "settings.yaml"
        self.log = self.directory / "log.jsonl"
        self.tensorboard = self.directory / "tensorboard"
        self.last = self.directory / "last.safetensors"
        self.best = self.directory / "best.safetensors"

    def check(self, *, resume: bool) -> None:
        """Refuse to begin before anything costs time; nothing is written.

        Raises:
            TrainingError: a new run in a folder that holds one, or no checkpoint to resume from.
        """
        if resume and not self.last.exists():
            raise TrainingError(f"run folder {self.directory}: has no {self.last.name} to resume from; start anew.")
        if self.last.exists() and not resume:
            raise TrainingError(f"run folder {self.directory}: holds a run already; resume it, or name another folder.")

    def write_settings(self, settings: Settings) -> None:
        """Write down what the run is made with, into a folder that is made when missing.

        Raises:
            TrainingError: it cannot be written to.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.settings.write_text(dump_settings(settings), encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"run folder {self.directory}: cannot be written to, {error}.") from error


class CurveWriter(Protocol):
    """The part of TensorBoard's `SummaryWriter` that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add one point to a curve."""
        ...

    def close(self) -> None:
        """Write what is waiting."""
        ...


class ScalarLog:
    """Appends scalars of a step to `log.jsonl` and to TensorBoard. Close it in the end."""

    def __init__(self, folder: RunFolder, *, first_step: int) -> None:
        """Open the log.

        Args:
            folder: of the run.
            first_step: steps that the run has done; what an earlier session logged beyond it will be done again, and
                is forgotten.
        """
        lines = [line for line in _lines_of(folder.log) if json.loads(line)["step"] <= first_step]
        folder.log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        # by lines, so that a run can be watched
        self._file = folder.log.open("a", encoding="utf-8", buffering=1)
        self._curves = _open_tensorboard(folder.tensorboard, first_step)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write one line: after `step` steps."""
        self._file.write(json.dumps({"step": step, **scalars}) + "\n")
        if self._curves:
            for name, value in scalars.items():
                self._curves.add_scalar(name, value, step)

    def close(self) -> None:
        """Close both."""
        self._file.close()
        if self._curves:
            self._curves.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """Lines of a `log.jsonl`: `step`, and what was measured there; those of validations have `validation/...`."""
    return [json.loads(line) for line in _lines_of(path)]


def _lines_of(path: Path) -> list[str]:
    """Complete lines; the last one may have been cut off by a crash."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def _open_tensorboard(folder: Path, first_step: int) -> CurveWriter | None:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _LOGGER.info('no TensorBoard curves, since it is not installed (pip install "xover[train]"); see log.jsonl')
        return None
    writer: CurveWriter = SummaryWriter(str(folder), purge_step=first_step)
    return writer
