# SPDX-License-Identifier: Apache-2.0
"""How threads of numerical libraries behave in a process of xover; for the first lines of a program.

The libraries read these variables while they are loaded, so nothing that needs NumPy or torch is imported here.
"""

from __future__ import annotations

import os


def use_one_blas_thread() -> None:
    """Before NumPy is imported: products of small matrices in one thread, unless the user wants it otherwise.

    At 10 Hz on two cores a second thread costs the localizer nearly twice the processor time for a tenth more frames;
    beside the threads of the networks it makes a single frame a quarter slower (docs/benchmarks.md).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def let_waiting_threads_sleep() -> None:
    """Before torch is imported: OpenMP's threads sleep while they wait for each other, unless the user wants otherwise.

    Where something else needs the cores, threads that spin take a hundred times as long as their work
    (docs/benchmarks.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
