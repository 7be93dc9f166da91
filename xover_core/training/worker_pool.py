# SPDX-License-Identifier: Apache-2.0
"""Spreads jobs that fill files over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import cv2
import torch

Progress = Callable[[int, int], None]
"""Called with how many are done, and how many there are."""


def run_jobs(do: Callable[[int], str], numbers: Sequence[int], num_workers: int) -> Iterator[tuple[int, str]]:
    """Do a job for each number; yield it with what the job returned, as they end.

    Args:
        do: the job; with workers a function of a module, or a partial of one.
        numbers: for which.
        num_workers: processes with one thread each; 0 = in this process.
    """
    if num_workers == 0:
        yield from ((number, do(number)) for number in numbers)
        return
    if not numbers:
        return
    # fresh processes: forking one that has run torch's threads can hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=_use_one_thread) as pool:
        jobs = {pool.submit(do, number): number for number in numbers}
        try:
            yield from ((jobs[job], job.result()) for job in as_completed(jobs))
        finally:
            pool.shutdown(cancel_futures=True)


def count_jobs(
    jobs: Iterable[tuple[int, str]], num_done: int, num_all: int, progress: Progress | None
) -> Iterator[tuple[int, str]]:
    """Pass jobs on, and report at the start and after each.

    Args:
        jobs: as they end.
        num_done: jobs that had been done before.
        num_all: these and the others.
        progress: what is reported to; None = nobody.
    """
    report = progress or (lambda _done, _all: None)
    report(num_done, num_all)
    for number, job in enumerate(jobs, start=num_done + 1):
        yield job
        report(number, num_all)


def _use_one_thread() -> None:
    """Threads of processes that share the cores wait for each other."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
