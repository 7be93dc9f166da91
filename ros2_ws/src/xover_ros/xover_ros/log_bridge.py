# SPDX-License-Identifier: Apache-2.0
"""Sends what `xover_core` logs to the node's logger, so that it arrives on the console and on /rosout."""

from __future__ import annotations

import logging
from types import TracebackType

from rclpy.impl.rcutils_logger import RcutilsLogger


class LogBridge(logging.Handler):
    """A handler of the `xover_core` logger, in place between `with LogBridge(node_logger): ...`."""

    def __init__(self, node_logger: RcutilsLogger) -> None:
        """Bridge to `node_logger`; nothing is installed yet."""
        super().__init__()
        self._logger = node_logger
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def __enter__(self) -> LogBridge:
        """Install the handler."""
        core = logging.getLogger("xover_core")
        core.addHandler(self)
        core.setLevel(logging.DEBUG)
        core.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the handler away again."""
        logging.getLogger("xover_core").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record at the matching level; each level needs its own call site, as rclpy wants it."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)
