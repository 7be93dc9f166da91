# SPDX-License-Identifier: Apache-2.0
"""Threads of torch sleep while they wait, for the command `xover` shares its cores with other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SPINS = "  GOMP_SPINCOUNT = "
# loads torch, and nothing else that takes long
COMMAND = (sys.executable, "-m", "xover_core.cli.main", "train", "locus", "--show-settings")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch has GNU's OpenMP on Linux only")


def count_spins(**environment: str) -> list[str]:
    """How often each OpenMP library of the command looks again before a waiting thread sleeps."""
    kept = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    shown = {**kept, "OMP_DISPLAY_ENV": "verbose", **environment}
    done = subprocess.run(COMMAND, env=shown, capture_output=True, text=True, check=True)
    return [line.removeprefix(SPINS) for line in done.stderr.splitlines() if line.startswith(SPINS)]


def test_waiting_threads_sleep_unless_the_user_wants_them_awake():
    assert set(count_spins()) == {"'0'"}
    assert "'0'" not in count_spins(OMP_WAIT_POLICY="active")
