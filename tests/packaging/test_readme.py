# SPDX-License-Identifier: Apache-2.0
"""What README and the pages beside it tell people to type exists: make targets, verbs with their options, files."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from xover_core.cli.main import make_parser

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docker/README.md",
    "models/README.md",
    *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")),
)
# in lines that say what may be given, not what to type: `[--json FILE]`, `DIR | --apartment SEED`, `--scenes ...`
PATTERN = re.compile(r"[\[\]|]|\.\.\.")


def code_lines(page: str) -> list[str]:
    """Lines of fenced blocks, continued lines joined, comments dropped."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in joined.splitlines() if line.strip()]


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link names a file that is there, and a heading in it."""
    name, _, anchor = target.partition("#")
    aim = page.parent / name if name else page
    return aim.exists() and (not anchor or anchor in anchors(aim))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


COMMANDS = [line for page in PAGES for line in code_lines(page)]
VERBS = sorted({line for line in COMMANDS if line.startswith("xover ") and not PATTERN.search(line)})
TARGETS = sorted(
    {word for line in COMMANDS if line.startswith("make ") for word in shlex.split(line)[1:] if "=" not in word}
)


def test_pages_show_commands():
    assert VERBS
    assert {"demo", "test"} <= set(TARGETS)


@pytest.mark.parametrize("line", VERBS)
def test_commands_are_accepted_by_the_parser(line):
    arguments = shlex.split(line)[1:]
    if "--help" not in arguments:
        assert callable(make_parser().parse_args(arguments).run)


@pytest.mark.parametrize("target", TARGETS)
def test_make_targets_exist(target):
    subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=True, timeout=60)


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page):
    path = REPOSITORY / page
    targets = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not leads_somewhere(path, target)] == []
