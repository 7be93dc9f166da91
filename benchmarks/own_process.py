# SPDX-License-Identifier: Apache-2.0
"""Measuring in a process of its own: for the most memory that it held, and for numbers of threads set at its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_apart(script: str | Path, *arguments: str, threads: int = 1) -> Any:
    """Start a Python script and give what it wrote as JSON on the last line of its standard output.

    Args:
        script: file, mostly `__file__` of the caller with an argument that says what to measure.
        arguments: of its command line.
        threads: of OpenMP and OpenBLAS.

    Raises:
        ChildProcessError: it failed; with its last line on the standard error.
    """
    numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    # threads sleep while they wait, as the command `xover` and the nodes have it
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **numbers}
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ChildProcessError(f"{Path(script).name} {' '.join(arguments)}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory_mb() -> float:
    """Most memory that this process has held since it started, MB (Linux)."""
    # not getrusage: what that gives of a new process is at least what its parent held
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
