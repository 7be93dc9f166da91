# SPDX-License-Identifier: Apache-2.0
"""The one thread that does the work: jobs in order, and besides them always the newest frame only."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

FrameT = TypeVar("FrameT")
ResultT = TypeVar("ResultT")
Job = tuple[Callable[[], Any], "Future[Any]"]


class Worker(Generic[FrameT]):
    """Runs `process_frame` on the newest frame offered and, before it, every job submitted.

    Callbacks of the node hand over work and return at once. A frame that is still waiting when a newer one comes is
    replaced, so a slow machine drops frames instead of falling behind.
    """

    def __init__(self, process_frame: Callable[[FrameT], None], name: str) -> None:
        """Start the thread.

        Args:
            process_frame: called in the thread; must not raise.
            name: of the thread, for debuggers.
        """
        self._process_frame = process_frame
        self._frame: FrameT | None = None
        self._jobs: deque[Job] = deque()
        self._condition = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, frame: FrameT) -> FrameT | None:
        """Put a frame into the slot; returns the older one that it replaces, which will not be processed."""
        with self._condition:
            replaced, self._frame = self._frame, frame
            self._condition.notify()
        return replaced

    def take_back(self) -> FrameT | None:
        """Empty the slot; returns the frame that was waiting in it."""
        with self._condition:
            waiting, self._frame = self._frame, None
        return waiting

    def submit(self, job: Callable[[], ResultT]) -> Future[ResultT]:
        """Queue a job; its result or exception arrives in the future. Cancelled when the worker has stopped."""
        future: Future[ResultT] = Future()
        with self._condition:
            if self._is_stopping:
                future.cancel()
            else:
                self._jobs.append((job, future))
                self._condition.notify()
        return future

    def stop(self) -> None:
        """Finish what is running, drop the waiting frame, cancel the waiting jobs, and end the thread."""
        with self._condition:
            self._is_stopping = True
            self._frame = None
            while self._jobs:
                self._jobs.popleft()[1].cancel()
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._is_stopping or self._jobs or self._frame is not None)
                if self._is_stopping:
                    return
                job = self._jobs.popleft() if self._jobs else None
                frame = None
                if job is None:
                    frame, self._frame = self._frame, None
            if job is not None:
                _run_job(*job)
            elif frame is not None:
                self._process_frame(frame)


def _run_job(job: Callable[[], Any], future: Future[Any]) -> None:
    """Run a job and put what it returns or raises into the future, where whoever waits for it decides."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)
