#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds a run to the page of benchmarks, above the earlier ones, and draws its figures.

make bench && python benchmarks/record_run.py [runs/bench.json]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from run_figures import draw_backends, draw_steps
from run_results import BenchRun, read_run
from tables import markdown_table, short_commit

MARK = "<!-- Runs, newest first; benchmarks/record_run.py adds them below this line. -->"
OPEN, CLOSED = "<details open>", "<details>"
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, nargs="?", default=Path("runs/bench.json"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=DOCS / "benchmarks.md", help="default: docs/benchmarks.md")
    parser.add_argument("--images", type=Path, default=DOCS / "images", help="default: docs/images")
    args = parser.parse_args()
    run = read_run(args.json)
    args.page.write_text(with_run(args.page.read_text(encoding="utf-8"), run), encoding="utf-8")
    for name, draw in (("backends.png", draw_backends), ("localizer-step.png", draw_steps)):
        figure = draw(run)
        print(f"{name}: {'drawn' if figure else 'the run has no numbers for it'}")
        if figure:
            (args.images / name).write_bytes(figure)
    return 0


def with_run(page: str, run: BenchRun) -> str:
    """The page with a run, unfolded, and all earlier ones folded.

    Raises:
        ValueError: the page has no place for runs.
    """
    before, mark, runs = page.partition(MARK)
    if not mark:
        raise ValueError(f"page: expected the line {MARK!r}, after which runs are kept; add it.")
    return f"{before}{mark}\n\n{describe_run(run)}\n{runs.replace(OPEN, CLOSED)}"


def describe_run(run: BenchRun) -> str:
    """A part of the page that can be folded."""
    found = run.environment
    title = f"{found.provenance.created[:10]}, commit {short_commit(run)}, {found.processor}, {found.gpu or 'no GPU'}"
    return f"{OPEN}\n<summary>{title}, {run.effort} run</summary>\n\n{markdown_table(run)}\n\n</details>\n"


if __name__ == "__main__":
    sys.exit(main())
