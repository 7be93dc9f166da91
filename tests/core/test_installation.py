# SPDX-License-Identifier: Apache-2.0
"""`xover info` without a map: libraries that are there or not, GPUs, backends, and models whole or damaged."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import xover_core
from xover_core.cli.installation import OPTIONAL, REQUIRED, installation_rows
from xover_core.cli.main import main
from xover_core.errors import BackendUnavailableError
from xover_core.inference.cuda_devices import CudaDevice
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_entries


def told() -> dict[str, str]:
    """What is said of each thing; a name comes among the libraries before it comes among the backends."""
    rows: dict[str, str] = {}
    for what, value in installation_rows():
        rows.setdefault(what.strip(), value)
    return rows


def hide(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a library look as if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else find(module))


def test_everything_is_told_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["xover", f"{xover_core.__version__},"]
    names = [line.split()[0] for line in lines]
    assert {*REQUIRED, *OPTIONAL, *model_entries(), "python", "backends"} <= set(names)


def test_a_library_has_its_version_and_the_name_it_is_installed_by() -> None:
    import numpy as np

    rows = told()
    assert rows["numpy"] == np.__version__
    assert rows["cv2"].endswith("(opencv-python-headless)")
    assert "CPUExecutionProvider" in rows["onnxruntime"]


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_a_library_that_is_missing_says_what_is_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, name)
    assert told()[name] == f"not installed: {OPTIONAL[name]}"


def test_a_library_that_must_be_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "poselib")
    assert "missing" in told()["poselib"]


def test_a_broken_library_is_told_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise BackendUnavailableError(f"{name} is installed but cannot be loaded, OSError: libfoo.so.")

    monkeypatch.setattr("xover_core.inference.libraries.load_library", fail)
    assert "but onnxruntime is installed but cannot be loaded, OSError: libfoo.so." in told()["onnxruntime"]


def test_gpus_are_named_with_their_compute_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = CudaDevice(index=0, name="NVIDIA GeForce RTX 4090", compute_capability=(8, 9))
    monkeypatch.setattr("xover_core.inference.cuda_devices.find_cuda_devices", lambda: (gpu,))
    assert told()["cuda:0"] == "NVIDIA GeForce RTX 4090, compute capability 8.9"


def test_a_damaged_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locus-compact.safetensors").write_bytes(b"not these weights")
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
    rows = told()
    assert rows["locus-compact"].startswith("no: model 'locus-compact'")
    assert "sha256" in rows["locus-compact"]
    assert "as in the manifest" in rows["crossover-light"]


def test_a_model_is_run_by_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from xover_core.inference import available

    everything = available.available_backends()
    assert "run by onnxruntime on cpu in fp32: the fastest" in told()["locus-compact"]
    assert "on cpu in fp32" in told()["crossover-light"], "whatever there is, its networks are too small for a GPU"
    only_torch = tuple(one for one in everything if one.name == "torch")
    monkeypatch.setattr(available, "available_backends", lambda: only_torch)
    assert "run by torch on cpu in fp32" in told()["locus-compact"]
    monkeypatch.setattr(available, "available_backends", lambda: ())
    assert "cannot be run by anything here; pip install onnxruntime" in told()["locus-compact"]
    assert "run by OpenCV and NumPy" in told()["rootsift-pca64"]
    assert "a part of the model that names it" in told()["crossover-light-inventory"]


def test_without_a_gpu_tensorrt_is_not_loaded(tmp_path: Path) -> None:
    """Loading it where there is no GPU can end the process."""
    (tmp_path / "tensorrt.py").write_text("raise SystemExit('tensorrt was loaded')\n")
    code = (
        "import xover_core.inference.cuda_devices as d; d.find_cuda_devices = lambda: ();"
        " from xover_core.cli.main import main; raise SystemExit(main(['info']))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "installed, of an unknown version" in done.stdout
