# SPDX-License-Identifier: Apache-2.0
"""How many threads a network gets on the CPU."""

from __future__ import annotations

import os

THREADS_VARIABLE = "OMP_NUM_THREADS"


def num_threads_of(setting: int) -> int:
    """Threads of the setting `inference.num_threads`; where it is 0, $OMP_NUM_THREADS, which torch and others keep to.

    Returns:
        0 for one for each core.
    """
    text = os.environ.get(THREADS_VARIABLE, "")
    return setting or (int(text) if text.isdecimal() else 0)
