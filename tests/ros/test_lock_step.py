# SPDX-License-Identifier: Apache-2.0
"""The player waits for every node that acknowledges, and never for ever."""

from __future__ import annotations

import threading

from xover_ros.lock_step import LockStep

SHORT_S = 0.05
LONG_S = 10.0


def _never() -> bool:
    return False


def test_images_that_are_done_with_are_not_waited_for() -> None:
    step = LockStep(lambda: 1)
    step.sent(10)
    assert step.wait(1, SHORT_S, _never)
    assert not step.wait(0, SHORT_S, _never)
    step.sent(20)
    step.acknowledge("/localizer", 20)
    assert step.wait(0, SHORT_S, _never)


def test_an_acknowledgement_covers_all_images_before_it() -> None:
    step = LockStep(lambda: 1)
    for stamp in (10, 20, 30):
        step.sent(stamp)
    step.acknowledge("/localizer", 30)
    assert step.wait(0, SHORT_S, _never)


def test_all_nodes_must_acknowledge() -> None:
    step = LockStep(lambda: 2)
    step.sent(10)
    step.acknowledge("/localizer", 10)
    assert not step.wait(0, SHORT_S, _never)
    step.sent(20)
    threading.Timer(SHORT_S, step.acknowledge, ("/mapper", 20)).start()
    step.acknowledge("/localizer", 20)
    assert step.wait(0, LONG_S, _never)


def test_stopping_ends_the_wait_at_once() -> None:
    stopped = threading.Event()
    step = LockStep(lambda: 1)
    step.sent(10)
    threading.Timer(SHORT_S, stopped.set).start()
    assert step.wait(0, LONG_S, stopped.is_set)


def test_after_a_restart_old_acknowledgements_do_not_count() -> None:
    step = LockStep(lambda: 1)
    step.acknowledge("/localizer", 1000)
    step.clear()
    step.sent(10)
    assert not step.wait(0, SHORT_S, _never)
