# SPDX-License-Identifier: Apache-2.0
"""How threads behave in the command `xover`, which shares its cores with other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xover_core.process_threads import let_waiting_threads_sleep, use_one_blas_thread

SPINS = "  GOMP_SPINCOUNT = "
# loads torch, and nothing else that takes long
COMMAND = (sys.executable, "-m", "xover_core", "train", "locus", "--show-settings")


def count_spins(**environment: str) -> list[str]:
    """How often each OpenMP library of the command looks again before a waiting thread sleeps."""
    kept = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    shown = {**kept, "OMP_DISPLAY_ENV": "verbose", **environment}
    done = subprocess.run(COMMAND, env=shown, capture_output=True, text=True, check=True)
    return [line.removeprefix(SPINS) for line in done.stderr.splitlines() if line.startswith(SPINS)]


@pytest.mark.parametrize(
    ("choose", "variable", "chosen", "wanted"),
    [
        (use_one_blas_thread, "OPENBLAS_NUM_THREADS", "1", "4"),
        (let_waiting_threads_sleep, "OMP_WAIT_POLICY", "passive", "active"),
    ],
)
def test_what_the_user_wants_is_kept(choose, variable, chosen, wanted, monkeypatch):
    monkeypatch.setenv(variable, "")  # so that what is set below is undone
    monkeypatch.delenv(variable)
    choose()
    assert os.environ[variable] == chosen
    monkeypatch.setenv(variable, wanted)
    choose()
    assert os.environ[variable] == wanted


def test_the_command_chooses_before_numpy_is_loaded():
    code = "import sys, xover_core.__main__; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="torch has GNU's OpenMP on Linux only")
def test_waiting_threads_sleep_in_the_command_unless_the_user_wants_them_awake():
    assert set(count_spins()) == {"'0'"}
    assert "'0'" not in count_spins(OMP_WAIT_POLICY="active")
