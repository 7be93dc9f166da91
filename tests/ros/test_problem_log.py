# SPDX-License-Identifier: Apache-2.0
"""One line for each reason; everything is counted."""

from __future__ import annotations

from xover_ros.problem_log import MAX_REASONS, REPEAT_AFTER_S, ProblemLog


def test_repetitions_are_counted_and_logged_later_with_their_number() -> None:
    lines: list[str] = []
    now = [0.0]
    log = ProblemLog(lines.append, lambda: now[0])
    for i in range(5):
        log.report("empty depth", f"/depth: no reading at {i}.25 s")
    assert lines == ["/depth: no reading at 0.25 s"]
    now[0] = REPEAT_AFTER_S
    log.report("empty depth", "/depth: no reading at 9 s")
    assert lines[1] == "/depth: no reading at 9 s (4 more like this before)"
    assert log.counts == {"empty depth": 6}


def test_different_reasons_do_not_hide_each_other() -> None:
    lines: list[str] = []
    log = ProblemLog(lines.append, lambda: 0.0)
    log.report("bad", "/rgb: encoding 'x'")
    log.report("bad", "/rgb: encoding 'y'")
    assert len(lines) == 2


def test_reasons_that_never_repeat_do_not_fill_the_memory() -> None:
    log = ProblemLog(lambda line: None, lambda: 0.0)
    for i in range(3 * MAX_REASONS):
        log.report("bad", "x" * (i + 1))
    assert log.counts == {"bad": 3 * MAX_REASONS}
    assert len(log._last) <= MAX_REASONS
