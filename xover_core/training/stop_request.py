# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Within this context the first signal only sets a flag; the second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        """Prepare; handlers are set on entering."""
        self.is_made = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        # python allows handlers in the main thread only
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.is_made and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_made = True
