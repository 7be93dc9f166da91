# SPDX-License-Identifier: Apache-2.0
"""Threads of a localizer's step: how many there may be, and two things done at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from xover_core.config import InferenceSettings
from xover_core.inference.cuda_devices import CPU, find_cuda_devices, pick_device
from xover_core.inference.threads import num_threads_of

A = TypeVar("A")
B = TypeVar("B")


class SideBySide:
    """Calls two functions at the same time where there are two threads, else one after the other."""

    def __init__(self, num_threads: int) -> None:
        """Take how many threads there may be, at least 1."""
        self._helper = ThreadPoolExecutor(1, "xover-beside") if num_threads > 1 else None

    def call(self, first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
        """What both return; when one raises, the other has come to its end as well."""
        if self._helper is None:
            return first(), second()
        beside = self._helper.submit(second)
        try:
            result = first()
        finally:
            beside.exception()  # waits: networks are not to be used by two threads
        return result, beside.result()


def threads_on_cpu(settings: InferenceSettings) -> int:
    """Threads for work on the processor: as many as a network gets there, at least 1."""
    return num_threads_of(settings.num_threads) or len(os.sched_getaffinity(0))


def threads_with_networks(settings: InferenceSettings) -> int:
    """Threads that may run a network each: as `threads_on_cpu`; 1 on a GPU, which does one thing after the other."""
    if pick_device(settings.device, find_cuda_devices()) != CPU:
        return 1
    return threads_on_cpu(settings)
