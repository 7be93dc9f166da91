# SPDX-License-Identifier: Apache-2.0
"""Tests of jobs that are spread over processes."""

from __future__ import annotations

import pytest
from room_cases import threads_of

from xover_core.training.worker_pool import count_jobs, run_jobs


def test_without_workers_jobs_are_done_one_after_the_other():
    done: list[int] = []

    def do(number: int) -> str:
        done.append(number)
        return str(number * number)

    jobs = run_jobs(do, [3, 1, 2], 0)
    assert next(jobs) == (3, "9")
    assert done == [3]
    assert list(jobs) == [(1, "1"), (2, "4")]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_nothing_to_do_starts_nothing(num_workers):
    assert list(run_jobs(threads_of, [], num_workers)) == []


def test_workers_have_one_thread_each_and_what_fails_is_told():
    jobs = run_jobs(threads_of, [4, 2, -1], 1)
    assert [next(jobs), next(jobs)] == [(4, "4: 1"), (2, "2: 1")]
    with pytest.raises(ValueError, match="job -1"):
        next(jobs)


def test_what_fails_without_workers_is_told():
    with pytest.raises(ValueError, match="job -1"):
        list(run_jobs(threads_of, [-1], 0))


def test_jobs_are_counted_from_those_that_were_done_before():
    reports: list[tuple[int, int]] = []
    jobs = count_jobs(iter([(7, ""), (8, "broken")]), 3, 5, lambda done, num_all: reports.append((done, num_all)))
    assert next(jobs) == (7, "")
    assert reports == [(3, 5)]
    assert list(jobs) == [(8, "broken")]
    assert reports == [(3, 5), (4, 5), (5, 5)]
    assert list(count_jobs([(1, "")], 0, 1, None)) == [(1, "")]
