#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds a run to the page of benchmarks, above the earlier ones, and draws its figures.

make bench && python benchmarks/record_run.py [runs/bench.json]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from run_figures import draw_backends, draw_steps
from run_results import BenchRun, read_run
from tables import markdown_table, short_commit

MARK = "<!-- Runs, newest first; benchmarks/record_run.py adds them below this line. -->"
OPEN, CLOSED = "<details open>", "<details>"
FIGURE = "![Newest run: "
"""How lines with figures begin; they are only of the newest run."""
FIGURES = {
    "backends.png": ("latency of each network on each backend as a multiple of torch eager's", draw_backends),
    "localizer-step.png": ("stages of a localizer step", draw_steps),
}
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, nargs="?", default=Path("runs/bench.json"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=DOCS / "benchmarks.md", help="default: docs/benchmarks.md")
    args = parser.parse_args()
    run = read_run(args.json)
    page = with_run(args.page.read_text(encoding="utf-8"), run, draw_figures(run, args.page.parent / "images"))
    args.page.write_text(page, encoding="utf-8")
    return 0


def draw_figures(run: BenchRun, folder: Path) -> list[str]:
    """Write what the run has numbers for; gives the lines for the page, which stands beside the folder."""
    lines = []
    for name, (title, draw) in FIGURES.items():
        figure = draw(run)
        if figure:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(figure)
            lines += [f"{FIGURE}{title}]({folder.name}/{name})", ""]
    return lines


def with_run(page: str, run: BenchRun, figures: Sequence[str] = ()) -> str:
    """The page with a run, unfolded, and all earlier ones folded and without figures.

    Raises:
        ValueError: the page has no place for runs.
    """
    before, mark, runs = page.partition(MARK)
    if not mark:
        raise ValueError(f"page: expected the line {MARK!r}, after which runs are kept; add it.")
    earlier = [line for line in runs.replace(OPEN, CLOSED).splitlines() if not line.startswith(FIGURE)]
    return "\n".join([before + mark, "", *figures, describe_run(run), *earlier[1:]]).rstrip() + "\n"


def describe_run(run: BenchRun) -> str:
    """A part of the page that can be folded."""
    found = run.environment
    title = f"{found.provenance.created[:10]}, commit {short_commit(run)}, {found.processor}, {found.gpu or 'no GPU'}"
    return f"{OPEN}\n<summary>{title}, {run.effort} run</summary>\n\n{markdown_table(run)}\n\n</details>\n"


if __name__ == "__main__":
    sys.exit(main())
