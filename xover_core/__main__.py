# SPDX-License-Identifier: Apache-2.0
"""Where the command `xover` and `python -m xover_core` begin: threads first, then everything else."""

from __future__ import annotations

import sys

from xover_core.process_threads import let_waiting_threads_sleep, use_one_blas_thread


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    use_one_blas_thread()
    let_waiting_threads_sleep()
    from xover_core.cli.main import main as run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
