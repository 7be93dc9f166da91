# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as an orderly end: no exception comes up anywhere, and ROS still works while the node closes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# `ros2 launch` passes on the Ctrl-C that the terminal has sent to the node as well: twice is not impatience yet.
_IMPATIENT_AFTER_S = 1.0


def handle_stop_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first signal; end the process at once at another one that comes a second or more later.

    Call it in the main thread before any other thread is started: the signals are blocked in this thread and in those
    that it starts, and waited for in a thread of their own.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    threading.Thread(target=_wait_for_signals, args=(stop,), name="stop_signals", daemon=True).start()


def _wait_for_signals(stop: Callable[[], None]) -> None:
    signal.sigwait(STOP_SIGNALS)
    stopped_at = time.monotonic()
    stop()
    while True:
        number = signal.sigwait(STOP_SIGNALS)
        if time.monotonic() - stopped_at > _IMPATIENT_AFTER_S:
            os._exit(128 + number)
