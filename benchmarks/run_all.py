#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All benchmarks, one section after the other, into one JSON file and one table.

    python benchmarks/run_all.py [--only localize node] [--quick | --full]

Each section has a process of its own: one that fails is reported, what it had measured until then is kept, and the
others go on. Their own output is in runs/bench/NAME.log.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from environment import find_environment
from run_results import BenchRun, SectionResult, read_run, write_run
from section import PREFIX, Effort, add_effort
from tables import markdown_table, plain_table

from xover_core.process_threads import let_waiting_threads_sleep, use_one_blas_thread

LIMIT_S = 1800.0
"""After so long a section is interrupted, but for `--full`."""
GRACE_S = 60.0
"""What it then has for ending the processes that it started."""


def main() -> int:
    """Run, print, write; gives 1 when a section failed."""
    scripts = find_sections(Path(__file__).parent)
    args = parse_arguments(list(scripts))
    # as the command `xover` and the nodes have it
    use_one_blas_thread()
    let_waiting_threads_sleep()
    run = BenchRun(environment=find_environment(), effort=args.effort.value, sections=())
    for number, name in enumerate(args.only, 1):
        print(f"[{number}/{len(args.only)}] {name} ...", end=" ", flush=True)
        result = run_script(scripts[name], args.effort, args.json.with_suffix(""))
        print(describe(result), flush=True)
        run = dataclasses.replace(run, sections=(*run.sections, result))
        # after each, so that a run that is stopped leaves what it has
        write_run(run, args.json)
    print("\n" + (markdown_table(run) if args.markdown else plain_table(run)))
    return 1 if any(result.error for result in run.sections) else 0


def parse_arguments(names: Sequence[str]) -> argparse.Namespace:
    """Command line; `only` becomes the sections to run, in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SECTION", help=", ".join(names))
    add_effort(parser)
    parser.add_argument("--json", type=Path, default=Path("runs/bench.json"), help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page")
    return parser.parse_args()


def find_sections(folder: Path) -> dict[str, Path]:
    """Name -> file of each `bench_NAME.py`."""
    return {file.stem.removeprefix(PREFIX): file for file in sorted(folder.glob(f"{PREFIX}*.py"))}


def run_script(script: Path, effort: Effort, folder: Path, *, limit_s: float = LIMIT_S) -> SectionResult:
    """Run one section in a process of its own.

    Args:
        script: its file.
        effort: how long it may take.
        folder: for its log and its own JSON.
        limit_s: after so many seconds it is interrupted, but for a full run.

    Returns:
        What it wrote; when it wrote nothing, a result that says how it ended.
    """
    name = script.stem.removeprefix(PREFIX)
    folder.mkdir(parents=True, exist_ok=True)
    log_file, json_file = folder / f"{name}.log", folder / f"{name}.json"
    json_file.unlink(missing_ok=True)
    command = [sys.executable, str(script), "--json", str(json_file)]
    command += [] if effort is Effort.NORMAL else [f"--{effort.value}"]
    start = time.monotonic()
    with (
        log_file.open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        code = _wait(process, None if effort is Effort.FULL else limit_s)
    if json_file.is_file():
        return read_run(json_file).sections[0]
    seconds = round(time.monotonic() - start, 1)
    return SectionResult(name=name, seconds=seconds, error=f"it ended with exit code {code}, see {log_file}")


def _wait(process: subprocess.Popen[bytes], limit_s: float | None) -> int:
    """Exit code; after the limit the process is interrupted, so that it writes what it has, and in the end killed."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def describe(result: SectionResult) -> str:
    """One line about a section that ended."""
    if result.error:
        return f"FAILED after {result.seconds:.0f} s: {result.error}"
    if not result.measurements:
        return f"skipped: {'; '.join(gap.reason for gap in result.gaps) or 'it gave nothing'}"
    return f"{len(result.measurements)} numbers in {result.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
