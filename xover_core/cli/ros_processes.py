# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes as child processes, for verbs that drive real nodes without loading ROS themselves."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from xover_core.errors import BackendUnavailableError

_NUM_DOMAINS = 100
_LOG_TAIL_LINES = 15
_POLL_PERIOD_S = 0.05


def check_ros() -> None:
    """Raise BackendUnavailableError unless rclpy, our messages and our nodes can be imported."""
    missing = [name for name in ("rclpy", "xover_msgs", "xover_ros") if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"ROS 2 nodes cannot run in this Python ({sys.executable}): {', '.join(missing)} missing; run `make env`"
            " and use .venv/bin/xover, or source a ROS 2 workspace in which xover is built."
        )


def ros_environment() -> dict[str, str]:
    """Environment of child processes: own domain, this machine only, so that no other ROS system is disturbed."""
    own = {
        "ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID", str(1 + os.getpid() % _NUM_DOMAINS)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own}


class RosProcess:
    """One node as a child process; its output goes to a log file. A context manager that never leaves it running."""

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str],
        log_path: Path,
        parameters: Mapping[str, str | float | bool],
        remaps: Mapping[str, str],
    ) -> None:
        """Start the node.

        Args:
            module: run as `python -m`.
            environment: of the process.
            log_path: file for its output; the folder exists.
            parameters: ROS parameters.
            remaps: topic in the node -> topic on the wire.
        """
        self.name = module.rpartition(".")[2]
        self._log_path = log_path
        self._log = log_path.open("wb")
        rules = [f for pair in remaps.items() for f in ("-r", ":=".join(pair))]
        values = [f for name, value in parameters.items() for f in ("-p", f"{name}:={_as_yaml(value)}")]
        command = [sys.executable, "-m", module, "--ros-args", *rules, *values]
        # its own session: Ctrl-C in the terminal reaches us only, and we stop nodes in order
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> RosProcess:
        """The started process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill the node if it still runs, and close its log."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """Process id of the node."""
        return self._process.pid

    def check_running(self) -> None:
        """Raise BackendUnavailableError with the end of the log if the node has ended."""
        if self._process.poll() is not None:
            raise self._failure(f"ended with code {self._process.returncode}")

    def wait_for_file(self, path: Path, timeout_s: float) -> None:
        """Wait until the node has made a file, as a sign that it is up; raises as `wait` does."""
        deadline = time.monotonic() + timeout_s
        while not path.exists():
            self.check_running()
            if time.monotonic() > deadline:
                raise self._failure(f"did not make {path} within {timeout_s:.0f} s")
            time.sleep(_POLL_PERIOD_S)

    def wait(self, timeout_s: float) -> None:
        """Wait until the node ends by itself, successfully.

        Raises:
            BackendUnavailableError: it failed or took longer.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"did not end within {timeout_s:.0f} s") from error
        if code not in (0, -signal.SIGINT):
            raise self._failure(f"ended with code {code}")

    def interrupt(self, timeout_s: float) -> None:
        """Ask the node to end as Ctrl-C does, and wait for it; raises as `wait` does."""
        self.check_running()
        self._process.send_signal(signal.SIGINT)
        self.wait(timeout_s)

    def _failure(self, what: str) -> BackendUnavailableError:
        """An error that shows the end of the log."""
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        tail = "".join(f"\n  {line}" for line in lines)
        return BackendUnavailableError(f"node {self.name} {what}; the end of its log {self._log_path} is:{tail}")


def _as_yaml(value: str | float | bool) -> str:
    """A value as `-p name:=value` takes it; strings in quotes so that `1` or `off` stay strings."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)
