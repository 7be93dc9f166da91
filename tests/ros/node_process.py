# SPDX-License-Identifier: Apache-2.0
"""A node as a process of its own, as users run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

TIMEOUT_S = 30.0
ORDERLY_END_S = 5.0
CAMERA_REMAPS = {
    "rgb/image": "/camera/color/image_raw",
    "depth/image": "/camera/depth/image_raw",
    "rgb/camera_info": "/camera/color/camera_info",
    "pose_in": "/ground_truth/pose",
}


class NodeProcess:
    """Runs `python -m xover_ros.<module>`; a context manager that never leaves it running."""

    def __init__(
        self,
        module: str,
        log_path: Path,
        parameters: dict[str, object] | None = None,
        *,
        name: str = "",
        namespace: str = "",
        arguments: tuple[str, ...] = (),
        remaps: dict[str, str] | None = None,
        script: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            module: of `xover_ros`.
            log_path: file for its output.
            parameters: ROS parameters.
            name: of the node, where it is not the usual one.
            namespace: of the node.
            arguments: further ROS arguments.
            remaps: topics; those of our own recordings when not given.
            script: runs the module, in place of Python's own way.
        """
        rules = dict(CAMERA_REMAPS if remaps is None else remaps)
        if name:
            rules["__node"] = name
        if namespace:
            rules["__ns"] = namespace
        start = ["-m", f"xover_ros.{module}"] if script is None else [str(script), f"xover_ros.{module}"]
        command = [sys.executable, *start, "--ros-args", *arguments]
        command += [part for rule in rules.items() for part in ("-r", ":=".join(rule))]
        command += [part for key, value in (parameters or {}).items() for part in ("-p", f"{key}:={_yaml(value)}")]
        self.log_path = log_path
        with log_path.open("wb") as log:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a killed process leaves its shared-memory ports behind, on which the next nodes may wait for a while
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(ORDERLY_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def memory_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def wait_for_log(self, text: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the log holds a text."""
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            assert self.is_running, f"ended with {self._process.returncode} before {text!r}:\n{self.log}"
            assert time.monotonic() < deadline, f"no {text!r} within {timeout_s} s:\n{self.log}"
            time.sleep(0.02)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"did not end within {timeout_s} s:\n{self.log}") from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it in order; returns the exit code."""
        self.send(number)
        return self.wait()


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, (str, Path)) else repr(value)
