# SPDX-License-Identifier: Apache-2.0
"""Runs of benchmarks that are kept in a page, and their figures."""

from __future__ import annotations

import pytest
from environment import find_environment
from measurement import Measurement
from record_run import CLOSED, FIGURE, MARK, OPEN, describe_run, draw_figures, with_run
from run_figures import draw_backends, draw_steps
from run_results import BenchRun, SectionResult

PNG = b"\x89PNG"


def make_run(*rows: tuple[str, ...]) -> BenchRun:
    measurements = tuple(
        Measurement(
            area=area,
            name=name,
            value=2.0,
            unit="ms",
            baseline="torch eager",
            baseline_value=4.0,
            variant="".join(variant),
        )
        for area, name, *variant in rows
    )
    section = SectionResult(name="one", seconds=1.0, measurements=measurements)
    return BenchRun(environment=find_environment(), effort="quick", sections=(section,))


def test_a_run_says_where_and_how_it_was_made():
    text = describe_run(make_run(("matching", "fast")))
    title = text.splitlines()[1]
    assert find_environment().processor in title
    assert "quick run" in title
    assert "| fast | 2.00 | ms | torch eager | 4.00 | 0.500 |" in text


def test_the_newest_run_stands_above_and_the_others_are_folded():
    page = f"# Benchmarks\n\ntext\n\n{MARK}\n"
    once = with_run(page, make_run(("matching", "earlier")))
    twice = with_run(once, make_run(("matching", "later")))
    assert twice.startswith(page)
    assert twice.index("| later |") < twice.index("| earlier |")
    assert twice.count(OPEN) == 1
    assert twice.index(OPEN) < twice.index(CLOSED)
    assert twice.count(CLOSED) == 1


def test_only_the_newest_run_has_figures(tmp_path):
    figures = draw_figures(make_run(("localizer step, online", "match, p50")), tmp_path / "images")
    assert (tmp_path / "images/localizer-step.png").read_bytes().startswith(PNG)
    assert [line for line in figures if line] == [f"{FIGURE}stages of a localizer step](images/localizer-step.png)"]
    page = with_run(f"# Benchmarks\n\n{MARK}\n\n## Earlier\n", make_run(), figures)
    assert page.count(FIGURE) == 1
    assert with_run(page, make_run(), figures).count(FIGURE) == 1
    assert FIGURE not in with_run(page, make_run())
    assert page.endswith("\n## Earlier\n")


def test_a_page_without_a_place_for_runs_is_refused():
    with pytest.raises(ValueError, match="expected the line"):
        with_run("# Benchmarks\n", make_run())


def test_figures_are_drawn_of_the_areas_that_they_are_about():
    backends = [("networks, cpu, p50", name, way) for name in "ab" for way in ("x fp32", "y int8")]
    assert draw_backends(make_run(*backends)).startswith(PNG)
    assert draw_steps(make_run(("localizer step, online", "match, p50"))).startswith(PNG)


def test_without_numbers_there_is_no_figure():
    run = make_run(("matching", "fast, p50"), ("localizer step", "match, p95"), ("networks, p95", "a", "x fp32"))
    assert draw_backends(run) == draw_steps(run) == b""
