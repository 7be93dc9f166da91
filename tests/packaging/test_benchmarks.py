# SPDX-License-Identifier: Apache-2.0
"""Each benchmark is a command that explains itself, and one section of `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COMMANDS = sorted([*BENCHMARKS.glob("bench_*.py"), BENCHMARKS / "run_all.py"])


@pytest.mark.parametrize("script", COMMANDS, ids=lambda script: script.stem)
def test_it_imports_and_explains_itself(script):
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in ("--quick", "--full", "--json", "--markdown"):
        assert option in done.stdout


def test_all_of_them_are_sections():
    done = subprocess.run([sys.executable, str(BENCHMARKS / "run_all.py"), "--help"], capture_output=True, text=True)
    names = [script.stem.removeprefix("bench_") for script in COMMANDS if script.stem != "run_all"]
    assert [name for name in names if name not in done.stdout] == []
