# SPDX-License-Identifier: Apache-2.0
"""The worker thread: newest frame only, jobs first, an orderly end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from xover_ros.worker import Worker

TIMEOUT_S = 10.0


class _Gate:
    """A frame processor that can be held up."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.started = threading.Event()
        self.may_go_on = threading.Event()

    def process(self, frame: int) -> Callable[[], None]:
        self.started.set()
        assert self.may_go_on.wait(TIMEOUT_S)
        return lambda: self.seen.append(frame)


def _ignore(frame: int) -> Callable[[], None]:
    return lambda: None


def test_only_the_newest_frame_waits() -> None:
    gate = _Gate()
    worker = Worker(gate.process, "test")
    assert worker.offer(1) is None
    assert gate.started.wait(TIMEOUT_S)
    assert worker.offer(2) is None
    assert worker.offer(3) == 2
    gate.may_go_on.set()
    worker.submit(lambda: None).result(TIMEOUT_S)
    while len(gate.seen) < 2:
        worker.submit(lambda: None).result(TIMEOUT_S)
    worker.stop()
    assert gate.seen == [1, 3]


def test_a_frame_that_waits_can_be_taken_back() -> None:
    gate = _Gate()
    worker = Worker(gate.process, "test")
    worker.offer(1)
    assert gate.started.wait(TIMEOUT_S)
    worker.offer(2)
    assert worker.take_back() == [2]
    assert worker.take_back() == []
    gate.may_go_on.set()
    worker.stop()
    assert gate.seen == [1]


def test_whoever_sends_a_frame_on_hearing_of_the_last_one_replaces_nothing() -> None:
    """Frames sent one ahead of those reported are all processed, however the threads are scheduled."""
    replaced: list[int | None] = []
    done = threading.Semaphore(0)
    worker: Worker[int] = Worker(lambda frame: done.release, "test")
    worker.submit(lambda: None).result(TIMEOUT_S)
    worker.offer(0)
    for frame in range(1, 300):
        replaced.append(worker.offer(frame))
        assert done.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert replaced == [None] * 299


def test_jobs_give_their_result_or_their_exception() -> None:
    worker: Worker[int] = Worker(_ignore, "test")
    assert worker.submit(lambda: 7).result(TIMEOUT_S) == 7
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(TIMEOUT_S)
    assert worker.submit(lambda: 8).result(TIMEOUT_S) == 8
    worker.stop()


def test_after_the_end_jobs_are_cancelled() -> None:
    worker: Worker[int] = Worker(_ignore, "test")
    worker.stop()
    assert worker.submit(lambda: 7).cancelled()
