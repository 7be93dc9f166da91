# SPDX-License-Identifier: Apache-2.0
"""Two functions at the same time."""

from __future__ import annotations

import threading

import pytest

from xover_core.config import InferenceSettings
from xover_core.inference.cuda_devices import CudaDevice
from xover_core.localization import side_by_side
from xover_core.localization.side_by_side import SideBySide, threads_on_cpu, threads_with_networks

# Nothing waits this long unless the test fails.
TIMEOUT_S = 20.0


@pytest.mark.parametrize("num_threads", [1, 2])
def test_both_results_come_back_in_order(num_threads: int) -> None:
    beside = SideBySide(num_threads)
    assert [beside.call(lambda i=i: i, lambda i=i: -i) for i in range(3)] == [(0, 0), (1, -1), (2, -2)]


def test_with_two_threads_they_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=TIMEOUT_S)
    both = SideBySide(2).call(meeting.wait, meeting.wait)
    assert sorted(both) == [0, 1]


def test_with_one_thread_the_second_follows_the_first_in_the_caller() -> None:
    order = SideBySide(1).call(threading.get_ident, threading.get_ident)
    assert order == (threading.get_ident(), threading.get_ident())


@pytest.mark.parametrize("num_threads", [1, 2])
def test_errors_of_both_reach_the_caller(num_threads: int) -> None:
    def fail() -> None:
        raise ValueError("no")

    for first, second in ((fail, int), (int, fail), (fail, fail)):
        with pytest.raises(ValueError, match="no"):
            SideBySide(num_threads).call(first, second)


def test_when_the_first_raises_the_second_has_ended() -> None:
    ended = threading.Event()
    started = threading.Event()

    def fail() -> None:
        started.wait(TIMEOUT_S)
        raise ValueError("no")

    def finish() -> None:
        started.set()
        ended.set()

    with pytest.raises(ValueError, match="no"):
        SideBySide(2).call(fail, finish)
    assert ended.is_set()


def test_threads_are_those_of_the_setting_or_of_the_environment_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_on_cpu(InferenceSettings(num_threads=5)) == 5
    assert threads_on_cpu(InferenceSettings()) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(side_by_side.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert threads_on_cpu(InferenceSettings()) == 4


def test_on_a_gpu_one_network_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    device = CudaDevice(index=0, name="made up", compute_capability=(8, 9))
    monkeypatch.setattr(side_by_side, "find_cuda_devices", lambda: (device,))
    assert threads_with_networks(InferenceSettings(num_threads=4)) == 1
    assert threads_with_networks(InferenceSettings(num_threads=4, device="cpu")) == 4
    monkeypatch.setattr(side_by_side, "find_cuda_devices", lambda: ())
    assert threads_with_networks(InferenceSettings(num_threads=4)) == 4
