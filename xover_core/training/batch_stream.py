# SPDX-License-Identifier: Apache-2.0
"""The batches of a whole run as one stream, shared out to processes and loaded ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic

from xover_core.errors import TrainingError
from xover_core.training.training_task import BatchT, TrainingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlace:
    """Where a batch stands in a run.

    Attributes:
        position: in the stream of all epochs, of all processes.
        epoch: that it belongs to.
        number: in its epoch.
    """

    position: int
    epoch: int
    number: int


def batch_places(task: TrainingTask[BatchT], *, start: int = 0, stride: int = 1) -> Iterator[BatchPlace]:
    """Every `stride`-th batch from position `start` on, without end.

    Raises:
        TrainingError: an epoch has no batches.
    """
    epoch, first, position = 0, 0, start
    while True:
        while position - first >= (size := task.num_batches(epoch)):
            if size < 1:
                raise TrainingError(f"epoch {epoch}: expected at least one batch, got {size}; is there any data?")
            first, epoch = first + size, epoch + 1
        yield BatchPlace(position=position, epoch=epoch, number=position - first)
        position += stride


class BatchStream(Generic[BatchT]):
    """Gives the batches of one process in order, loading the next ones in threads. Use as a context."""

    def __init__(
        self, task: TrainingTask[BatchT], *, start: int, stride: int, num_threads: int, overfit: bool = False
    ) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            task: loads the batches.
            start: position of the first batch.
            stride: number of processes.
            num_threads: that load ahead, at most as many batches; 0 = load when asked.
            overfit: give the first batch of the first epoch, at every place.
        """
        self._task = task
        self._places = batch_places(task, start=start, stride=stride)
        self._overfit = overfit
        self._num_threads = num_threads
        self._threads = ThreadPoolExecutor(num_threads, "batch-loader") if num_threads else None
        self._waiting: deque[tuple[BatchPlace, Future[BatchT]]] = deque()

    def __enter__(self) -> BatchStream[BatchT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def next(self) -> tuple[BatchPlace, BatchT]:
        """The next batch and where it stands; errors of loading come out here."""
        if not self._threads:
            place = next(self._places)
            return place, self._load(place)
        while len(self._waiting) <= self._num_threads:
            place = next(self._places)
            self._waiting.append((place, self._threads.submit(self._load, place)))
        place, future = self._waiting.popleft()
        return place, future.result()

    def _load(self, place: BatchPlace) -> BatchT:
        return self._task.load_batch(0, 0) if self._overfit else self._task.load_batch(place.epoch, place.number)
