# SPDX-License-Identifier: Apache-2.0
"""The repository as a whole: versions, links, licence headers, file sizes, package data."""

from __future__ import annotations

import re
import subprocess
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest

import xover_core

REPOSITORY = Path(__file__).resolve().parents[2]
SPDX = "# SPDX-License-Identifier: Apache-2.0"
MAX_LINES = 400


def tracked_files() -> list[Path]:
    """Files that git knows, or all but hidden ones and build trees where there is no git."""
    listed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [f for f in REPOSITORY.rglob("*") if not any(p.startswith(".") for p in f.relative_to(REPOSITORY).parts)]


TRACKED = [f for f in tracked_files() if f.is_symlink() or f.is_file()]
PYTHON_FILES = [f for f in TRACKED if f.suffix == ".py" and not f.is_symlink()]


def name_of(file: Path) -> str:
    return str(file.relative_to(REPOSITORY))


@pytest.mark.parametrize("file", PYTHON_FILES, ids=name_of)
def test_python_files_name_their_licence_and_are_short(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert SPDX in lines[:2]
    assert len(lines) <= MAX_LINES


@pytest.mark.parametrize("name", ["utils", "helpers", "common"])
def test_no_file_is_named_for_nothing(name):
    assert [f for f in TRACKED if f.stem == name] == []


def test_versions_agree_in_all_five_places():
    versions = {"xover_core/__init__.py": xover_core.__version__}
    for package in ("xover_core", "xover_ros", "xover_msgs"):
        folder = REPOSITORY / "ros2_ws/src" / package
        versions[f"{package}/package.xml"] = ElementTree.parse(folder / "package.xml").findtext("version")
        if (folder / "setup.py").is_file():
            found = re.search(r'version="([^"]+)"', (folder / "setup.py").read_text(encoding="utf-8"))
            versions[f"{package}/setup.py"] = found and found.group(1)
    assert len(versions) == 6
    assert set(versions.values()) == {xover_core.__version__}, versions


def test_citation_names_this_version():
    assert f"\nversion: {xover_core.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")


def test_changelog_has_this_version_or_unreleased():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|{re.escape(xover_core.__version__)})", text, re.MULTILINE)


@pytest.mark.parametrize("link", [f for f in TRACKED if f.is_symlink()], ids=name_of)
def test_links_are_relative_and_lead_somewhere_inside(link):
    assert not link.readlink().is_absolute()
    assert link.resolve(strict=True).is_relative_to(REPOSITORY)


def test_workspace_links_are_there():
    source = REPOSITORY / "ros2_ws/src"
    assert (source / "xover_core/xover_core/__init__.py").is_file()
    assert (source / "xover_ros/launch").is_symlink()


def test_no_package_at_the_root_that_would_stop_colcon():
    assert not (REPOSITORY / "setup.py").exists()
    assert not (REPOSITORY / "package.xml").exists()


@pytest.mark.parametrize("path", ["py.typed", "presets/default.yaml", "evaluation/templates/report.html"])
def test_package_data_is_there(path):
    assert (resources.files("xover_core") / path).is_file()


def test_no_weights_bags_or_maps_are_tracked():
    assert [name_of(f) for f in TRACKED if f.suffix in {".db3", ".mcap", ".xover", ".pkl", ".pt", ".pth"}] == []


def test_makefile_and_ci_run_the_same_command():
    assert "make test" in (REPOSITORY / ".ci/run").read_text(encoding="utf-8")
    assert (REPOSITORY / ".ci/run").stat().st_mode & 0o111


def test_helper_modules_of_tests_have_names_of_their_own():
    # their folders are all on the import path, see pyproject.toml
    folders = [REPOSITORY / "tests" / name for name in ("core", "ros", "integration", "packaging")]
    names = [f.stem for f in PYTHON_FILES if f.parent in folders and not f.name.startswith(("test_", "conftest"))]
    assert {name for name in names if names.count(name) > 1} == set()
