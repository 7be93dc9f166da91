# SPDX-License-Identifier: Apache-2.0
"""Measuring in a process of its own: for the most memory that it held, and for numbers of threads set at its start."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_apart(function: Callable[..., Any], *, threads: int = 1, **arguments: Any) -> Any:
    """Call a function in a new process.

    Args:
        function: of a module; its file's folder is where the new process imports from.
        threads: of OpenMP and OpenBLAS.
        arguments: of the function, what JSON can hold.

    Returns:
        What it gives, after a way through JSON.

    Raises:
        ChildProcessError: it failed; with its last line on the standard error.
    """
    numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    # threads sleep while they wait, as the command `xover` and the nodes have it
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **numbers}
    what = [function.__code__.co_filename, function.__name__, json.dumps(arguments)]
    done = subprocess.run([sys.executable, __file__, *what], capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ChildProcessError(f"{function.__name__} in a process of its own: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory_mb() -> float:
    """Most memory that this process has held since it started, MB (Linux)."""
    # not getrusage: what that gives of a new process is at least what its parent held
    return memory_mb("VmHWM")


def memory_mb(field: str = "VmRSS") -> float:
    """Memory of this process, MB: what it holds now, or another field of its status (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def _call(file: str, name: str, arguments: str) -> None:
    """The other side of `run_apart`: the result is the last line of the standard output."""
    sys.path.insert(0, str(Path(file).parent))
    result = getattr(importlib.import_module(Path(file).stem), name)(**json.loads(arguments))
    print(f"\n{json.dumps(result)}")


if __name__ == "__main__":
    _call(*sys.argv[1:])
