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
Report = Callable[[], None]


class Worker(Generic[FrameT]):
    """Runs `process_frame` on the newest frame offered and, before it, every job submitted.

    Callbacks of the node hand over work and return at once. A frame that waits while another one is being processed is
    replaced by a newer one, so a slow machine drops frames instead of falling behind.
    """

    def __init__(self, process_frame: Callable[[FrameT], Report], name: str) -> None:
        """Start the thread.

        Args:
            process_frame: called in the thread; must not raise. What it returns is called when the next frame, if one
                waits, has been taken out of the slot: whoever sends a frame on hearing of it replaces nothing.
            name: of the thread, for debuggers.
        """
        self._process_frame = process_frame
        self._next: FrameT | None = None  # offered while nothing was being done: it will be processed
        self._frame: FrameT | None = None  # the slot
        self._is_busy = False
        self._jobs: deque[Job] = deque()
        self._condition = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, frame: FrameT) -> FrameT | None:
        """Hand over a frame; returns the older one that it replaces, which will not be processed."""
        with self._condition:
            replaced = None
            if self._is_busy or self._next is not None:
                replaced, self._frame = self._frame, frame
            else:
                self._next = frame
            self._condition.notify()
        return replaced

    def take_back(self) -> list[FrameT]:
        """Take away the frames that are not being processed yet."""
        with self._condition:
            waiting = [frame for frame in (self._next, self._frame) if frame is not None]
            self._next = self._frame = None
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
            self._next = self._frame = None
            while self._jobs:
                self._jobs.popleft()[1].cancel()
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        report: Report | None = None
        while True:
            job, frame = self._take(may_wait=report is None)
            if report is not None:
                report()
                report = None
            if job is not None:
                _run_job(*job)
            elif frame is not None:
                report = self._process_frame(frame)
            elif self._is_stopping:
                return

    def _take(self, *, may_wait: bool) -> tuple[Job | None, FrameT | None]:
        """Take the next job, or else the next frame; nothing at the end, or if nothing is there."""
        with self._condition:
            if may_wait:
                self._is_busy = False
                self._condition.wait_for(self._has_something)
            job = self._jobs.popleft() if self._jobs else None
            frame = None
            if job is None and self._next is not None:
                frame, self._next = self._next, None
            elif job is None:
                frame, self._frame = self._frame, None
            self._is_busy = job is not None or frame is not None
            return job, frame

    def _has_something(self) -> bool:
        return self._is_stopping or bool(self._jobs) or self._next is not None or self._frame is not None


def _run_job(job: Callable[[], Any], future: Future[Any]) -> None:
    """Run a job and put what it returns or raises into the future, where whoever waits for it decides."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)
