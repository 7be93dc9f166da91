# SPDX-License-Identifier: Apache-2.0
"""Makes a command of a section: arguments that all have, rows as they come, a file at the end whatever happened."""

from __future__ import annotations

import argparse
import enum
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from environment import find_environment
from measurement import Measurement, NotMeasured, Row
from run_results import BenchRun, SectionResult, write_run
from tables import cells, markdown_table, plain_table

T = TypeVar("T")
Measure = Callable[[argparse.Namespace], Iterable[Row]]
AddArguments = Callable[[argparse.ArgumentParser], None]
PREFIX = "bench_"


class Effort(enum.Enum):
    """How long a section may take on two cores: about a minute, a few minutes, as long as it needs."""

    QUICK = "quick"
    NORMAL = "normal"
    FULL = "full"

    def pick(self, quick: T, normal: T, full: T) -> T:
        """One of three values, such as numbers of rounds."""
        return {Effort.QUICK: quick, Effort.NORMAL: normal, Effort.FULL: full}[self]


def run_section(description: str | None, measure: Measure, add_arguments: AddArguments | None = None) -> int:
    """Parse the command line, measure, print a table, write JSON.

    Args:
        description: of the command, the docstring of its module.
        measure: gives rows one after the other; takes the parsed arguments, of which `effort` is an `Effort`.
        add_arguments: adds those that only this section has.

    Returns:
        Exit code: 1 when `measure` raised something; what it gave before is written and printed.
    """
    name = Path(sys.argv[0]).stem.removeprefix(PREFIX)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_effort(parser)
    parser.add_argument("--json", type=Path, default=Path(f"runs/bench_{name}.json"), help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page")
    if add_arguments is not None:
        add_arguments(parser)
    args = parser.parse_args()
    # what was started in the background of a shell ignores it, and could not be told to write what it has
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = find_environment()
    run = BenchRun(environment=environment, effort=args.effort.value, sections=(collect(name, measure, args),))
    write_run(run, args.json)
    print(markdown_table(run) if args.markdown else plain_table(run))
    return 1 if run.sections[0].error else 0


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Add `--quick` and `--full`."""
    effort = parser.add_mutually_exclusive_group()
    for value, text in ((Effort.QUICK, "few rounds, small sizes"), (Effort.FULL, "all sizes, however long it takes")):
        effort.add_argument(f"--{value.value}", dest="effort", action="store_const", const=value, help=text)
    parser.set_defaults(effort=Effort.NORMAL)


def collect(name: str, measure: Measure, args: argparse.Namespace) -> SectionResult:
    """All rows of a section; what ended it early is told of in the result and on the standard error."""
    rows: list[Row] = []
    start, error = time.monotonic(), ""
    try:
        for row in measure(args):
            rows.append(row)
            _show_progress(row)
    except (Exception, KeyboardInterrupt) as exception:
        traceback.print_exc()
        error = f"{type(exception).__name__}: {exception}".removesuffix(": ")
    return SectionResult(
        name=name,
        seconds=round(time.monotonic() - start, 1),
        measurements=tuple(row for row in rows if isinstance(row, Measurement)),
        gaps=tuple(row for row in rows if isinstance(row, NotMeasured)),
        error=error,
    )


def _show_progress(row: Row) -> None:
    """One line on the standard error."""
    if isinstance(row, Measurement):
        name, *numbers = cells(row)[:-1]
        text = "  ".join([name, *([row.variant] if row.variant else []), *numbers])
    else:
        text = f"{row.name}: not measured, {row.reason}"
    print(f"{row.area}: {text}", file=sys.stderr, flush=True)
