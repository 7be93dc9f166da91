# SPDX-License-Identifier: Apache-2.0
"""tools/make_environment.sh says in one sentence what is missing, before it installs anything."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools/make_environment.sh"


def run_script(venv: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, venv], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def make_executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_no_suitable_python(tmp_path):
    done = run_script(tmp_path / "venv", PYTHON="python-that-is-not-there")
    assert done.returncode == 1
    assert "needs Python 3.10 to 3.13" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "venv").exists()


def test_python_of_the_wrong_version(tmp_path):
    old = make_executable(tmp_path / "old-python", "#!/bin/sh\nexit 1\n")
    done = run_script(tmp_path / "venv", PYTHON=str(old))
    assert done.returncode == 1
    assert "needs Python 3.10 to 3.13" in done.stderr


def test_python_without_its_venv_module(tmp_path):
    # Debian's python3 without python3-venv: everything works but `import ensurepip`
    text = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n'
    done = run_script(tmp_path / "venv", PYTHON=str(make_executable(tmp_path / "bare-python", text)))
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_usage_without_a_folder():
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "usage" in done.stderr
