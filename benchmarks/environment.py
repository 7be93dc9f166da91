# SPDX-License-Identifier: Apache-2.0
"""On what and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from xover_core.evaluation.provenance import Provenance, find_provenance
from xover_core.inference.cuda_devices import find_cuda_devices

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_CORETYPE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What numbers depend on.

    Attributes:
        processor: model name.
        cores: that this process may use.
        memory_gb: of the machine.
        gpu: its name, empty without one.
        load_average: processes that ran or waited, over one minute, before anything was measured.
        threads: variable -> value of those that set numbers of threads, how they wait, and with what instructions NumPy
            multiplies matrices.
        provenance: commit, time, operating system, libraries.
    """

    processor: str
    cores: int
    memory_gb: float
    gpu: str
    load_average: float
    threads: dict[str, str]
    provenance: Provenance


def find_environment() -> Environment:
    """Describe this process and its machine (Linux)."""
    return Environment(
        processor=_field_of(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        gpu=find_gpu(),
        load_average=round(os.getloadavg()[0], 2),
        threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        provenance=find_provenance(),
    )


def find_gpu() -> str:
    """Name of the first NVIDIA GPU by its driver, empty without one."""
    return next((device.name for device in find_cuda_devices()), "")


def _field_of(file: Path, name: str) -> str:
    """Value of the first line `name: value`, empty when there is none."""
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
