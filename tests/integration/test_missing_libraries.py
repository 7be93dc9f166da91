# SPDX-License-Identifier: Apache-2.0
"""Without libraries that xover can do without it starts, says what is missing, and goes on with what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xover_core.cli.main import EXIT_ERROR

# a tiny map with hardly any motion needs keyframes close to each other
DENSE = ("--set", "mapping.min_translation=0.1", "--set", "mapping.min_rotation_deg=5")
NUM_QUERIES = 8
OPTIONAL = ("onnxruntime", "torch", "faiss", "openvino", "transformers")


def run_without(missing: tuple[str, ...], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process in which some libraries are not installed."""
    code = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); from xover_core.cli.main import main;"
    command = [sys.executable, "-c", f"{code} sys.exit(main(sys.argv[1:]))", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def map_and_localize(missing: tuple[str, ...], place: Path, folder: Path) -> list[str]:
    """Map and localize; returns what was said on stderr, a line each."""
    file = folder / "room.xover"
    mapped = run_without(missing, "map", place / "map", "--out", file, *DENSE)
    assert mapped.returncode == 0, mapped.stderr
    localized = run_without(missing, "localize", place / "query", "--map", file)
    assert localized.returncode == 0, localized.stderr
    states = [line.split()[1] for line in localized.stdout.splitlines()]
    assert len(states) == NUM_QUERIES
    assert "LOCALIZED" in states
    said = mapped.stderr + localized.stderr
    assert "Traceback" not in said
    return said.splitlines()


@pytest.mark.parametrize("missing", [*((library,) for library in OPTIONAL), OPTIONAL], ids=" ".join)
def test_what_is_there_is_told_without_any_of_them(missing: tuple[str, ...]) -> None:
    assert run_without(missing, "--help").stdout.startswith("usage: xover")
    done = run_without(missing, "info")
    assert (done.returncode, done.stderr) == (0, "")
    for library in OPTIONAL:
        told = next(line for line in done.stdout.splitlines() if line.startswith(f"  {library} "))
        assert ("not installed: " in told) == (library in missing)


def test_without_onnxruntime_faiss_transformers_and_openvino(place: Path, tmp_path: Path) -> None:
    said = map_and_localize(("onnxruntime", "faiss", "transformers", "openvino"), place, tmp_path)
    (in_mapping, in_localizing) = (line for line in said if "onnxruntime is not installed" in line)
    assert "run by torch" in in_mapping
    assert in_localizing == in_mapping
    # a map this small is searched without an index; tests/core/test_vector_index.py has what is said of larger ones
    assert len(said) == 2


def test_without_torch_scenes_are_told_apart_by_their_keyframes(place: Path, tmp_path: Path) -> None:
    said = map_and_localize(("torch",), place, tmp_path)
    assert any("scene encoder 'crossover-light' is left out" in line and "xover[torch]" in line for line in said)
    assert len(said) == 1, "the map has no embeddings, so there is nothing to be said when it is used"


def test_with_nothing_that_runs_networks_there_is_one_sentence(place: Path, tmp_path: Path) -> None:
    missing = ("torch", "onnxruntime", "openvino")
    done = run_without(missing, "map", place / "map", "--out", tmp_path / "room.xover")
    assert done.returncode == EXIT_ERROR
    assert "Traceback" not in done.stderr
    assert "onnxruntime is not installed; pip install onnxruntime" in done.stderr
    assert not (tmp_path / "room.xover").exists()
