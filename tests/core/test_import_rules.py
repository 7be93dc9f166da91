# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the table of architecture.md, read from the source, and in a fresh process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import xover_core

PACKAGE = Path(xover_core.__file__).parent
# A package may import those of rows above its own; nothing else of xover.
ROWS = (
    ("types", "errors", "config", "config_io", "process_threads"),
    ("geometry",),
    ("sensors",),
    ("networks",),
    ("inference",),
    ("encoders",),
    ("landmark_map",),
    ("localization",),
    ("datasets",),
    ("training",),
    ("evaluation",),
    ("cli",),
    ("__main__",),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}
# Narrower than the rows.
ONLY = {"datasets": {"types", "errors", "config", "config_io", "geometry", "sensors"}}
# Libraries that only some packages may use; torch in datasets renders the procedural apartments.
LIBRARIES = {
    "rclpy": set(),
    "xover_ros": set(),
    "torch": {"networks", "inference", "training", "datasets"},
    "matplotlib": {"evaluation"},
    "jinja2": {"evaluation"},
    "tqdm": {"training", "cli"},
    "argparse": {"cli"},
}


def imported_modules(source: str) -> Iterator[str]:
    """Absolute names of all modules that a source imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            yield from ([f"xover_core.{a.name}" for a in node.names] if node.module == "xover_core" else [node.module])


def part_of(file: Path) -> str:
    """The package or top-level module of xover_core that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def violations(part: str, source: str) -> list[str]:
    """Imports of a source in `part` that the rules forbid."""
    found = []
    for module in imported_modules(source):
        library, *rest = module.split(".")
        if library != "xover_core":
            if part not in LIBRARIES.get(library, {part}):
                found.append(module)
        elif rest and rest[0] != part and rest[0] != "__version__":
            allowed = ONLY.get(part, {name for name, row in ROW_OF.items() if row < ROW_OF[part]} | set(ROWS[0]))
            if rest[0] not in allowed:
                found.append(module)
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_run_upwards_only(file):
    if part_of(file) == "__init__":
        assert set(imported_modules(file.read_text())) <= {"logging"}
        return
    assert part_of(file) in ROW_OF, f"{file} is in no row of the table"
    assert violations(part_of(file), file.read_text()) == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("geometry", "from xover_core.localization.localizer import Localizer"),
        ("geometry", "def f():\n    import xover_core.cli.main"),
        ("datasets", "from xover_core.landmark_map.map_storage import MapStorage"),
        ("types", "from xover_core import geometry"),
        ("localization", "import torch"),
        ("evaluation", "import rclpy.node"),
    ],
)
def test_the_rules_can_be_broken(part, source):
    assert violations(part, source)


@pytest.mark.parametrize("module", ["xover_core", "xover_core.cli.main", "xover_core.types"])
def test_importing_loads_no_heavy_library(module):
    code = (
        f"import sys, {module}; print(*sorted({{'torch', 'rclpy', 'cv2', 'faiss', 'matplotlib'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
