# SPDX-License-Identifier: Apache-2.0
"""Each benchmark is a command that explains itself, and one section of `make bench`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SECTIONS = sorted(BENCHMARKS.glob("bench_*.py"))
COMMANDS = [*SECTIONS, BENCHMARKS / "run_all.py"]
# all of them in one process, which loads torch once; `-c` makes its folder the one that modules come from
ASK_ALL = """
import contextlib, io, json, runpy, sys
answers = {}
for script in sys.argv[1:]:
    sys.argv, answer = [script, "--help"], io.StringIO()
    with contextlib.redirect_stdout(answer), contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    answers[script] = answer.getvalue()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """What each command says to --help."""
    asked = [sys.executable, "-c", ASK_ALL, *map(str, COMMANDS)]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("script", COMMANDS, ids=lambda script: script.stem)
def test_it_imports_and_explains_itself(script, answers):
    for option in ("--quick", "--full", "--json", "--markdown"):
        assert option in answers[str(script)]


def test_all_of_them_are_sections(answers):
    names = [script.stem.removeprefix("bench_") for script in SECTIONS]
    assert [name for name in names if name not in answers[str(BENCHMARKS / "run_all.py")]] == []


def test_the_page_tells_of_each_of_them():
    page = (BENCHMARKS.parent / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert [script.name for script in SECTIONS if script.name not in page] == []
