# SPDX-License-Identifier: Apache-2.0
"""The training engine: drives any `TrainingTask`, validates, keeps the best weights, and can be stopped and resumed."""

from __future__ import annotations

import enum
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from torch import Tensor

from xover_core.errors import TrainingError
from xover_core.training.batch_stream import BatchPlace, BatchStream
from xover_core.training.learning_rate import learning_rate_at
from xover_core.training.optimization import Optimization
from xover_core.training.processes import Processes
from xover_core.training.run_folder import RunFolder, ScalarLog
from xover_core.training.run_report import ScalarMeans, StepReport
from xover_core.training.stop_request import StopRequest
from xover_core.training.training_settings import TrainerSettings
from xover_core.training.training_state import Progress, load_state, save_state, settings_record
from xover_core.training.training_task import BatchT, TrainingTask, seed_everything

_SECONDS_PER_MINUTE = 60.0

_LOGGER = logging.getLogger(__name__)


class StopReason(enum.Enum):
    """Why a run ended; the later, the stronger, where processes disagree."""

    FINISHED = "all steps are done"
    PATIENCE = "the score has not become better for long"
    TIME = "the time is over"
    INTERRUPTED = "interrupted"


_REASONS = tuple(StopReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """How a run, or a session of it, ended.

    Attributes:
        reason: why.
        step: steps that are done.
        best_score: None without validation.
        best_step: at which it was.
    """

    reason: StopReason
    step: int
    best_score: float | None
    best_step: int


class Trainer(Generic[BatchT]):
    """Trains one task into one folder."""

    def __init__(
        self,
        task: TrainingTask[BatchT],
        settings: TrainerSettings,
        folder: Path,
        *,
        processes: Processes | None = None,
    ) -> None:
        """Bring a network to its device.

        Args:
            task: what is learned.
            settings: those under `trainer` in the task's settings.
            folder: for `settings.yaml`, `log.jsonl`, `tensorboard/`, `last.safetensors` and `best.safetensors`.
            processes: None = as torchrun's environment says.

        Raises:
            TrainingError: no such device, or nothing to train.
        """
        self._task = task
        self._settings = settings
        self._folder = RunFolder(folder)
        self._processes = processes or Processes.join(settings.device)
        task.network.to(self._processes.device)
        self._processes.share_weights(task.network)
        self._optimization = Optimization(task.network, settings, self._processes)
        self._record = settings_record(task.settings, self._processes.size)
        self._num_steps = self._count_steps()
        self._progress = Progress()
        self._means = ScalarMeans()
        self._log: ScalarLog | None = None

    def run(self, *, resume: bool = False) -> TrainingResult:
        """Train until all steps are done, or something ends the session earlier.

        Args:
            resume: go on from `last.safetensors`, which gives the same weights as a run without a break.

        Raises:
            TrainingError: the folder holds a run already, or none to resume; a loss or gradient is not finite.
        """
        self._prepare(resume)
        start, first = time.monotonic() - self._progress.seconds, self._progress.step
        report = StepReport(
            first_step=first,
            num_steps=self._num_steps,
            every_seconds=self._settings.report_seconds,
            is_silent=not self._processes.is_main,
        )
        deadline = time.monotonic() + (self._settings.max_minutes * _SECONDS_PER_MINUTE or math.inf)
        try:
            with StopRequest() as request, self._open_batches() as batches:
                while not (reason := self._reason_to_stop(request, deadline)):
                    report.show(self._progress.step + 1, self._step(batches))
                    self._progress.seconds = time.monotonic() - start
                    self._after_step()
                return self._finish(reason)
        finally:
            report.close()
            if self._log:
                self._log.close()

    def _prepare(self, resume: bool) -> None:
        """Fill the folder, or read from it."""
        if self._processes.is_main:
            self._folder.check(resume=resume)
            self._folder.write_settings(self._task.settings)
        if resume:
            self._progress = load_state(self._folder.last, self._optimization.parts, self._record)
        if self._processes.is_main:
            self._log = ScalarLog(self._folder, first_step=self._progress.step)
        _LOGGER.info("training: steps %d to %d on %s", self._progress.step, self._num_steps, self._processes.device)

    def _open_batches(self) -> BatchStream[BatchT]:
        """The batches that this process has still to do."""
        done = self._progress.step * self._settings.accumulation * self._processes.size
        return BatchStream(
            self._task,
            start=done + self._processes.rank,
            stride=self._processes.size,
            num_threads=self._settings.loader_threads,
            overfit=self._settings.overfit,
        )

    def _reason_to_stop(self, request: StopRequest, deadline: float) -> StopReason | None:
        """Why no further step is done, agreed upon by all processes."""
        reason = None
        if request.is_made:
            reason = StopReason.INTERRUPTED
        elif self._progress.step >= self._num_steps:
            reason = StopReason.FINISHED
        elif time.monotonic() >= deadline:
            reason = StopReason.TIME
        elif self._settings.patience and self._progress.num_worse >= self._settings.patience:
            reason = StopReason.PATIENCE
        strongest = int(self._processes.largest(_REASONS.index(reason) if reason else -1))
        return _REASONS[strongest] if strongest >= 0 else None

    def _step(self, batches: BatchStream[BatchT]) -> float:
        """One step of the weights; returns the mean loss."""
        step = self._progress.step
        rate = learning_rate_at(step, self._num_steps, self._settings)
        self._task.network.train()
        total = 0.0
        for _ in range(self._settings.accumulation):
            place, batch = batches.next()
            seed_everything(self._settings.seed, place.position)
            with self._optimization.precision():
                loss, scalars = self._task.loss(batch)
            total += self._checked(loss, place)
            self._optimization.add_gradient(loss)
            self._means.add({"loss": float(loss.detach()), **scalars})
        norm = self._optimization.step(step, rate)
        if not math.isfinite(norm) and self._settings.precision != "fp16":
            raise TrainingError(
                f"training step {step}, epoch {place.epoch}, batch {place.number}: the gradient is {norm};"
                " try a lower learning rate, or resume from the last checkpoint."
            )
        self._means.add({"learning_rate": rate, "gradient_norm": norm, "epoch": place.epoch})
        return total / self._settings.accumulation

    def _checked(self, loss: Tensor, place: BatchPlace) -> float:
        """The loss as a number; TrainingError when it is none."""
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"training step {self._progress.step}, epoch {place.epoch}, batch {place.number}: the loss is {value};"
                " try a lower learning rate or precision: off, or resume from the last checkpoint."
            )
        return value

    def _after_step(self) -> None:
        """Count, and do what is due."""
        self._progress.step += 1
        step, settings = self._progress.step, self._settings
        if step % settings.log_every == 0:
            self._write_log({**self._means.take(), "seconds": round(self._progress.seconds, 3)})
        if settings.validate_every and step % settings.validate_every == 0:
            self._validate()
            self._save()
        elif settings.save_every and step % settings.save_every == 0:
            self._save()

    def _finish(self, reason: StopReason) -> TrainingResult:
        """Validate unless somebody waits for the end, and save."""
        if reason is not StopReason.INTERRUPTED and self._progress.validated_step != self._progress.step:
            self._validate()
        self._save()
        progress = self._progress
        _LOGGER.info("training: stopped after step %d: %s", progress.step, reason.value)
        return TrainingResult(
            reason=reason, step=progress.step, best_score=progress.best_score, best_step=progress.best_step
        )

    def _validate(self) -> None:
        """Measure the averaged weights, and keep them where they are the best so far."""
        progress = self._progress
        self._task.network.eval()
        with self._optimization.parts.average.applied():
            score = self._processes.from_main(self._measure() if self._processes.is_main else math.nan)
            progress.validated_step = progress.step
            # without a score the newest weights are the best there are
            is_best = progress.best_score is None or score > progress.best_score or math.isnan(score)
            progress.num_worse = 0 if is_best else progress.num_worse + 1
            if is_best:
                progress.best_score = None if math.isnan(score) else score
                progress.best_step = progress.step
                self._save_best()

    def _measure(self) -> float:
        """The task's score, logged with its other scalars; NaN when it has nothing to validate on."""
        scalars = self._task.validate()
        if not scalars:
            return math.nan
        if self._task.score_name not in scalars:
            raise TrainingError(f"validation: expected the score {self._task.score_name!r}, got {sorted(scalars)}.")
        self._write_log({f"validation/{name}": value for name, value in scalars.items()})
        score = scalars[self._task.score_name]
        _LOGGER.info("validation after step %d: %s %.4f", self._progress.step, self._task.score_name, score)
        return -math.inf if math.isnan(score) else score

    def _save_best(self) -> None:
        """The weights as they are to be used."""
        if self._processes.is_main:
            part = self._folder.best.with_name("best.part.safetensors")
            self._task.save_weights(part)
            part.replace(self._folder.best)

    def _save(self) -> None:
        """The state of the run."""
        if self._processes.is_main:
            save_state(self._folder.last, self._optimization.parts, self._progress, self._record)

    def _write_log(self, scalars: dict[str, float]) -> None:
        if self._log:
            self._log.add(self._progress.step, scalars)

    def _count_steps(self) -> int:
        """Steps of the whole run."""
        if self._settings.max_steps:
            return self._settings.max_steps
        num_batches = sum(self._task.num_batches(epoch) for epoch in range(self._settings.num_epochs))
        return max(1, math.ceil(num_batches / (self._settings.accumulation * self._processes.size)))
