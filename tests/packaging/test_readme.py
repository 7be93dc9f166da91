# SPDX-License-Identifier: Apache-2.0
"""What README tells people to type exists: make targets, verbs with their options, files."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from xover_core.cli.main import make_parser

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/evaluation.md")


def code_lines(page: str) -> list[str]:
    """Lines of fenced blocks, continued lines joined, comments dropped."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in joined.splitlines() if line.strip()]


COMMANDS = [line for page in PAGES for line in code_lines(page)]
VERBS = sorted({line for line in COMMANDS if line.startswith("xover ")})
TARGETS = sorted(
    {word for line in COMMANDS if line.startswith("make ") for word in line.split()[1:] if "=" not in word}
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
    folder = (REPOSITORY / page).parent
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t and not t.startswith("#")]
    assert [t for t in targets if not (folder / t).exists()] == []
