# SPDX-License-Identifier: Apache-2.0
"""Reads a Dockerfile as a list of instructions; no Docker engine is needed, and none is at hand in CI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: `COPY`, and all that stands behind it, on one line."""

    name: str
    text: str


def read_dockerfile(path: Path) -> list[Instruction]:
    """All instructions in order, continued lines joined, comments dropped."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    rows = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(name=name.upper(), text=text.strip()) for name, text in rows]


def stages(instructions: list[Instruction]) -> dict[str, list[Instruction]]:
    """Instructions of each stage by its name, in order; what stands before the first belongs to none."""
    found: dict[str, list[Instruction]] = {}
    name = ""
    for one in instructions:
        if one.name == "FROM":
            name = one.text.split(" AS ")[-1]
            found[name] = []
        if name:
            found[name].append(one)
    return found


def copied(one: Instruction) -> list[str]:
    """Paths in the repository that a COPY takes; none for what comes from another stage."""
    words = one.text.split()
    if any(word.startswith("--from=") for word in words):
        return []
    return [word for word in words if not word.startswith("--")][:-1]
