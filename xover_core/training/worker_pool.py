# SPDX-License-Identifier: Apache-2.0
"""Spreads jobs that fill files over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import cv2
import torch


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


def _use_one_thread() -> None:
    """Threads of processes that share the cores wait for each other."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
