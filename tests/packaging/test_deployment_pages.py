# SPDX-License-Identifier: Apache-2.0
"""Pages on deployment say what the program says: error sentences, settings and files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from xover_core.config import XoverSettings
from xover_core.config_io import flatten

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("docs/deployment.md", "docs/jetson.md", "docker/README.md")
SOURCES = [*(REPOSITORY / "xover_core").rglob("*.py"), *(REPOSITORY / "ros2_ws/src/xover_ros/xover_ros").glob("*.py")]
# said by others: pip, colcon, Docker, NumPy
FOREIGN = ("pip: ", "colcon: ", "Docker: ", "`A module that was compiled")
MIN_FRAGMENT = 8


def read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def sentences() -> list[str]:
    """First column of the table of errors, what others say left out."""
    table = read("docs/deployment.md").split("## When something is wrong")[1]
    rows = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    return [row.strip("`") for row in rows if not row.startswith(FOREIGN) and row not in {"it says", "---"}]


def said() -> str:
    """All texts in the sources, as they are after Python has joined their parts."""
    texts = []
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        texts += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def all_texts() -> str:
    return said().replace("`", "'")


def test_there_are_sentences() -> None:
    assert len(sentences()) > 10


@pytest.mark.parametrize("sentence", sentences())
def test_the_program_says_it(sentence: str, all_texts: str) -> None:
    """Between names and numbers, which differ, the words are the program's."""
    between = r"\.\.\.|\d[\d.]*|'[\w-]+'|\b(?:torch|onnxruntime) (?=is not)"
    fragments = [part.strip(" ,;:'") for part in re.split(between, sentence)]
    fragments = [part for part in fragments if len(part) >= MIN_FRAGMENT]
    assert fragments
    assert [part for part in fragments if part not in all_texts] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    named = set(re.findall(r"\b(?:docker|benchmarks|tools|launch)/[\w./-]+\w", read(page)))
    others = {"docker/maps", "docker/.env", "docker/maps/map.xover", "docker/daemon.json"}
    assert [name for name in named - others if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page: str) -> None:
    known = {key for key, _, _ in flatten(XoverSettings())}
    groups = {key.split(".")[0] for key in known}
    named = {f"{a}.{b}" for a, b in re.findall(r"`([a-z_]+)\.([a-z_]+)(?=[`:])", read(page)) if a in groups}
    assert named <= known, named - known
