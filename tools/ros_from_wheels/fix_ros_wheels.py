# SPDX-License-Identifier: Apache-2.0
"""Make the CMake files of the `ros-*` wheels usable in the running environment; may be run again and again.

The wheels' exported CMake files name the Python and numpy of the machine on which they were built. And colcon needs
`local_setup.*` in the environment to chain it as an underlay of a workspace.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

_FOREIGN_PYTHON = r'[^";\s]*/cp3\d+-cp3\d+/'

_LOCAL_SETUP = """# Puts this environment on the paths of ament and CMake, so that colcon can chain it as an underlay.
_p="${COLCON_CURRENT_PREFIX:-$VIRTUAL_ENV}"
for _v in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
  eval "_o=\\"\\${$_v:-}\\""
  case ":$_o:" in *":$_p:"*) ;; *) export "$_v=$_p${_o:+:$_o}";; esac
done
unset _p _v _o
"""


def fix_cmake_files(prefix: Path) -> int:
    """Point foreign include paths in `prefix`/share/*/cmake to this Python; returns how many files changed."""
    replacements = (
        (_FOREIGN_PYTHON + r"lib/python3\.\d+/site-packages/numpy/_core/include", numpy.get_include()),
        (_FOREIGN_PYTHON + r"include/python3\.\d+", sysconfig.get_paths()["include"]),
    )
    num_changed = 0
    for file in prefix.glob("share/*/cmake/*.cmake"):
        old = new = file.read_text(encoding="utf-8")
        for pattern, path in replacements:
            new = re.sub(pattern, path, new)
        if new != old:
            file.write_text(new, encoding="utf-8")
            num_changed += 1
    return num_changed


def write_local_setup(prefix: Path) -> None:
    """Write the hooks by which colcon chains `prefix` as an underlay."""
    for shell in ("sh", "bash", "zsh"):
        (prefix / f"local_setup.{shell}").write_text(_LOCAL_SETUP, encoding="utf-8")


def main() -> None:
    """Mend the environment of the running interpreter."""
    prefix = Path(sys.prefix)
    num_changed = fix_cmake_files(prefix)
    write_local_setup(prefix)
    print(f"fix_ros_wheels: {num_changed} CMake files changed in {prefix}")


if __name__ == "__main__":
    main()
